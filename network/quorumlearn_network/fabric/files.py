"""What a network of Fabric nodes has on disk before anything is started: identities, genesis block, settings."""

from __future__ import annotations

from datetime import timedelta

from quorumlearn_network.fabric.channel import genesis_block
from quorumlearn_network.fabric.errors import FabricError
from quorumlearn_network.fabric.layout import Layout
from quorumlearn_network.fabric.settings import render_core, render_orderer
from quorumlearn_network.identities import (
    ROLE_ATTRIBUTE,
    ensure_orderer,
    ensure_peer,
    ensure_user,
    open_organisation,
    renew_orderer,
    renew_peer,
)
from quorumlearn_network.profiles import render_connection, write_whole
from quorumlearn_network.spec import ADMIN_USER, Consensus

_PUBLIC = ("cacerts/ca.pem", "tlscacerts/tlsca.pem", "config.yaml")


def write_identities(layout: Layout) -> None:
    """Every identity of this machine's organisations; valid ones are kept."""
    folder, spec = layout.folder, layout.spec
    if layout.our_orderers:
        ordering = open_organisation(folder, spec.orderer.name, spec.orderer.msp_id)
        for node in layout.our_orderers:
            ensure_orderer(ordering, _hosts(node.name, node.host), number=node.number)
        ensure_user(ordering, ADMIN_USER, admin=True)
    for peer in layout.our_peers:
        one = peer.organisation
        organisation = open_organisation(folder, one.name, one.msp_id)
        ensure_peer(organisation, _hosts(peer.name, one.peer.host))
        for user in one.users:
            attributes = {ROLE_ATTRIBUTE: user.role.value} if user.role is not None else {}
            ensure_user(organisation, user.name, attributes, admin=user.admin)
        if not any(user.admin for user in one.users):
            ensure_user(organisation, ADMIN_USER, admin=True)


def write_settings(layout: Layout) -> None:
    """The genesis block, and what nodes and clients are started with."""
    if not layout.genesis.exists():
        if not layout.our_orderers:
            raise FabricError(
                f"{layout.genesis} is missing; the orderers' host makes it: copy it here, and repeat"
            )
        unfinished = layout.genesis.with_suffix(".new")
        unfinished.write_bytes(genesis_block(layout))
        unfinished.replace(layout.genesis)
    for name in layout.nodes():
        layout.settings(name).mkdir(parents=True, exist_ok=True)
        layout.ledger(name).mkdir(parents=True, exist_ok=True)
    for node in layout.our_orderers:
        write_whole(layout.settings(node.name) / "orderer.yaml", render_orderer(layout, node))
    for peer in layout.our_peers:
        write_whole(layout.settings(peer.name) / "core.yaml", render_core(layout, peer))
        organisation = layout.organisation(peer.organisation)
        profile = render_connection(layout.spec, peer.organisation, organisation)
        write_whole(organisation.folder / "connection.json", profile)


def renew_certificates(layout: Layout, validity: timedelta) -> None:
    """Issue the certificates of this machine's nodes again, for the keys that they have."""
    raft = layout.fabric.consensus is Consensus.RAFT
    for node in layout.our_orderers:
        hosts = _hosts(node.name, node.host)
        renew_orderer(layout.ordering, hosts, validity, node.number, identity=raft)
    for peer in layout.our_peers:
        organisation = layout.organisation(peer.organisation)
        renew_peer(organisation, _hosts(peer.name, peer.organisation.peer.host), validity)


def check_members(layout: Layout) -> None:
    """FabricError for the first organisation of another machine whose public folder has not been brought here."""
    spec = layout.spec
    for name in (spec.orderer.name, *(one.name for one in spec.organisations)):
        folder = layout.folder / "organisations" / name / "msp"
        if not all((folder / file).exists() for file in _PUBLIC):
            raise FabricError(f"{folder} is missing; the host of {name!r} makes it: copy it here, and repeat")


def _hosts(name: str, host: str) -> list[str]:
    return sorted({name, host, "localhost", "127.0.0.1"})
