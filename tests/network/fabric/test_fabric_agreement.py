"""On a Fabric channel all other organisations with one verifier, a majority, change nothing; with a quorum of verifiers they do."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from fabric_protos.common import configtx_pb2
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.fabric import lifecycle
from quorumlearn_network.fabric.access import admin, orderer_targets, target
from quorumlearn_network.fabric.config_update import APPLICATION, channel_config, submit
from quorumlearn_network.fabric.errors import DisagreementError, RefusedError
from quorumlearn_network.fabric.layout import Layout, PeerNode, plan
from quorumlearn_network.fabric.transactions import Target
from quorumlearn_network.up import read_network

from tests.network.fabric.fabric_net import FabricNet

pytestmark = [pytest.mark.timeout(300)]

PATIENCE_S = 30.0
SHORT = ("treasury", "owner", "verifier1")
"""Three of five, and one verifier: a majority, but no quorum of verifiers."""
ENOUGH = ("owner", "verifier1", "verifier3")


class Members:
    """The channel's organisations, as whoever administers them all sees them."""

    def __init__(self, net: FabricNet) -> None:
        self.layout: Layout = plan(read_network(net.network), net.network)

    def peers(self, names: Sequence[str]) -> list[PeerNode]:
        return [self.layout.peer_of(name) for name in names]

    def targets(self, names: Sequence[str]) -> list[Target]:
        return [target(self.layout, one) for one in self.peers(names)]

    def admins(self, names: Sequence[str]) -> list[SigningIdentity]:
        return [admin(self.layout, one) for one in self.peers(names)]

    def config(self) -> configtx_pb2.Config:
        (first,), (signer,) = self.targets(["owner"]), self.admins(["owner"])
        return channel_config(first, signer, self.layout.spec.channel)

    def change_channel(self, names: Sequence[str]) -> None:
        """Write a value of the application section again, as these administrators' change."""
        current = self.config().channel_group
        application = current.groups[APPLICATION]
        update = configtx_pb2.ConfigUpdate(channel_id=self.layout.spec.channel)
        for side in (update.read_set, update.write_set):
            side.version = current.version
            side.groups[APPLICATION].version = application.version
        written = update.write_set.groups[APPLICATION].values["Capabilities"]
        written.CopyFrom(application.values["Capabilities"])
        written.version += 1
        submit(update, self.admins(names), orderer_targets(self.layout))

    def change_chaincode(self, approving: Sequence[str], version: str) -> None:
        """Approve and commit the chaincode's next definition, as these organisations alone would."""
        chaincode = self.layout.spec.chaincode
        following = chaincode.model_copy(update={"version": version, "sequence": chaincode.sequence + 1})
        spec = self.layout.spec.model_copy(update={"chaincode": following})
        targets, orderers, admins = (
            self.targets(approving),
            orderer_targets(self.layout),
            self.admins(approving),
        )
        for one, signer in zip(targets, admins, strict=True):
            lifecycle.install(one, signer, spec)
            lifecycle.approve(one, orderers, signer, spec)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return lifecycle.commit(targets, orderers, admins[0], spec)
            except DisagreementError:  # a peer has yet to hear of the last approval
                assert time.monotonic() < deadline, "the peers disagree for good"
                time.sleep(0.1)


@pytest.fixture(scope="module")
def members(net: FabricNet) -> Members:
    return Members(net)


def test_the_channel_changes_only_with_a_quorum_of_verifiers_administrators(members: Members) -> None:
    before = members.config().sequence
    with pytest.raises(RefusedError):
        members.change_channel(SHORT)
    members.change_channel(ENOUGH)
    deadline = time.monotonic() + PATIENCE_S
    while (now := members.config().sequence) == before:
        assert time.monotonic() < deadline, "the peer does not hear of the change"
        time.sleep(0.1)
    assert now == before + 1


def test_the_chaincode_is_replaced_only_with_a_quorum_of_verifiers(members: Members, net: FabricNet) -> None:
    with pytest.raises(RefusedError, match="ENDORSEMENT_POLICY_FAILURE"):
        members.change_chaincode(SHORT, "1.1")
    assert net.done("network", "status")["fabric"]["definition"]["sequence"] == 1
    members.change_chaincode(ENOUGH, "1.1")
    assert net.done("network", "status")["fabric"]["definition"]["sequence"] == 2
