"""The channel's configuration: who is a member, who decides what, how blocks are made; and its genesis block.

The tree is the one that configtxgen writes for capabilities V3_0 (channel), V2_0 (orderers) and V2_5 (application):

    Channel
      Orderer       ConsensusType, BatchSize, BatchTimeout, the ordering organisation with its endpoints
      Application   one group for each organisation: its MSP, its policies, its anchor peer

Rules:
- everything is decided by the section's Admins, a majority of its organisations unless the description says otherwise;
- with BFT a block is valid if a quorum of the orderers, each by its own certificate, has signed it.

Source: Fabric, "Channel configuration (configtx)"; internal/configtxgen/encoder for the bytes of values.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from pathlib import Path

from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.msp import identities_pb2, msp_principal_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2
from fabric_protos.orderer.etcdraft import configuration_pb2 as raft_pb2
from fabric_protos.orderer.smartbft import configuration_pb2 as bft_pb2
from fabric_protos.peer import configuration_pb2 as peer_pb2
from google.protobuf.message import Message

from quorumlearn_network.devnet.blocks import new_block
from quorumlearn_network.devnet.msp import Msp, Role
from quorumlearn_network.devnet.policy import role_policy
from quorumlearn_network.fabric.layout import Layout, OrdererNode, PeerNode, split
from quorumlearn_network.spec import BatchSpec, Consensus, Share

_MEMBERS = (Role.ADMIN, Role.PEER, Role.CLIENT)
_SNAPSHOT_BYTES = 16 << 20


def genesis_block(layout: Layout) -> bytes:
    """A serialised common.Block, number 0; every organisation's and orderer's identities must be on disk."""
    nonce = os.urandom(24)
    header = common_pb2.ChannelHeader(
        type=common_pb2.CONFIG,
        version=1,
        channel_id=layout.spec.channel,
        tx_id=hashlib.sha256(nonce).hexdigest(),
    )
    header.timestamp.GetCurrentTime()
    header.timestamp.nanos = 0
    config = configtx_pb2.ConfigEnvelope(config=configtx_pb2.Config(channel_group=_channel_group(layout)))
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=header.SerializeToString(),
            signature_header=common_pb2.SignatureHeader(nonce=nonce).SerializeToString(),
        ),
        data=config.SerializeToString(),
    )
    envelope = common_pb2.Envelope(payload=payload.SerializeToString()).SerializeToString()
    block = new_block(0, b"", [envelope], None)
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
    _organisation(group, Msp.load(one.msp_id, layout.organisation(one).folder / "msp"), roles)
    anchors = peer_pb2.AnchorPeers()
    host, port = split(peer.reached)
    anchors.anchor_peers.add(host=host, port=port)
    _value(group, "AnchorPeers", anchors)
    return group


def _channel_group(layout: Layout) -> configtx_pb2.ConfigGroup:
    channel = configtx_pb2.ConfigGroup()
    _section(channel)
    _capabilities(channel, "V3_0")
    _value(channel, "HashingAlgorithm", configuration_pb2.HashingAlgorithm(name="SHA256"))
    structure = configuration_pb2.BlockDataHashingStructure(width=0xFFFFFFFF)
    _value(channel, "BlockDataHashingStructure", structure)
    _ordering(channel.groups["Orderer"], layout)
    application = channel.groups["Application"]
    policies = layout.fabric.policies
    _section(application, policies.admins)
    _implicit(application, "LifecycleEndorsement", policies.lifecycle, "Endorsement")
    _implicit(application, "Endorsement", Share.MAJORITY, "Endorsement")
    _capabilities(application, "V2_5")
    for peer in layout.peers:
        application.groups[peer.organisation.msp_id].CopyFrom(member_group(layout, peer))
    return channel


def _ordering(group: configtx_pb2.ConfigGroup, layout: Layout) -> None:
    batch = layout.spec.batch
    _section(group)
    _capabilities(group, "V2_0")
    _value(group, "BatchTimeout", orderer_pb2.BatchTimeout(timeout=f"{batch.timeout_ms}ms"))
    size = orderer_pb2.BatchSize(
        max_message_count=batch.max_messages,
        absolute_max_bytes=batch.absolute_max_bytes,
        preferred_max_bytes=batch.preferred_max_bytes,
    )
    _value(group, "BatchSize", size)
    _value(group, "ChannelRestrictions", orderer_pb2.ChannelRestrictions())
    if layout.fabric.consensus is Consensus.BFT:
        consenters = [_bft_consenter(node) for node in layout.orderers]
        _value(group, "Orderers", configuration_pb2.Orderers(consenter_mapping=consenters))
        _value(group, "ConsensusType", _consensus("BFT", _bft_options(batch)))
        _signature(group, "BlockValidation", _bft_quorum(consenters))
    else:
        _value(group, "ConsensusType", _consensus("etcdraft", _raft(layout.orderers)))
        _implicit(group, "BlockValidation", Share.ANY, "Writers")
    orderer = layout.spec.orderer
    ours = group.groups[orderer.msp_id]
    roles = {"Readers": (Role.MEMBER,), "Writers": (Role.MEMBER,), "Admins": (Role.ADMIN,)}
    _organisation(ours, Msp.load(orderer.msp_id, layout.ordering.folder / "msp"), roles)
    addresses = [node.reached for node in layout.orderers]
    _value(ours, "Endpoints", configuration_pb2.OrdererAddresses(addresses=addresses))


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


def _organisation(group: configtx_pb2.ConfigGroup, msp: Msp, roles: Mapping[str, tuple[Role, ...]]) -> None:
    group.mod_policy = "Admins"
    for name, any_of in roles.items():
        _signature(group, name, role_policy(1, [(msp.msp_id, role) for role in any_of]))
    _value(group, "MSP", msp.config())


def _section(group: configtx_pb2.ConfigGroup, admins: Share = Share.MAJORITY) -> None:
    group.mod_policy = "Admins"
    for name, share in (("Readers", Share.ANY), ("Writers", Share.ANY), ("Admins", admins)):
        _implicit(group, name, share, name)


def _implicit(group: configtx_pb2.ConfigGroup, name: str, share: Share, of: str) -> None:
    rule = policies_pb2.ImplicitMetaPolicy.Rule.Value(share.value)
    meta = policies_pb2.ImplicitMetaPolicy(rule=rule, sub_policy=of).SerializeToString()
    _policy(group, name, policies_pb2.Policy(type=policies_pb2.Policy.IMPLICIT_META, value=meta))


def _signature(
    group: configtx_pb2.ConfigGroup, name: str, policy: policies_pb2.SignaturePolicyEnvelope
) -> None:
    value = policy.SerializeToString()
    _policy(group, name, policies_pb2.Policy(type=policies_pb2.Policy.SIGNATURE, value=value))


def _policy(group: configtx_pb2.ConfigGroup, name: str, policy: policies_pb2.Policy) -> None:
    group.policies[name].policy.CopyFrom(policy)
    group.policies[name].mod_policy = "Admins"


def _value(group: configtx_pb2.ConfigGroup, name: str, message: Message) -> None:
    group.values[name].value = message.SerializeToString()
    group.values[name].mod_policy = "Admins"


def _capabilities(group: configtx_pb2.ConfigGroup, version: str) -> None:
    capabilities = configuration_pb2.Capabilities()
    capabilities.capabilities[version].SetInParent()
    _value(group, "Capabilities", capabilities)


def _tls_certificate(node: OrdererNode) -> bytes:
    return _read(node.identity / "tls" / "server.crt")


def _read(path: Path) -> bytes:
    return path.read_bytes()
