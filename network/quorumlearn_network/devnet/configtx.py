"""What every channel's configuration is made of, in the words of Fabric's configtx: groups, values and policies.

The tree is the one that configtxgen writes for capabilities V3_0 (channel), V2_0 (orderers) and V2_5 (application).
Every element is changed by the Admins of its group.

Source: Fabric, "Channel configuration (configtx)"; internal/configtxgen/encoder for the bytes of values.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Protocol

from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2
from google.protobuf.message import Message

from quorumlearn_network.devnet.blocks import new_block
from quorumlearn_network.devnet.msp import Msp, Role
from quorumlearn_network.devnet.policy import role_policy

LIFECYCLE_ENDORSEMENT = "LifecycleEndorsement"
"""The application section's policy on chaincodes' definitions."""
Agreements = Mapping[str, policies_pb2.SignaturePolicyEnvelope]
"""Policies of the application section by name, in the place of a majority: Admins, Endorsement, LifecycleEndorsement."""


class Batch(Protocol):
    """When the orderers cut a block."""

    @property
    def timeout_ms(self) -> int: ...
    @property
    def max_messages(self) -> int: ...
    @property
    def absolute_max_bytes(self) -> int: ...
    @property
    def preferred_max_bytes(self) -> int: ...


def first_block(channel: str, group: configtx_pb2.ConfigGroup) -> common_pb2.Block:
    """Block 0 of a channel with this configuration: one CONFIG envelope, not signed."""
    nonce = os.urandom(24)
    header = common_pb2.ChannelHeader(
        type=common_pb2.CONFIG, version=1, channel_id=channel, tx_id=hashlib.sha256(nonce).hexdigest()
    )
    header.timestamp.GetCurrentTime()
    header.timestamp.nanos = 0
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=header.SerializeToString(),
            signature_header=common_pb2.SignatureHeader(nonce=nonce).SerializeToString(),
        ),
        data=configtx_pb2.ConfigEnvelope(config=configtx_pb2.Config(channel_group=group)).SerializeToString(),
    )
    envelope = common_pb2.Envelope(payload=payload.SerializeToString())
    return new_block(0, b"", [envelope.SerializeToString()], None)


def channel_group() -> configtx_pb2.ConfigGroup:
    """The root of a channel's configuration, without its two sections."""
    channel = configtx_pb2.ConfigGroup()
    _section(channel)
    _capabilities(channel, "V3_0")
    set_value(channel, "HashingAlgorithm", configuration_pb2.HashingAlgorithm(name="SHA256"))
    structure = configuration_pb2.BlockDataHashingStructure(width=0xFFFFFFFF)
    set_value(channel, "BlockDataHashingStructure", structure)
    return channel


def ordering_section(channel: configtx_pb2.ConfigGroup, batch: Batch) -> configtx_pb2.ConfigGroup:
    """The orderers' section, without its organisation, ConsensusType and BlockValidation."""
    group: configtx_pb2.ConfigGroup = channel.groups["Orderer"]
    _section(group)
    _capabilities(group, "V2_0")
    set_value(group, "BatchTimeout", orderer_pb2.BatchTimeout(timeout=f"{batch.timeout_ms}ms"))
    size = orderer_pb2.BatchSize(
        max_message_count=batch.max_messages,
        absolute_max_bytes=batch.absolute_max_bytes,
        preferred_max_bytes=batch.preferred_max_bytes,
    )
    set_value(group, "BatchSize", size)
    set_value(group, "ChannelRestrictions", orderer_pb2.ChannelRestrictions())
    return group


def application_section(
    channel: configtx_pb2.ConfigGroup, agreements: Agreements
) -> configtx_pb2.ConfigGroup:
    """The section of those who use the channel, without its organisations. What is not agreed on otherwise takes a majority."""
    group: configtx_pb2.ConfigGroup = channel.groups["Application"]
    _section(group)
    for name in (LIFECYCLE_ENDORSEMENT, "Endorsement"):
        set_implicit(group, name, "MAJORITY", "Endorsement")
    for name, policy in agreements.items():
        set_signature(group, name, policy)
    _capabilities(group, "V2_5")
    return group


def set_organisation(group: configtx_pb2.ConfigGroup, msp: Msp, roles: Mapping[str, Sequence[Role]]) -> None:
    """An organisation's MSP and policies: for each policy's name the roles of which any one satisfies it."""
    group.mod_policy = "Admins"
    for name, any_of in roles.items():
        set_signature(group, name, role_policy(1, [(msp.msp_id, role) for role in any_of]))
    set_value(group, "MSP", msp.config())


def set_implicit(group: configtx_pb2.ConfigGroup, name: str, share: str, of: str) -> None:
    """A policy that ANY, ALL or a MAJORITY of the group's members satisfy by their policy `of`."""
    rule = policies_pb2.ImplicitMetaPolicy.Rule.Value(share)
    meta = policies_pb2.ImplicitMetaPolicy(rule=rule, sub_policy=of).SerializeToString()
    _policy(group, name, policies_pb2.Policy(type=policies_pb2.Policy.IMPLICIT_META, value=meta))


def set_signature(
    group: configtx_pb2.ConfigGroup, name: str, policy: policies_pb2.SignaturePolicyEnvelope
) -> None:
    """A policy that signatures satisfy."""
    value = policy.SerializeToString()
    _policy(group, name, policies_pb2.Policy(type=policies_pb2.Policy.SIGNATURE, value=value))


def set_value(group: configtx_pb2.ConfigGroup, name: str, message: Message) -> None:
    """A value of the group."""
    group.values[name].value = message.SerializeToString()
    group.values[name].mod_policy = "Admins"


def _section(group: configtx_pb2.ConfigGroup) -> None:
    group.mod_policy = "Admins"
    for name, share in (("Readers", "ANY"), ("Writers", "ANY"), ("Admins", "MAJORITY")):
        set_implicit(group, name, share, name)


def _policy(group: configtx_pb2.ConfigGroup, name: str, policy: policies_pb2.Policy) -> None:
    group.policies[name].policy.CopyFrom(policy)
    group.policies[name].mod_policy = "Admins"


def _capabilities(group: configtx_pb2.ConfigGroup, version: str) -> None:
    capabilities = configuration_pb2.Capabilities()
    capabilities.capabilities[version].SetInParent()
    set_value(group, "Capabilities", capabilities)
