"""Peers and chaincodes that hang or are gone: a node passes them over, for a while, and acts through those that answer."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from quorumlearn.gateway import EndorseError, Gateway, Timeouts, connect, load_msp
from quorumlearn.nodes.endorsers import CONFIG, FIRST_REST, LONGEST_REST, Answering, QuorumContract
from quorumlearn_chaincode.runtime import ChaincodeService, ChaincodeStub, Response, ServiceSettings
from quorumlearn_network.devnet import Devnet
from quorumlearn_network.identities import ensure_peer, ensure_user, open_organisation
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import Config

from tests.client.gateway.conftest import QUICK
from tests.client.gateway.scripted_peer import CHANNEL, ScriptedPeer
from tests.network.devnet.conftest import MEMBERS, POLICY, Members, make_config, members

__all__ = ["members"]

HASTY = replace(QUICK, timeouts=Timeouts(0.3, 0.3, 0.3, 0.3), submissions=2)
VERIFIERS = ["OrgMSP", "V2MSP", "V3MSP"]
MARKET = Config(verifier_msps=VERIFIERS, verifier_quorum=2)


@dataclass
class Clock:
    """Time that passes when the test says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Played:
    """A verifier of OrgMSP at a scripted peer, with the other verifiers behind it."""

    peer: ScriptedPeer
    gateway: Gateway
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.peer.state[CONFIG] = canonical.to_json(MARKET)
        self.peer.state["t"] = b"the view"
        self.answering = Answering(self.clock)
        self.contract = self.another("verifier")
        self.contract.evaluate("View", "t")

    def another(self, name: str) -> QuorumContract:
        return QuorumContract(self.gateway.network(CHANNEL).contract("cc"), f"OrgMSP/{name}", self.answering)

    def named(self) -> list[set[str]]:
        """Who was named by the calls of Endorse so far."""
        return [set(request.endorsing_organizations) for request in self.peer.requests["Endorse"]]


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Played]:
    organisation = open_organisation(tmp_path, "org", "OrgMSP")
    identity = load_msp(ensure_user(organisation, "verifier"), "OrgMSP")
    with (
        ScriptedPeer() as peer,
        connect(peer.address, *identity, tls_root=None, options=HASTY) as gateway,
    ):
        yield Played(peer, gateway)


@pytest.mark.parametrize("hung", VERIFIERS)
def test_whoever_hangs_a_transaction_is_endorsed_by_others_and_the_next_at_once(
    played: Played, hung: str
) -> None:
    played.peer.silent = {hung}
    assert played.contract.submit("blocks:Commit", "t") == b"done:t"
    before = len(played.named())
    assert before <= 3
    played.contract.submit("blocks:Commit", "t")
    played.another("other").submit("blocks:Commit", "t")
    after = played.named()[before:]
    assert len(after) == 2
    assert all(hung not in one and len(one) == 2 for one in after)


def test_who_hangs_when_another_was_just_mended_costs_one_wait(played: Played) -> None:
    """The other is still passed over then, and is the one that endorses."""
    for hung in ("V2MSP", "V3MSP"):
        played.peer.silent = {hung}
        played.contract.submit("blocks:Commit", "t")
    before = len(played.named())
    played.peer.silent = {"V2MSP"}
    played.contract.submit("blocks:Commit", "t")
    assert len(played.named()) - before <= 2


def test_who_was_passed_over_is_tried_again_more_and_more_seldom_and_trusted_once_it_answers(
    played: Played,
) -> None:
    played.peer.silent = {"OrgMSP"}
    rests = []
    for _ in range(5):
        played.contract.evaluate("View", "t")
        asked_at = played.clock.now
        while played.answering.doubt("OrgMSP"):
            played.clock.now += 1.0
        rests.append(played.clock.now - asked_at)
    assert rests[0] == FIRST_REST
    assert rests == sorted(rests)
    assert rests[-1] == LONGEST_REST
    played.peer.silent = set()
    played.contract.submit("blocks:Commit", "t")
    assert "OrgMSP" in played.named()[-1]
    played.peer.silent = {"OrgMSP"}
    played.contract.evaluate("View", "t")
    played.clock.now += FIRST_REST
    assert not played.answering.doubt("OrgMSP")


