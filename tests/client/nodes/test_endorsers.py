"""Who is named to endorse: a quorum of verifiers, the own organisation first; if they do not, the peer chooses."""

from __future__ import annotations

from itertools import groupby

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.gateway import EndorseError, Gateway
from quorumlearn.nodes.endorsers import QuorumContract, endorsers
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import Config

from tests.client.gateway.conftest import alice, gateway, organisation, peer
from tests.client.gateway.scripted_peer import CHANNEL, ScriptedPeer

__all__ = ["alice", "gateway", "organisation", "peer"]

MVCC_READ_CONFLICT = 11

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


REFUSED = ("p:1", "V2", "chaincode response 500, [WRONG_PHASE] too late")


@pytest.fixture
def quorum(gateway: Gateway, peer: ScriptedPeer) -> QuorumContract:
    """For a verifier of V1."""
    peer.state["rewards:Config"] = canonical.to_json(CONFIG)
    return QuorumContract(gateway.network(CHANNEL).contract("cc"), "V1/v")


def named(peer: ScriptedPeer) -> list[tuple[str, ...]]:
    """Who was named by the calls of Endorse, each choice once however often its peers were asked."""
    every = (tuple(request.endorsing_organizations) for request in peer.requests["Endorse"])
    return [one for one, _ in groupby(every)]


def test_those_named_are_not_believed_the_peer_chooses_and_then_others_are_named(
    quorum: QuorumContract, peer: ScriptedPeer
) -> None:
    """One dishonest verifier's refusals shall keep nobody out."""
    peer.fail("Endorse", grpc.StatusCode.ABORTED, "aborted", REFUSED)
    assert quorum.submit("blocks:Commit", "a") == b"done:a"
    assert quorum.submit("blocks:Commit", "a") == b"done:a"
    first, none, second = named(peer)
    assert none == ()
    assert first[0] == second[0] == "V1"
    assert first != second
    assert peer.calls.count("Evaluate") == 1


def test_what_the_peers_choice_refuses_is_refused_and_the_next_time_others_are_named(
    quorum: QuorumContract, peer: ScriptedPeer
) -> None:
    for _ in range(2):
        peer.fail("Endorse", grpc.StatusCode.ABORTED, "aborted", REFUSED)
    with pytest.raises(EndorseError, match="WRONG_PHASE"):
        quorum.submit("blocks:Commit", "a")
    quorum.submit("blocks:Commit", "a")
    first, none, second = named(peer)
    assert none == ()
    assert first != second


def test_what_is_under_other_policies_is_left_to_the_peer(quorum: QuorumContract, peer: ScriptedPeer) -> None:
    quorum.submit("tasks:Publish", "{}")
    assert named(peer) == [()]


@pytest.mark.parametrize("behind", ["V1", "V2", "V3"])
def test_around_a_peer_that_is_behind_the_others_are_named(
    quorum: QuorumContract, peer: ScriptedPeer, behind: str
) -> None:
    """Its results differ from those of the others, and of two nobody can tell which is behind."""
    peer.behind = {behind}
    assert quorum.submit("blocks:Commit", "a") == b"done:a"
    assert len(named(peer)) <= 3
    peer.requests["Endorse"].clear()
    assert quorum.submit("blocks:Commit", "b") == b"done:b"
    (endorsed,) = named(peer)
    assert set(endorsed) == {"V1", "V2", "V3"} - {behind}


def test_a_lost_race_is_endorsed_anew_by_those_who_answered(
    quorum: QuorumContract, peer: ScriptedPeer
) -> None:
    peer.behind = {"V1"}
    peer.codes.extend([MVCC_READ_CONFLICT, 0])
    quorum.submit("blocks:Commit", "a")
    assert set(named(peer)[-1]) == {"V2", "V3"}
    assert len(peer.blocks) == 2
