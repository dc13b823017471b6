"""The channel's configuration: who is a member, who decides what, how blocks are made; and its genesis block.

The tree, of whose parts `devnet.configtx` makes those that every channel has:

    Channel
      Orderer       ConsensusType, BatchSize, BatchTimeout, the ordering organisation with its endpoints
      Application   one group for each organisation: its MSP, its policies, its anchor peer

Rules:
- everything is decided by the section's Admins: of the application's a majority of its organisations, unless the description says
  otherwise, with a quorum of verifiers among them. So are chaincodes' definitions;
- with BFT a block is valid if a quorum of the orderers, each by its own certificate, has signed it.
"""

from __future__ import annotations

import math
from pathlib import Path

from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.msp import identities_pb2, msp_principal_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2
from fabric_protos.orderer.etcdraft import configuration_pb2 as raft_pb2
from fabric_protos.orderer.smartbft import configuration_pb2 as bft_pb2
from fabric_protos.peer import configuration_pb2 as peer_pb2
from google.protobuf.message import Message

from quorumlearn_network.agreement import render_agreements
from quorumlearn_network.devnet import configtx
from quorumlearn_network.devnet.msp import Msp, Role
from quorumlearn_network.devnet.policy import parse_policy
from quorumlearn_network.fabric.layout import Layout, OrdererNode, PeerNode, split
from quorumlearn_network.spec import BatchSpec, Consensus

_MEMBERS = (Role.ADMIN, Role.PEER, Role.CLIENT)
_SNAPSHOT_BYTES = 16 << 20


def genesis_block(layout: Layout) -> bytes:
    """A serialised common.Block, number 0; every organisation's and orderer's identities must be on disk."""
    block = configtx.first_block(layout.spec.channel, _channel_group(layout))
    block.metadata.metadata[common_pb2.TRANSACTIONS_FILTER] = b""
    data: bytes = block.SerializeToString()
    return data


def member_group(layout: Layout, peer: PeerNode) -> configtx_pb2.ConfigGroup:
    """An organisation of the application section: MSP, policies, anchor peer."""
    group = configtx_pb2.ConfigGroup()
    one = peer.organisation
    roles = {
        "Readers": _MEMBERS,
        "Writers": (Role.ADMIN, Role.CLIENT),
        "Admins": (Role.ADMIN,),
        "Endorsement": (Role.PEER,),
    }
    configtx.set_organisation(group, Msp.load(one.msp_id, layout.organisation(one).folder / "msp"), roles)
    anchors = peer_pb2.AnchorPeers()
    host, port = split(peer.reached)
    anchors.anchor_peers.add(host=host, port=port)
    configtx.set_value(group, "AnchorPeers", anchors)
    return group


def agreements(layout: Layout) -> configtx.Agreements:
    """The application section's policies, by name, that a quorum of verifier organisations has a part in."""
    return {name: parse_policy(text) for name, text in render_agreements(layout.spec).items()}


def _channel_group(layout: Layout) -> configtx_pb2.ConfigGroup:
    channel = configtx.channel_group()
    _ordering(configtx.ordering_section(channel, layout.spec.batch), layout)
    application = configtx.application_section(channel, agreements(layout))
    for peer in layout.peers:
        application.groups[peer.organisation.msp_id].CopyFrom(member_group(layout, peer))
    return channel


def _ordering(group: configtx_pb2.ConfigGroup, layout: Layout) -> None:
    if layout.fabric.consensus is Consensus.BFT:
        consenters = [_bft_consenter(node) for node in layout.orderers]
        configtx.set_value(group, "Orderers", configuration_pb2.Orderers(consenter_mapping=consenters))
        configtx.set_value(group, "ConsensusType", _consensus("BFT", _bft_options(layout.spec.batch)))
        configtx.set_signature(group, "BlockValidation", _bft_quorum(consenters))
    else:
        configtx.set_value(group, "ConsensusType", _consensus("etcdraft", _raft(layout.orderers)))
        configtx.set_implicit(group, "BlockValidation", "ANY", "Writers")
    orderer = layout.spec.orderer
    ours = group.groups[orderer.msp_id]
    roles = {"Readers": (Role.MEMBER,), "Writers": (Role.MEMBER,), "Admins": (Role.ADMIN,)}
    configtx.set_organisation(ours, Msp.load(orderer.msp_id, layout.ordering.folder / "msp"), roles)
    addresses = [node.reached for node in layout.orderers]
    configtx.set_value(ours, "Endpoints", configuration_pb2.OrdererAddresses(addresses=addresses))


