"""`quorumlearn network connect`: write the file of a connection to a Fabric network that exists, once it has been tried."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError

from quorumlearn.api.access import Place, market_contract
from quorumlearn.cli.terminal import AsJson, Exit, Failure, print_json, print_text
from quorumlearn.gateway import ConnectionSettings
from quorumlearn.nodes.accounts import account_of
from quorumlearn.nodes.market import Market, Refused


@dataclass(frozen=True)
class Tried:
    """What the peer and the ledger said: the account, the peer's address, and the roles of the account's organisation."""

    account: str
    peer: str
    roles: tuple[str, ...]


def _file(words: str) -> Any:
    return typer.Option(metavar="FILE", help=words)


def connect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write (YAML).")],
    profile: Annotated[Path | None, _file("A connection profile, JSON or YAML.")] = None,
    peer: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The organisation's peer, in place of a profile.")
    ] = "",
    tls_ca: Annotated[Path | None, _file("The authority of the peer's TLS certificate.")] = None,
    host_override: Annotated[
        str, typer.Option(metavar="HOST", help="The host name in the peer's TLS certificate.")
    ] = "",
    msp_id: Annotated[str, typer.Option(help="The organisation's MSP id, with --peer.")] = "",
    client_certificate: Annotated[
        Path | None, _file("The client's TLS certificate, if the peer wants one.")
    ] = None,
    client_key: Annotated[Path | None, _file("Its private key.")] = None,
    msp: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Who signs: a folder with signcerts and keystore.")
    ] = None,
    certificate: Annotated[Path | None, _file("Or a certificate.")] = None,
    key: Annotated[Path | None, _file("And its private key.")] = None,
    channel: Annotated[str, typer.Option(help="The channel.")] = "quorumlearn",
    chaincode: Annotated[str, typer.Option(help="The market's chaincode on it.")] = "quorumlearn",
    as_json: AsJson = False,
) -> None:
    """Try a connection to a Fabric network that exists and write its file. Commands take it as --network, nodes as `connection`.

    docs/fabric.md says what else may stand in it.
    """
    if file.exists():
        raise Failure(f"{file} is there already; name another, or remove it", Exit.USAGE)
    paths = {
        "profile": profile,
        "tls_ca": tls_ca,
        "client_certificate": client_certificate,
        "client_key": client_key,
        "msp": msp,
        "certificate": certificate,
        "key": key,
    }
    named = {
        "peer": peer,
        "msp_id": msp_id,
        "host_override": host_override,
        "channel": channel,
        "chaincode": chaincode,
    }
    try:
        connection = ConnectionSettings.model_validate({**named, **paths})
    except ValidationError as error:
        raise Failure(error.errors()[0]["msg"].removeprefix("Value error, "), Exit.USAGE) from error
    found = _tried(connection)
    base = file.resolve().parent
    fields = {name: value for name, value in named.items() if value}
    fields |= {name: os.path.relpath(path.absolute(), base) for name, path in paths.items() if path}
    file.write_text(yaml.safe_dump(fields, sort_keys=False), encoding="utf-8")
    if as_json:
        print_json({"file": str(file), **asdict(found)})
        return
    roles = ", ".join(found.roles) or "the ledger gives it none"
    print_text(f"{found.account} at {found.peer}, roles of its organisation: {roles}")
    print_text(f"next: export QUORUMLEARN_NETWORK={file}")


def _tried(connection: ConnectionSettings) -> Tried:
    """GatewayError or Refused if it does not lead to a market, or to one whose ledger is yet to be initialised."""
    with connection.open(connection.credentials()) as gateway:
        account = account_of(gateway.identity, "the connection's identity")
        market = Market(market_contract(gateway, Place(connection.channel, connection.chaincode)))
        try:
            organisations = tuple(market.config().organisations)
        except Refused as refused:
            if refused.code != "NOT_INITIALISED":
                raise
            organisations = ()
        roles = [role for one in organisations if one.msp_id == gateway.identity.msp_id for role in one.roles]
        return Tried(account, gateway.endpoint, tuple(roles))
