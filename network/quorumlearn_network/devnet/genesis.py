"""Block 0: the channel configuration, which names the organisations and how they decide.

A CONFIG envelope as configtxgen makes it: capabilities V3_0 / V2_5, each organisation's MSP and policies
(Readers are its admins, peers and clients, Writers its admins and clients, Endorsement its peers), the
orderer's batch settings. It is not signed. Consensus type `solo`: one process orders.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence

from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2
from google.protobuf.message import Message

from quorumlearn_network.devnet.blocks import new_block
from quorumlearn_network.devnet.config import BatchConfig
from quorumlearn_network.devnet.errors import LedgerError
from quorumlearn_network.devnet.msp import Msp, Role
from quorumlearn_network.devnet.policy import role_policy


def genesis_block(
    channel: str, organisations: Sequence[Msp], orderer: Msp, batch: BatchConfig
) -> common_pb2.Block:
    """Block 0 of a new channel."""
    nonce = os.urandom(24)
    header = common_pb2.ChannelHeader(
        type=common_pb2.CONFIG, version=1, channel_id=channel, tx_id=hashlib.sha256(nonce).hexdigest()
    )
    header.timestamp.GetCurrentTime()
    header.timestamp.nanos = 0
    config = configtx_pb2.ConfigEnvelope(
        config=configtx_pb2.Config(channel_group=_channel_group(organisations, orderer, batch))
    )
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=header.SerializeToString(),
            signature_header=common_pb2.SignatureHeader(nonce=nonce).SerializeToString(),
        ),
        data=config.SerializeToString(),
    )
    return new_block(
        0, b"", [common_pb2.Envelope(payload=payload.SerializeToString()).SerializeToString()], None
    )


def check_members(genesis: common_pb2.Block, organisations: Sequence[Msp], orderer: Msp) -> None:
    """LedgerError unless the ledger was created for these organisations with these certificate authorities."""
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(genesis.data.data[0]).payload)
    group = configtx_pb2.ConfigEnvelope.FromString(payload.data).config.channel_group
    found: Mapping[str, bytes] = {
        name: bytes(member.values["MSP"].value)
        for section in ("Application", "Orderer")
        for name, member in group.groups[section].groups.items()
    }
    wanted = {msp.msp_id: msp.config().SerializeToString() for msp in (*organisations, orderer)}
    for msp_id in sorted(set(found) ^ set(wanted)):
        here = "the ledger" if msp_id in found else "the configuration"
        raise LedgerError(f"{msp_id} is a member only in {here}: the members of a ledger cannot change")
    for msp_id, value in wanted.items():
        if found[msp_id] != value:
            raise LedgerError(
                f"the certificate authorities of {msp_id} are not those the ledger was created with: "
                "use the old MSP folder, or a new ledger"
            )


def _channel_group(
    organisations: Sequence[Msp], orderer: Msp, batch: BatchConfig
) -> configtx_pb2.ConfigGroup:
    channel = configtx_pb2.ConfigGroup()
    _section_policies(channel)
    _capabilities(channel, "V3_0")
    _value(channel, "HashingAlgorithm", configuration_pb2.HashingAlgorithm(name="SHA256"))
    _value(
        channel,
        "BlockDataHashingStructure",
        configuration_pb2.BlockDataHashingStructure(width=0xFFFFFFFF),
    )
    ordering = channel.groups["Orderer"]
    _section_policies(ordering)
    _implicit(ordering, "BlockValidation", "ANY", "Writers")
    _capabilities(ordering, "V2_0")
    _value(ordering, "ConsensusType", orderer_pb2.ConsensusType(type="solo"))
    _value(ordering, "BatchTimeout", orderer_pb2.BatchTimeout(timeout=f"{batch.timeout_ms}ms"))
    _value(
        ordering,
        "BatchSize",
        orderer_pb2.BatchSize(
            max_message_count=batch.max_messages,
            absolute_max_bytes=batch.absolute_max_bytes,
            preferred_max_bytes=batch.preferred_max_bytes,
        ),
    )
    _value(ordering, "ChannelRestrictions", orderer_pb2.ChannelRestrictions())
    _organisation(ordering.groups[orderer.msp_id], orderer, endorses=False)
    application = channel.groups["Application"]
    _section_policies(application)
    _implicit(application, "LifecycleEndorsement", "MAJORITY", "Endorsement")
    _implicit(application, "Endorsement", "MAJORITY", "Endorsement")
    _capabilities(application, "V2_5")
    for msp in organisations:
        _organisation(application.groups[msp.msp_id], msp, endorses=True)
    return channel


def _organisation(group: configtx_pb2.ConfigGroup, msp: Msp, endorses: bool) -> None:
    group.mod_policy = "Admins"
    writers = [Role.ADMIN, Role.CLIENT] if msp.units else [Role.MEMBER]
    readers = [Role.MEMBER] if not (endorses and msp.units) else [Role.ADMIN, Role.PEER, Role.CLIENT]
    roles = {"Readers": readers, "Writers": writers if endorses else [Role.MEMBER], "Admins": [Role.ADMIN]}
    if endorses:
        roles["Endorsement"] = [Role.PEER]
    for name, allowed in roles.items():
        policy = role_policy(1, [(msp.msp_id, role) for role in allowed]).SerializeToString()
        _policy(group, name, policies_pb2.Policy(type=policies_pb2.Policy.SIGNATURE, value=policy))
    _value(group, "MSP", msp.config())


def _section_policies(group: configtx_pb2.ConfigGroup) -> None:
    group.mod_policy = "Admins"
    for name, rule in (("Readers", "ANY"), ("Writers", "ANY"), ("Admins", "MAJORITY")):
        _implicit(group, name, rule, name)


def _implicit(group: configtx_pb2.ConfigGroup, name: str, rule: str, of: str) -> None:
    meta = policies_pb2.ImplicitMetaPolicy(
        rule=policies_pb2.ImplicitMetaPolicy.Rule.Value(rule), sub_policy=of
    )
    _policy(
        group,
        name,
        policies_pb2.Policy(type=policies_pb2.Policy.IMPLICIT_META, value=meta.SerializeToString()),
    )


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
