"""`quorumlearn identity`: the identities of a network's organisations, issued from their authorities'
folders.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from quorumlearn_network.identities import (
    ROLE_ATTRIBUTE,
    IdentityInfo,
    ensure_user,
    existing_organisation,
    read_user,
    renew_user,
    users,
)
from quorumlearn_network.spec import Role
from quorumlearn_network.up import read_network

from quorumlearn.cli.access import DEFAULT_FOLDER, Folder, split_identity
from quorumlearn.cli.terminal import EXIT_CODES, AsJson, Exit, Failure, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="List, issue, show and renew identities.")

Who = Annotated[str, typer.Argument(metavar="ORG/USER", help="As in miners1/miner1.")]
Days = Annotated[int, typer.Option(min=1, max=3650, help="Days that the certificate is valid.")]


@app.command("list", epilog=f"Example: quorumlearn identity list.  {EXIT_CODES}")
def list_identities(folder: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """All identities of all organisations of the network."""
    spec = read_network(folder)
    found = [info for one in spec.ours for info in users(existing_organisation(folder, one.name, one.msp_id))]
    if as_json:
        print_json({"identities": [_fields(info) for info in found]})
    else:
        _table(found)


@app.command(epilog=f"Example: quorumlearn identity issue miners1/alice --role miner.  {EXIT_CODES}")
def issue(
    who: Who,
    folder: Folder = DEFAULT_FOLDER,
    role: Annotated[Role | None, typer.Option(help="One role, of those its organisation has.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Make it an administrator's.")] = False,
    days: Days = 365,
    as_json: AsJson = False,
) -> None:
    """Issue an identity. One that is there and valid and asks for the same is kept."""
    spec = read_network(folder)
    one, user = split_identity(spec, who)
    if role is not None and role not in one.roles:
        raise Failure(
            f"{one.name} is no {role}'s organisation; its roles are {', '.join(one.roles)}", Exit.USAGE
        )
    described = next((known for known in one.users if known.name == user), None)
    if described is not None and (described.role, described.admin) != (role, admin):
        raise Failure(
            f"{who} is described otherwise in the network's network.yaml; change it there and "
            "run `quorumlearn network up`, or choose another name",
            Exit.USAGE,
        )
    organisation = existing_organisation(folder, one.name, one.msp_id)
    attributes = {ROLE_ATTRIBUTE: role.value} if role is not None else {}
    ensure_user(organisation, user, attributes, admin, timedelta(days=days))
    _show(read_user(organisation, user), as_json)


@app.command(epilog=f"Example: quorumlearn identity show owner/owner.  {EXIT_CODES}")
def show(who: Who, folder: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """One identity: its account on the ledger, role, expiry and folder. Never its key."""
    one, user = split_identity(read_network(folder), who)
    _show(read_user(existing_organisation(folder, one.name, one.msp_id), user), as_json)


@app.command(epilog=f"Example: quorumlearn identity renew owner/owner --days 90.  {EXIT_CODES}")
def renew(who: Who, folder: Folder = DEFAULT_FOLDER, days: Days = 365, as_json: AsJson = False) -> None:
    """Issue an identity again with a new key. Its account on the ledger stays the same."""
    one, user = split_identity(read_network(folder), who)
    organisation = existing_organisation(folder, one.name, one.msp_id)
    renew_user(organisation, user, timedelta(days=days))
    _show(read_user(organisation, user), as_json)


def _show(info: IdentityInfo, as_json: bool) -> None:
    if as_json:
        print_json(_fields(info))
    else:
        _table([info])


def _table(found: list[IdentityInfo]) -> None:
    print_table(
        ("identity", "account", "role", "unit", "valid until", "MSP folder"),
        [
            (
                f"{info.organisation}/{info.name}",
                info.account,
                info.attributes.get(ROLE_ATTRIBUTE, "(its organisation's)"),
                info.unit,
                f"{info.not_after:%Y-%m-%d}" + ("" if info.not_after > datetime.now(UTC) else " (expired)"),
                info.msp,
            )
            for info in found
        ],
    )


def _fields(info: IdentityInfo) -> dict[str, object]:
    return {
        "identity": f"{info.organisation}/{info.name}",
        "account": info.account,
        "msp_id": info.msp_id,
        "unit": info.unit,
        "attributes": dict(info.attributes),
        "not_after": info.not_after.isoformat(),
        "expired": info.not_after <= datetime.now(UTC),
        "msp": str(info.msp),
    }
