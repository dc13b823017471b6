"""Who a network's nodes are reached as: their addresses and authorities, and each organisation's administrator."""

from __future__ import annotations

from pathlib import Path

from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.fabric.layout import Layout, PeerNode
from quorumlearn_network.fabric.transactions import Target
from quorumlearn_network.spec import ADMIN_USER, OrganisationSpec


def target(layout: Layout, peer: PeerNode) -> Target:
    """A peer as this machine reaches it."""
    return Target(peer.name, peer.published, _tls_authority(layout, peer.organisation.name))


def orderer_targets(layout: Layout) -> list[Target]:
    return [
        Target(one.name, one.published, _tls_authority(layout, layout.spec.orderer.name))
        for one in layout.orderers
    ]


def admin(layout: Layout, peer: PeerNode) -> SigningIdentity:
    """The identity of a peer's organisation that administers it."""
    one = peer.organisation
    return SigningIdentity.load(one.msp_id, layout.organisation(one).user(admin_name(one)))


def admin_name(one: OrganisationSpec) -> str:
    """The user of an organisation that administers it."""
    return next((user.name for user in one.users if user.admin), ADMIN_USER)


def _tls_authority(layout: Layout, organisation: str) -> Path:
    return layout.folder / "organisations" / organisation / "msp" / "tlscacerts" / "tlsca.pem"
