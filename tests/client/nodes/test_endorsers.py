"""Who is named to endorse: a quorum of verifiers, the own organisation first; if they do not, the peer chooses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.gateway import EndorseError, PeerError
from quorumlearn.nodes.endorsers import QuorumContract, endorsers
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import Config

CONFIG = Config(treasury_msp="T", verifier_msps=["V1", "V2", "V3"], verifier_quorum=2)


@given(st.integers(1, 9), st.data(), st.text("abc", min_size=1), st.integers(0, 20))
def test_a_quorum_of_verifiers_is_named_each_once_the_own_first(
    count: int, data: st.DataObject, name: str, turn: int
) -> None:
    verifiers = [f"V{i}" for i in range(count)]
    config = Config(verifier_msps=verifiers, verifier_quorum=data.draw(st.integers(1, count)))
    own = data.draw(st.sampled_from([*verifiers, "MinersMSP"]))
    named = endorsers(config, f"{own}/{name}", turn)
    assert len(set(named)) == len(named) == config.verifier_quorum
    assert set(named) <= set(verifiers)
    assert own == "MinersMSP" or named[0] == own


def test_the_work_is_spread_and_another_turn_names_others() -> None:
    names = [endorsers(CONFIG, f"Miners1MSP/miner{i}", 0) for i in range(60)]
    assert {tuple(sorted(one)) for one in names} == {("V1", "V2"), ("V1", "V3"), ("V2", "V3")}
    assert endorsers(CONFIG, "V1/v", 0) != endorsers(CONFIG, "V1/v", 1)


class Scripted:
    """Fails while it has errors left; records who was named."""

    def __init__(self, *errors: EndorseError) -> None:
        self.errors = list(errors)
        self.named: list[tuple[str, tuple[str, ...]]] = []
        self.asked: list[str] = []

    def evaluate(self, function: str, *args: str) -> bytes:
        self.asked.append(function)
        return canonical.to_json(CONFIG)

    def evaluate_jointly(
        self, function: str, *args: str, endorsing_organisations: Sequence[str] = ()
    ) -> bytes:
        raise AssertionError(f"{function} was asked of {endorsing_organisations}")

    def submit(self, function: str, *args: str, endorsing_organisations: Sequence[str] = ()) -> bytes:
        self.named.append((function, tuple(endorsing_organisations)))
        if self.errors:
            raise self.errors.pop(0)
        return b"done"


REFUSED = "chaincode response 500, [WRONG_PHASE] too late"


def test_those_named_are_not_believed_the_peer_chooses_and_then_others_are_named() -> None:
    """One dishonest verifier's refusals shall keep nobody out."""
    contract = Scripted(EndorseError("aborted", details=(PeerError("peer", "V2", REFUSED),)))
    quorum = QuorumContract(contract, "V1/v")
    assert quorum.submit("blocks:Commit", "a") == b"done"
    assert quorum.submit("blocks:Commit", "a") == b"done"
    (_, first), (_, none), (_, second) = contract.named
    assert none == ()
    assert first[0] == second[0] == "V1"
    assert first != second
    assert contract.asked == ["rewards:Config"]


def test_what_the_peers_choice_refuses_is_refused() -> None:
    refused = EndorseError("aborted", details=(PeerError("peer", "V1", REFUSED),))
    contract = Scripted(refused, refused)
    with pytest.raises(EndorseError):
        QuorumContract(contract, "M/m").submit("blocks:Commit", "a")
    assert [bool(named) for _, named in contract.named] == [True, False]


@pytest.mark.parametrize("function", ["tasks:Publish", "tasks:Join", "rewards:Transfer", "blocks:Commit"])
def test_a_quorum_is_named_for_whatever_is_written(function: str) -> None:
    contract = Scripted()
    QuorumContract(contract, "M/m").submit(function, "{}")
    ((_, named),) = contract.named
    assert len(set(named)) == len(named) == CONFIG.verifier_quorum


def test_whoever_initialises_knows_of_nobody_to_name() -> None:
    contract = Scripted()
    QuorumContract(contract, "T/admin").submit("rewards:Initialise", "{}")
    assert contract.named == [("rewards:Initialise", ())]
    assert not contract.asked


@pytest.mark.parametrize("behind", ["V1", "V2", "V3"])
def test_around_a_peer_that_is_behind_the_others_are_named(behind: str) -> None:
    """Its results differ from those of the others, and of two nobody can tell which is behind."""

    class Differing(Scripted):
        def submit(self, function: str, *args: str, endorsing_organisations: Sequence[str] = ()) -> bytes:
            if behind in endorsing_organisations:
                odd = PeerError("peer", endorsing_organisations[-1], "ProposalResponsePayloads do not match")
                self.errors = [EndorseError("aborted", details=(odd,))]
            return super().submit(function, *args, endorsing_organisations=endorsing_organisations)

    contract = Differing()
    quorum = QuorumContract(contract, "V1/v")
    assert quorum.submit("blocks:Commit", "a") == b"done"
    assert len(contract.named) <= 3
    contract.named.clear()
    assert quorum.submit("blocks:Commit", "b") == b"done"
    ((_, named),) = contract.named
    assert set(named) == {"V1", "V2", "V3"} - {behind}
