"""From a network's folder and ORG/USER, or from the file of a connection to a Fabric network that exists, to an open gateway: the one way
there, of the command line and of Python."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quorumlearn_network.identities import IdentityError, Organisation, existing_organisation
from quorumlearn_network.spec import NetworkSpec, OrganisationSpec
from quorumlearn_network.up import read_network

from quorumlearn.gateway import (
    ConnectionSettings,
    Contract,
    CredentialError,
    CredentialSettings,
    Gateway,
    Options,
    connect_profile,
    find_profile,
    load_connection,
    load_msp,
)
from quorumlearn.nodes.accounts import account_of
from quorumlearn.nodes.feed import TaskFeed, followed
from quorumlearn.nodes.market import Market


@dataclass(frozen=True)
class Place:
    """Where the market is: a channel and a chaincode on it."""

    channel: str
    chaincode: str


def place_of(folder: Path) -> Place:
    """As the network's description or the connection's file says; FolderError, SpecError or CredentialError if there is none."""
    if folder.is_file():
        connection = load_connection(folder)
        return Place(connection.channel, connection.chaincode)
    spec = read_network(folder)
    return Place(spec.channel, spec.chaincode.name)


def open_gateway(folder: Path, who: str = "", options: Options | None = None) -> Gateway:
    """A gateway through the peer of the organisation of `who` ("org/user", or "MSP/user" as on the ledger), or of the connection.

    `""` is the first user of the network. FolderError, IdentityError or CredentialError if there is none.
    """
    if folder.is_file():
        connection = load_connection(folder)
        return connection.open(_credentials(connection, who), options)
    organisation, user = choose_identity(folder, who)
    root = existing_organisation(folder, organisation.name, organisation.msp_id)
    return connect_profile(find_profile(root.folder), _msp_of(root, user), options)


def account_named(folder: Path, who: str) -> str:
    """The account that `who` signs for, as on the ledger; errors as in `open_gateway`."""
    if folder.is_file():
        connection = load_connection(folder)
        return _account(connection, _credentials(connection, who), who)
    organisation, user = choose_identity(folder, who)
    root = existing_organisation(folder, organisation.name, organisation.msp_id)
    identity, _ = load_msp(_msp_of(root, user), organisation.msp_id)
    return account_of(identity, f"user {user}")


def market_contract(gateway: Gateway, place: Place | NetworkSpec) -> Contract:
    """The market's chaincode on its channel; functions are called `contract:Function`."""
    name = place.chaincode if isinstance(place, Place) else place.chaincode.name
    return gateway.network(place.channel).contract(name)


@contextlib.contextmanager
def open_market(folder: Path, who: str = "") -> Iterator[Market]:
    """The contracts as typed Python, for the identity of `who`; closed with the block."""
    with open_gateway(folder, who) as gateway:
        yield Market(market_contract(gateway, place_of(folder)))


@contextlib.contextmanager
def open_feed(folder: Path, who: str, task: str) -> Iterator[tuple[Market, TaskFeed]]:
    """As `open_market`, and a feed of one task that the chaincode's events keep fresh."""
    with open_gateway(folder, who) as gateway:
        place = place_of(folder)
        market = Market(market_contract(gateway, place))
        with followed(gateway.network(place.channel), place.chaincode, task, market) as feed:
            yield market, feed


def _credentials(connection: ConnectionSettings, who: str) -> CredentialSettings:
    """Those of the connection that `who` names, by its own name for them or by account."""
    if who and who not in connection.identities:
        for name, one in connection.identities.items():
            with contextlib.suppress(CredentialError):  # one that cannot be used is not who is asked for
                if _account(connection, one, name) == who:
                    return one
        if connection.given and _account(connection, connection, "") == who:
            return connection
    return connection.credentials(who)


def _account(connection: ConnectionSettings, credentials: CredentialSettings, name: str) -> str:
    identity = credentials.identity(connection.reach().msp_id)
    return account_of(identity, f"identity {name}" if name else "the connection's identity")


def choose_identity(folder: Path, who: str) -> tuple[OrganisationSpec, str]:
    """The organisation and user that `who` names in the network of `folder`."""
    spec = read_network(folder)
    if who:
        return split_identity(spec, who)
    for one in spec.ours:
        for user in _users(existing_organisation(folder, one.name, one.msp_id)):
            return one, user
    raise IdentityError(
        f"the network in {folder} has no user; `quorumlearn identity issue ORG/USER` makes one"
    )


def _users(organisation: Organisation) -> Iterator[str]:
    """The folders of the organisation's users that hold a certificate, by name."""
    folder = organisation.folder / "users"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if any((path / "msp" / "signcerts").glob("*")):
            yield path.name


def _msp_of(organisation: Organisation, user: str) -> Path:
    """The MSP folder of the user: the one that is called so, else the one whose certificate says so. As Fabric's tools
    make them, a certificate may have any file name."""
    folders = {name: organisation.folder / "users" / name / "msp" for name in _users(organisation)}
    if user in folders:
        return folders[user]
    for name, msp in folders.items():
        with contextlib.suppress(CredentialError):  # one that cannot be used is not who is asked for
            identity, _ = load_msp(msp, organisation.msp_id)
            if account_of(identity, f"user {name}") == f"{organisation.msp_id}/{user}":
                return msp
    raise IdentityError(
        f"no identity {organisation.name}/{user}; `quorumlearn identity issue {organisation.name}/{user}` makes one"
    )


def split_identity(spec: NetworkSpec, who: str) -> tuple[OrganisationSpec, str]:
    """The organisation (by name or MSP id) and the user's name in "org/user"; IdentityError if it is
    neither.
    """
    name, slash, user = who.partition("/")
    if not slash or not name or not user:
        raise IdentityError(f"{who!r} is no ORG/USER, such as {spec.organisations[0].name}/admin")
    for one in spec.organisations:
        if name in (one.name, one.msp_id):
            return one, user
    return spec.organisation(name), user
