"""Where everything of a Fabric network is: nodes, their addresses as each side sees them, their files.

    network.yaml                the description, with the ports that were chosen
    channel.block               the channel's genesis block
    compose.yaml                what the containers are started with (containers only)
    organisations/              identities (identities.py) and a connection.json for each organisation
    nodes/<node>/               core.yaml or orderer.yaml, with which the node is started
    ledger/<node>/              what the node keeps
    run/, logs/                 process records and logs (native only)

Rules:
- a node has two addresses: `reached`, where other nodes find it, and `published`, where this machine does. They
  differ only for containers of one machine, which know one another by name;
- what needs no other host (administration, health, chaincode) listens on this machine only;
- of an organisation whose nodes run elsewhere there is only `organisations/<name>/msp`, which holds no key.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path, PurePosixPath

from quorumlearn_network.identities import Organisation
from quorumlearn_network.spec import (
    DEFAULT_HOST,
    FabricSpec,
    NetworkSpec,
    OrganisationSpec,
    Runtime,
    join_address,
)

PEER_PORT, ORDERER_PORT, ADMIN_PORT, OPERATIONS_PORT, CHAINCODE_PORT = 7051, 7050, 7053, 9443, 9999
"""Where nodes listen inside their containers."""


@dataclass(frozen=True)
class Files:
    """A node's folders as the node sees them."""

    identity: str
    ledger: str
    builder: str


@dataclass(frozen=True)
class OrdererNode:
    """One orderer."""

    name: str
    number: int
    msp_id: str
    identity: Path
    host: str
    reached: str
    published: str
    listens: str
    admin: str
    admin_listens: str
    operations: str
    operations_listens: str


@dataclass(frozen=True)
class PeerNode:
    """One organisation's peer and the chaincode service beside it."""

    name: str
    service: str
    organisation: OrganisationSpec
    identity: Path
    reached: str
    published: str
    listens: str
    operations: str
    operations_listens: str
    chaincode_reached: str
    chaincode_listens: str


@dataclass(frozen=True)
class Layout:
    """A network's nodes and files."""

    spec: NetworkSpec
    fabric: FabricSpec
    folder: Path
    orderers: tuple[OrdererNode, ...]
    peers: tuple[PeerNode, ...]

    @property
    def contained(self) -> bool:
        return self.fabric.runtime is Runtime.CONTAINERS

    @property
    def genesis(self) -> Path:
        return self.folder / "channel.block"

    @property
    def compose(self) -> Path:
        return self.folder / "compose.yaml"

    @property
    def project(self) -> str:
        """The name that all containers of this network share; another folder's differ."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.spec.name.lower()).strip("-") or "network"
        return f"{plain}-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"

    def organisation(self, one: OrganisationSpec) -> Organisation:
        return Organisation(self.folder / "organisations" / one.name, one.name, one.msp_id)

    @property
    def ordering(self) -> Organisation:
        """The organisation that orders."""
        orderer = self.spec.orderer
        return Organisation(self.folder / "organisations" / orderer.name, orderer.name, orderer.msp_id)

    def settings(self, node: str) -> Path:
        return self.folder / "nodes" / node

    def ledger(self, node: str) -> Path:
        return self.folder / "ledger" / node

    def files(self, node: str, identity: Path) -> Files:
        """Where the node finds its own files."""
        if self.contained:
            return Files(
                "/etc/quorumlearn/identity", "/var/hyperledger/production", "/opt/hyperledger/ccaas_builder"
            )
        builder = self.folder / "nodes" / "ccaas"
        return Files(*(str(PurePosixPath(path)) for path in (identity, self.ledger(node), builder)))

    @property
    def our_orderers(self) -> tuple[OrdererNode, ...]:
        """Those that run on this machine."""
        return self.orderers if self.spec.is_here(self.spec.orderer.name) else ()

    @property
    def our_peers(self) -> tuple[PeerNode, ...]:
        """Those that run on this machine."""
        return tuple(one for one in self.peers if self.spec.is_here(one.organisation.name))

    def nodes(self) -> tuple[str, ...]:
        """The name of every node of this machine, in the order they are started."""
        return (
            *(one.name for one in self.our_orderers),
            *(one.name for one in self.our_peers),
            *(one.service for one in self.our_peers),
        )

    def peer_of(self, organisation: str) -> PeerNode:
        return next(one for one in self.peers if one.organisation.name == organisation)


def plan(spec: NetworkSpec, folder: Path) -> Layout:
    """The layout of a network whose ports are chosen. ValueError for one without a section `fabric`."""
    if spec.fabric is None:
        raise ValueError("this network has no section `fabric`")
    contained = spec.fabric.runtime is Runtime.CONTAINERS
    root = folder / "organisations"

    def reached(host: str, port: int, name: str, inside: int) -> str:
        named = contained and is_loopback(host)
        return f"{name}:{inside}" if named else join_address(host, port)

    def listens(host: str, port: int, inside: int) -> str:
        return f"0.0.0.0:{inside}" if contained else join_address(host, port)

    orderers = []
    for number, node in enumerate(spec.fabric.orderers):
        name = f"orderer{number}.{spec.orderer.name}"
        orderers.append(
            OrdererNode(
                name,
                number,
                spec.orderer.msp_id,
                root / spec.orderer.name / "orderers" / f"orderer{number}",
                node.host,
                reached(node.host, node.port, name, ORDERER_PORT),
                join_address(node.host, node.port),
                listens(node.host, node.port, ORDERER_PORT),
                join_address(DEFAULT_HOST, node.admin_port),
                listens(DEFAULT_HOST, node.admin_port, ADMIN_PORT),
                join_address(DEFAULT_HOST, node.operations_port),
                listens(DEFAULT_HOST, node.operations_port, OPERATIONS_PORT),
            )
        )
    peers = []
    for one in spec.organisations:
        name, service = f"peer0.{one.name}", f"chaincode.{one.name}"
        operations = one.peer.operations_port or 0
        peers.append(
            PeerNode(
                name,
                service,
                one,
                root / one.name / "peers" / "peer0",
                reached(one.peer.host, one.peer.port, name, PEER_PORT),
                one.peer.address,
                listens(one.peer.host, one.peer.port, PEER_PORT),
                join_address(DEFAULT_HOST, operations),
                listens(DEFAULT_HOST, operations, OPERATIONS_PORT),
                reached(DEFAULT_HOST, one.peer.chaincode_port, service, CHAINCODE_PORT),
                listens(DEFAULT_HOST, one.peer.chaincode_port, CHAINCODE_PORT),
            )
        )
    return Layout(spec, spec.fabric, folder, tuple(orderers), tuple(peers))


def is_loopback(host: str) -> bool:
    """Whether a host means this machine and no other."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def split(address: str) -> tuple[str, int]:
    """Host and port of `host:port`, brackets of IPv6 taken off."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
