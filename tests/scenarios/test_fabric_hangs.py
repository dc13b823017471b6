"""On real Fabric: a verifier acts while a peer, the Raft leader or its own chaincode hangs, or is gone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from quorumlearn.gateway import Gateway, GatewayError, connect_profile, find_profile
from quorumlearn.nodes.endorsers import Answering, QuorumContract
from quorumlearn.nodes.organisation import OPTIONS
from quorumlearn_network.fabric import report
from quorumlearn_network.processes import Detached
from quorumlearn_proto.common_pb2 import Config

from tests.conformance.network import VERIFIERS, Network, running, why_not

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

KEY_STEP_S = 30.0
"""The shortest deadline that a task sets by default."""


@dataclass
class Seat:
    """A verifier of V1MSP, which reads and writes all the time."""

    network: Network
    contract: QuorumContract
    number: int = 0

    def acts(self, seconds: float) -> float:
        """Read, write and read again for so long; how long the slowest of these took, whatever had to be tried again."""
        slowest, until = 0.0, time.monotonic() + seconds
        while time.monotonic() < until:
            self.number += 1
            began = time.monotonic()
            self._until_done(lambda: self.contract.evaluate("get", "seat"))
            self._until_done(lambda: self.contract.submit("put", "seat", str(self.number)))
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.1)
        return slowest

    def _until_done(self, step: Callable[[], bytes]) -> None:
        until = time.monotonic() + 2 * KEY_STEP_S
        while True:
            try:
                step()
            except GatewayError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
            else:
                return

    def send(self, name: str, what: signal.Signals) -> None:
        pid = Detached(self.network.folder, name).pid()
        assert pid is not None
        os.kill(pid, what)


@pytest.fixture(scope="module")
def seat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seat]:
    reason = why_not("fabric")
    if reason is not None:
        pytest.skip(reason)
    with running("fabric", tmp_path_factory.mktemp("hangs") / "network", orderers=3) as network:
        organisation = network.organisation("V1MSP")
        gateway: Gateway = connect_profile(
            find_profile(organisation.folder), organisation.user("user"), OPTIONS
        )
        answering = Answering()
        answering.config = Config(verifier_msps=VERIFIERS, verifier_quorum=2)
        with gateway:
            contract = gateway.network("quorumlearn").contract("kv")
            yield Seat(network, QuorumContract(contract, "V1MSP/user", answering))


@pytest.mark.parametrize("hung", ["peer0.v2", "peer0.v3", "chaincode.v1", "the leader"])
def test_what_hangs_holds_no_step_until_its_deadline(
    seat: Seat, hung: str, record_property: Callable[[str, object], None]
) -> None:
    name = hung
    if hung == "the leader":
        name = next(node.name for node in report(seat.network.folder).nodes if node.leader)
    seat.send(name, signal.SIGSTOP)
    try:
        slowest = seat.acts(25)
    finally:
        seat.send(name, signal.SIGCONT)
    record_property("slowest_s", round(slowest, 1))
    assert slowest < KEY_STEP_S * 5 / 6
    assert seat.acts(5) < KEY_STEP_S / 2


def test_a_dead_chaincode_of_its_own_keeps_no_verifier_from_acting(
    seat: Seat, record_property: Callable[[str, object], None]
) -> None:
    seat.send("chaincode.v1", signal.SIGKILL)
    slowest = seat.acts(30)
    record_property("slowest_s", round(slowest, 1))
    assert slowest < KEY_STEP_S / 3