def _raft(orderers: tuple[OrdererNode, ...]) -> raft_pb2.ConfigMetadata:
    consenters = []
    for node in orderers:
        host, port = split(node.reached)
        certificate = _tls_certificate(node)
        consenters.append(
            raft_pb2.Consenter(host=host, port=port, client_tls_cert=certificate, server_tls_cert=certificate)
        )
    options = raft_pb2.Options(
        tick_interval="100ms",
        election_tick=20,
        heartbeat_tick=2,
        max_inflight_blocks=5,
        snapshot_interval_size=_SNAPSHOT_BYTES,
    )
    return raft_pb2.ConfigMetadata(consenters=consenters, options=options)


def _bft_consenter(node: OrdererNode) -> configuration_pb2.Consenter:
    host, port = split(node.reached)
    certificate = _tls_certificate(node)
    return configuration_pb2.Consenter(
        id=node.number + 1,
        host=host,
        port=port,
        msp_id=node.msp_id,
        identity=_read(node.identity / "msp" / "signcerts" / "cert.pem"),
        client_tls_cert=certificate,
        server_tls_cert=certificate,
    )


def _bft_options(batch: BatchSpec) -> bft_pb2.Options:
    return bft_pb2.Options(
        request_batch_max_count=batch.max_messages,
        request_batch_max_bytes=batch.absolute_max_bytes,
        request_batch_max_interval=f"{batch.timeout_ms}ms",
        request_max_bytes=batch.absolute_max_bytes,
        incoming_message_buffer_size=200,
        request_pool_size=max(400, 2 * batch.max_messages),
        request_forward_timeout="2s",
        request_complain_timeout="10s",
        request_auto_remove_timeout="3m",
        view_change_resend_interval="2s",
        view_change_timeout="10s",
        leader_heartbeat_timeout="10s",
        leader_heartbeat_count=10,
        collect_timeout="1s",
        sync_on_start=False,
        speed_up_view_change=False,
        leader_rotation=bft_pb2.Options.ROTATION_OFF,
        decisions_per_leader=0,
    )


def _bft_quorum(
    consenters: list[configuration_pb2.Consenter],
) -> policies_pb2.SignaturePolicyEnvelope:
    count = len(consenters)
    faulty = (count - 1) // 3
    quorum = math.ceil((count + faulty + 1) / 2)
    rules = [policies_pb2.SignaturePolicy(signed_by=index) for index in range(count)]
    principals = []
    for one in consenters:
        identity = identities_pb2.SerializedIdentity(mspid=one.msp_id, id_bytes=one.identity)
        principals.append(
            msp_principal_pb2.MSPPrincipal(
                principal_classification=msp_principal_pb2.MSPPrincipal.IDENTITY,
                principal=identity.SerializeToString(),
            )
        )
    return policies_pb2.SignaturePolicyEnvelope(
        version=0,
        rule=policies_pb2.SignaturePolicy(
            n_out_of=policies_pb2.SignaturePolicy.NOutOf(n=quorum, rules=rules)
        ),
        identities=principals,
    )


def _consensus(kind: str, metadata: Message) -> orderer_pb2.ConsensusType:
    return orderer_pb2.ConsensusType(type=kind, metadata=metadata.SerializeToString())


def _tls_certificate(node: OrdererNode) -> bytes:
    return _read(node.identity / "tls" / "server.crt")


def _read(path: Path) -> bytes:
    return path.read_bytes()
