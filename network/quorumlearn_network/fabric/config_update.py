"""Changing a channel that runs: an organisation is added, signed by the administrators of those that are there.

A change is the difference between two configuration trees: what it builds on, by version (the read set), and what
becomes of it (the write set). A group that gains a member names all its members, each by version, and goes up by one.

Source: Fabric, "Adding an Org to a Channel"; internal/configtxlator/update for the sets.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from fabric_protos.common import common_pb2, configtx_pb2
from google.protobuf.message import DecodeError

from quorumlearn_network.devnet.configtx import Agreements, set_signature
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.fabric.errors import FabricError
from quorumlearn_network.fabric.transactions import Target, broadcast, call, persist
from quorumlearn_network.folder import Waiting

APPLICATION = "Application"


class _NotYetError(FabricError):
    """The peer has not seen the change."""


def channel_config(peer: Target, admin: SigningIdentity, channel: str) -> configtx_pb2.Config:
    """The channel's configuration as a peer knows it."""
    block = common_pb2.Block.FromString(call(peer, admin, "", "cscc", "GetConfigBlock", channel))
    try:
        payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(block.data.data[0]).payload)
        return configtx_pb2.ConfigEnvelope.FromString(payload.data).config
    except (DecodeError, IndexError) as error:
        raise FabricError(f"{peer.name} answered with a block that holds no configuration") from error


def members(config: configtx_pb2.Config) -> frozenset[str]:
    """The organisations (group names, which are MSP ids here) of the application section."""
    return frozenset(config.channel_group.groups[APPLICATION].groups)


def addition(
    config: configtx_pb2.Config,
    channel: str,
    msp_id: str,
    group: configtx_pb2.ConfigGroup,
    agreements: Agreements,
) -> configtx_pb2.ConfigUpdate:
    """The change that adds an organisation's group to the application section, whose `agreements` count it from then on."""
    current = config.channel_group
    application = current.groups[APPLICATION]
    update = configtx_pb2.ConfigUpdate(channel_id=channel)
    for side in (update.read_set, update.write_set):
        side.version = current.version
        part = side.groups[APPLICATION]
        part.version = application.version
        for name, member in application.groups.items():
            part.groups[name].version = member.version
        for name, value in application.values.items():
            part.values[name].version = value.version
        for name, policy in application.policies.items():
            part.policies[name].version = policy.version
    written = update.write_set.groups[APPLICATION]
    written.version = application.version + 1
    written.mod_policy = application.mod_policy
    written.groups[msp_id].CopyFrom(group)
    for name, policy in agreements.items():
        set_signature(written, name, policy)
        written.policies[name].version = application.policies[name].version + 1
    return update


def submit(
    update: configtx_pb2.ConfigUpdate,
    admins: Sequence[SigningIdentity],
    orderers: Sequence[Target],
) -> None:
    """Have all `admins` sign the change, and order it; the first of them hands it in."""
    data = update.SerializeToString()
    envelope = configtx_pb2.ConfigUpdateEnvelope(config_update=data)
    for admin in admins:
        header = _signature_header(admin)
        envelope.signatures.add(signature_header=header, signature=admin.sign(header + data))
    sender = admins[0]
    channel_header = common_pb2.ChannelHeader(type=common_pb2.CONFIG_UPDATE, channel_id=update.channel_id)
    channel_header.timestamp.FromNanoseconds(time.time_ns())
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=channel_header.SerializeToString(), signature_header=_signature_header(sender)
        ),
        data=envelope.SerializeToString(),
    ).SerializeToString()
    signed = common_pb2.Envelope(payload=payload, signature=sender.sign(payload))
    broadcast(orderers, signed, "a change of the channel")


def await_member(
    peers: Mapping[str, tuple[Target, SigningIdentity]], channel: str, msp_id: str, waiting: Waiting
) -> None:
    """Return when every one of `peers` knows the organisation as a member."""
    for name, (peer, admin) in peers.items():

        def seen(peer: Target = peer, admin: SigningIdentity = admin, name: str = name) -> None:
            if msp_id not in members(channel_config(peer, admin, channel)):
                raise _NotYetError(f"{name} does not know {msp_id} as a member of {channel}")

        persist(seen, waiting, also=(_NotYetError,))


def _signature_header(signer: SigningIdentity) -> bytes:
    header = common_pb2.SignatureHeader(creator=signer.serialized, nonce=os.urandom(24))
    data: bytes = header.SerializeToString()
    return data
