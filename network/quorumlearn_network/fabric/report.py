"""How a network is, asked of each node: heights, leader, versions, and the chaincode as the channel knows it.

A node that does not answer is reported as such; nothing here fails because of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from fabric_protos.peer import policy_pb2
from google.protobuf.message import DecodeError

from quorumlearn_network.fabric import lifecycle
from quorumlearn_network.fabric.access import admin, target
from quorumlearn_network.fabric.errors import FabricError
from quorumlearn_network.fabric.health import leader_of, version
from quorumlearn_network.fabric.layout import Layout, OrdererNode, PeerNode, plan
from quorumlearn_network.fabric.membership import chain_info, channel_of
from quorumlearn_network.folder import read_network


@dataclass(frozen=True)
class NodeReport:
    """A peer or orderer. `height` counts its blocks; None, and an empty version, where it does not answer.

    `leader` is None for a peer. `metrics` is where Prometheus reads it.
    """

    name: str
    height: int | None
    leader: bool | None
    version: str
    metrics: str


@dataclass(frozen=True)
class ChaincodeReport:
    """The chaincode on the channel; `approvals` are MSP ids."""

    name: str
    version: str
    sequence: int
    policy: str
    approvals: tuple[str, ...]


@dataclass(frozen=True)
class FabricReport:
    """All nodes, and the chaincode if any peer knows one."""

    nodes: tuple[NodeReport, ...]
    chaincode: ChaincodeReport | None


def report(folder: Path) -> FabricReport:
    """Ask every node of the network in `folder`."""
    layout = plan(read_network(folder), folder.resolve())
    leader = leader_of(layout)
    nodes = [_orderer(layout, node, node is leader) for node in layout.our_orderers]
    nodes += [_peer(layout, peer) for peer in layout.our_peers]
    return FabricReport(tuple(nodes), _chaincode(layout))


def describe_policy(data: bytes) -> str:
    """A definition's endorsement policy in Fabric's language; what cannot be read is named as that."""
    try:
        application = policy_pb2.ApplicationPolicy.FromString(data)
        if application.WhichOneof("Type") != "signature_policy":
            return str(application.channel_config_policy_reference) or "(none)"
        policy = application.signature_policy
        return _rule(policy.rule, [_principal(one) for one in policy.identities])
    except (DecodeError, IndexError, ValueError):
        return "(unreadable)"


def _orderer(layout: Layout, node: OrdererNode, leads: bool) -> NodeReport:
    channel = layout.spec.channel
    try:
        fields = channel_of(node, channel) or {}
    except FabricError:
        fields = {}
    height = fields.get("height")
    return NodeReport(
        node.name,
        height if isinstance(height, int) else None,
        leads,
        version(node.operations),
        f"http://{node.operations}/metrics",
    )


def _peer(layout: Layout, peer: PeerNode) -> NodeReport:
    try:
        height = int(chain_info(target(layout, peer), admin(layout, peer), layout.spec.channel).height)
    except FabricError:
        height = None
    return NodeReport(peer.name, height, None, version(peer.operations), f"http://{peer.operations}/metrics")


def _chaincode(layout: Layout) -> ChaincodeReport | None:
    for peer in layout.our_peers:
        try:
            found = lifecycle.committed(target(layout, peer), admin(layout, peer), layout.spec)
        except FabricError:
            continue
        if found is None:
            return None
        return ChaincodeReport(
            layout.spec.chaincode.name,
            found.version,
            found.sequence,
            describe_policy(found.policy),
            found.approvals,
        )
    return None


def _rule(rule: policies_pb2.SignaturePolicy, principals: list[str]) -> str:
    if rule.WhichOneof("Type") == "signed_by":
        return principals[int(rule.signed_by)]
    parts = ", ".join(_rule(part, principals) for part in rule.n_out_of.rules)
    return f"OutOf({rule.n_out_of.n}, {parts})"


def _principal(principal: msp_principal_pb2.MSPPrincipal) -> str:
    role = msp_principal_pb2.MSPRole.FromString(principal.principal)
    kind = str(msp_principal_pb2.MSPRole.MSPRoleType.Name(role.role))
    return f"'{role.msp_identifier}.{kind.lower()}'"
