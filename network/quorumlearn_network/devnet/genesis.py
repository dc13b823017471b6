"""Block 0: the channel configuration, which names the organisations and how they decide.

Each organisation's MSP and policies (Readers are its admins, peers and clients, Writers its admins and clients, Endorsement
its peers) and the orderer's batch settings. Consensus type `solo`: one process orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fabric_protos.common import common_pb2, configtx_pb2, policies_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2

from quorumlearn_network.devnet import configtx
from quorumlearn_network.devnet.config import BatchConfig
from quorumlearn_network.devnet.errors import LedgerError
from quorumlearn_network.devnet.msp import Msp, Role
from quorumlearn_network.devnet.policy import checked, role_policy


def genesis_block(
    channel: str,
    organisations: Sequence[Msp],
    orderer: Msp,
    batch: BatchConfig,
    agreements: configtx.Agreements,
) -> common_pb2.Block:
    """Block 0 of a new channel."""
    group = configtx.channel_group()
    ordering = configtx.ordering_section(group, batch)
    configtx.set_implicit(ordering, "BlockValidation", "ANY", "Writers")
    configtx.set_value(ordering, "ConsensusType", orderer_pb2.ConsensusType(type="solo"))
    configtx.set_organisation(ordering.groups[orderer.msp_id], orderer, _roles(orderer, endorses=False))
    application = configtx.application_section(group, agreements)
    for msp in organisations:
        configtx.set_organisation(application.groups[msp.msp_id], msp, _roles(msp, endorses=True))
    return configtx.first_block(channel, group)


def lifecycle_policy(genesis: common_pb2.Block) -> policies_pb2.SignaturePolicyEnvelope:
    """Who must endorse a chaincode's definition on this channel. An implicit policy is spelt out: a majority of all peers."""
    application = _channel_group(genesis).groups["Application"]
    policy = application.policies[configtx.LIFECYCLE_ENDORSEMENT].policy
    if policy.type == policies_pb2.Policy.SIGNATURE:
        return checked(policies_pb2.SignaturePolicyEnvelope.FromString(policy.value))
    members = sorted(application.groups)
    return role_policy(len(members) // 2 + 1, [(msp_id, Role.PEER) for msp_id in members])


def check_members(genesis: common_pb2.Block, organisations: Sequence[Msp], orderer: Msp) -> None:
    """LedgerError unless the ledger was created for these organisations with these certificate authorities."""
    group = _channel_group(genesis)
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


def _channel_group(genesis: common_pb2.Block) -> configtx_pb2.ConfigGroup:
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(genesis.data.data[0]).payload)
    return configtx_pb2.ConfigEnvelope.FromString(payload.data).config.channel_group


def _roles(msp: Msp, *, endorses: bool) -> dict[str, Sequence[Role]]:
    """Who satisfies an organisation's policies; without organisational units (`msp.units`) any member reads and writes."""
    readers = [Role.ADMIN, Role.PEER, Role.CLIENT] if endorses and msp.units else [Role.MEMBER]
    writers = [Role.ADMIN, Role.CLIENT] if endorses and msp.units else [Role.MEMBER]
    roles: dict[str, Sequence[Role]] = {"Readers": readers, "Writers": writers, "Admins": [Role.ADMIN]}
    return roles | {"Endorsement": [Role.PEER]} if endorses else roles