def test_while_the_own_chaincode_does_not_answer_a_quorum_of_others_does(played: Played) -> None:
    """Both of them: a single one could make up what this node then acts on."""
    played.peer.silent = {"OrgMSP"}
    asked = played.peer.calls.count("Evaluate")
    for _ in range(3):
        assert played.contract.evaluate("View", "t") == b"done:t"
    assert played.peer.calls.count("Evaluate") == asked + 1
    played.contract.submit("blocks:Commit", "t")
    assert played.named() == [{"V2MSP", "V3MSP"}] * 4
    assert len(played.peer.blocks) == 1


def test_a_gateway_that_hangs_is_no_reason_to_ask_others_afterwards(played: Played) -> None:
    played.peer.hanging = {"Evaluate": 1, "Endorse": 1}
    with pytest.raises(EndorseError) as caught:
        played.contract.evaluate("View", "t")
    assert caught.value.timed_out
    assert played.contract.evaluate("View", "t") == b"the view"


def test_many_threads_that_miss_one_answer_are_one_miss() -> None:
    clock = Clock()
    answering = Answering(clock)
    for _ in range(20):
        answering.missed(["V2MSP"])
    clock.now = FIRST_REST
    assert not answering.doubt("V2MSP")


def test_a_peer_that_is_gone_is_not_asked_for_its_choice(played: Played) -> None:
    played.peer.stop()
    with pytest.raises(EndorseError) as caught:
        played.contract.submit("blocks:Commit", "t")
    assert caught.value.unreachable
    assert not played.answering.doubt("V2MSP")


class Market:
    """As much of a market as is asked here."""

    def init(self, stub: ChaincodeStub) -> Response:
        return Response(status=500, message="there is no init")

    def invoke(self, stub: ChaincodeStub) -> Response:
        name, args = stub.function_and_parameters()
        if name == CONFIG:
            verifiers = Config(verifier_msps=["V1MSP", "V2MSP", "V3MSP"], verifier_quorum=2)
            return Response(payload=canonical.to_json(verifiers))
        if name == "blocks:Commit":
            stub.put_state(args[0], args[1].encode())
            return Response(payload=b"committed")
        return Response(payload=stub.get_state(args[0]) or b"")


@pytest.fixture
def on_devnet(members: Members, tmp_path: Path) -> Iterator[Callable[[Sequence[str], str], QuorumContract]]:
    """A verifier of V1MSP on a devnet of three, where some organisations' chaincodes are at the given address instead."""
    package = "kv_1.0:" + "0" * 64
    service = ChaincodeService(Market(), ServiceSettings(package_id=package, address="127.0.0.1:0"))
    working = service.start()
    opened: list[Devnet | Gateway] = []

    def start(broken: Sequence[str], at: str) -> QuorumContract:
        services = {name: {"kv": at if name in broken else working} for name in MEMBERS}
        chaincode = {"name": "kv", "package_id": package, "version": "1.0", "sequence": 1, "policy": POLICY}
        devnet = Devnet(make_config(members, tmp_path / "ledger.sqlite", services, chaincodes=[chaincode]))
        devnet.start()
        organisation = members.organisations["V1MSP"]
        ensure_peer(organisation, ["localhost", "127.0.0.1"])
        identity = load_msp(ensure_user(organisation, "verifier"), "V1MSP")
        root = organisation.tls_authority.read_bytes()
        patient = replace(HASTY, timeouts=Timeouts(1.0, 1.0, 1.0, 1.0))
        gateway = connect(devnet.addresses["V1MSP"], *identity, tls_root=root, options=patient)
        opened.extend((devnet, gateway))
        contract = gateway.network("quorumlearn").contract("kv")
        answering = Answering()
        answering.config = Config(verifier_msps=["V1MSP", "V2MSP", "V3MSP"], verifier_quorum=2)
        return QuorumContract(contract, "V1MSP/verifier", answering)

    yield start
    for one in reversed(opened):
        one.stop() if isinstance(one, Devnet) else one.close()
    service.stop()


@pytest.mark.parametrize(("broken", "listening"), [("V1MSP", True), ("V1MSP", False), ("V3MSP", True)])
def test_on_a_devnet_a_verifier_acts_without_an_organisation_whose_chaincode_is_gone_or_hangs(
    on_devnet: Callable[[Sequence[str], str], QuorumContract], broken: str, listening: bool
) -> None:
    """A devnet waits five seconds for a chaincode, and Fabric ten."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "{}:{}".format(*silent.getsockname())
        if not listening:
            silent.close()
        contract = on_devnet([broken], address)
        for n in range(3):
            contract.evaluate("get", "k")
            assert contract.submit("blocks:Commit", "k", str(n)) == b"committed"
            assert contract.evaluate("get", "k") == str(n).encode()
