"""Who signs a command that changes the ledger: whom --as names, else the network's only user who may."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from quorumlearn_network.identities import ROLE_ATTRIBUTE, IdentityError, existing_organisation, users
from quorumlearn_network.spec import Role
from quorumlearn_network.up import read_network

_SHOWN = 4

Signer = Annotated[
    str,
    typer.Option(
        "--as", metavar="ORG/USER", help="Who signs; by default the only user of the network who may."
    ),
]


def signer(folder: Path, who: str, *roles: Role) -> str:
    """`who`, or without it "org/user" of the only user here with one of the roles; IdentityError if it must be said who.

    A certificate that names no role has those of its organisation; it counts where no other names the role.
    """
    if who:
        return who
    named: list[str] = []
    unnamed: list[str] = []
    for one in read_network(folder).ours:
        wanted = {role.value for role in roles if role in one.roles}
        for info in users(existing_organisation(folder, one.name, one.msp_id)) if wanted else ():
            held = info.attributes.get(ROLE_ATTRIBUTE)
            if held is None:
                unnamed.append(f"{one.name}/{info.name}")
            elif wanted & {role.strip() for role in held.split(",")}:
                named.append(f"{one.name}/{info.name}")
    found = named or unnamed
    if len(found) == 1:
        return found[0]
    what = " or ".join(roles)
    if not found:
        raise IdentityError(f"no user here is {what}; name who signs with --as ORG/USER")
    others = ", ..." if len(found) > _SHOWN else ""
    raise IdentityError(
        f"{len(found)} users here are {what} ({', '.join(found[:_SHOWN])}{others}); say who signs with --as ORG/USER"
    )
