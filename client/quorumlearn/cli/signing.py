"""Who signs a command that changes the ledger: whom --as names, else the network's only user who may."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from quorumlearn_network.certificates import attributes_of, read_certificate
from quorumlearn_network.identities import ROLE_ATTRIBUTE, IdentityError, existing_organisation, users
from quorumlearn_network.spec import Role
from quorumlearn_network.up import read_network

from quorumlearn.gateway import load_connection

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
    if folder.is_file():
        return _of_connection(folder, roles)
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
    return _only(named, unnamed, roles)


def _of_connection(folder: Path, roles: Sequence[Role]) -> str:
    """The one of a connection's identities who may, by their certificates; "" for the connection's own. Which roles its organisation
    has stands on the ledger."""
    connection = load_connection(folder)
    if connection.given or not connection.identities:
        return ""
    named: list[str] = []
    unnamed: list[str] = []
    msp_id = connection.reach().msp_id
    for name, one in connection.identities.items():
        held = attributes_of(read_certificate(one.identity(msp_id).certificate)).get(ROLE_ATTRIBUTE)
        if held is None:
            unnamed.append(name)
        elif {str(role) for role in roles} & {role.strip() for role in held.split(",")}:
            named.append(name)
    return _only(named, unnamed, roles)


def _only(named: Sequence[str], unnamed: Sequence[str], roles: Sequence[Role]) -> str:
    """The only one found; IdentityError if it must be said who."""
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
