"""What the ledger lets verifiers decrypt: one sketch of each revealed update, one aggregate of enough miners."""

from __future__ import annotations

import pytest
from quorumlearn_proto.block_pb2 import Authorisation, Fault, Outcome, Phase, Reason, Round, Submission
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, SKETCH_DECRYPTION, ArtifactRef
from quorumlearn_proto.page_pb2 import AuthorisationPage, SubmissionPage
from quorumlearn_proto.task_pb2 import TaskSpec

from tests.chaincode.contracts.market_actors import TASK, Play, sha, spec


def at(phase: Phase, task: TaskSpec | None = None) -> Play:
    play = Play()
    play.start(task)
    play.to(phase)
    return play


def authorisations(play: Play) -> list[Authorisation]:
    page = play.ask(AuthorisationPage, "blocks:Authorisations", TASK, "1000", "")
    return list(page.authorisations)


def update(play: Play, miner: str) -> ArtifactRef:
    return play.manifest(miner).update


def test_when_reveals_close_each_revealed_update_may_be_sketched_once() -> None:
    play = at(Phase.REVEAL)
    assert not authorisations(play)
    play.reveal(play.miners[:3])
    play.wait()
    play.advance()
    (only,) = authorisations(play)
    assert list(play.view().authorisations) == [only]
    assert (only.task_id, only.round, only.purpose) == (TASK, 1, SKETCH_DECRYPTION)
    assert list(only.updates) == [update(play, miner) for miner in sorted(play.miners[:3])]
    assert (only.openings, only.beacon, list(only.weights)) == (3, play.round().beacon, [])
    assert only.at_ms == play.peer.clock_ms


def test_when_the_selection_closes_one_weighted_sum_may_be_opened() -> None:
    play = at(Phase.SELECT)
    first, second, *_ = sorted(play.miners)
    play.select(play.selection({first: 1, second: 5}))
    only, _ = authorisations(play)
    assert (only.purpose, only.openings, only.beacon) == (AGGREGATE_DECRYPTION, 1, "")
    assert list(only.updates) == [update(play, first), update(play, second)]
    assert list(only.weights) == [1, 5]
    play.whole_round()
    assert [(one.round, one.purpose) for one in authorisations(play)] == [
        (1, AGGREGATE_DECRYPTION),
        (1, SKETCH_DECRYPTION),
    ]


@pytest.mark.parametrize(
    ("changes", "contributing", "reason"),
    [
        ({}, 0, "NO_CONTRIBUTION"),
        ({}, 1, "TOO_FEW_CONTRIBUTIONS"),
        ({}, 2, ""),
        ({"min_aggregate": 3}, 2, "TOO_FEW_CONTRIBUTIONS"),
        ({"min_aggregate": 3}, 3, ""),
        ({"min_miners": 1}, 1, ""),
        ({"min_miners": 2}, 1, "TOO_FEW_CONTRIBUTIONS"),
    ],
)
def test_an_aggregate_of_too_few_miners_is_not_opened(
    changes: dict[str, int], contributing: int, reason: str
) -> None:
    play = at(Phase.SELECT, spec(**changes))
    chosen = play.selection(dict.fromkeys(play.miners[:contributing], 1))
    play.select(chosen, [1])
    play.select(chosen, [2])
    play.select(play.selection({play.miners[3]: 1, play.miners[2]: 3}), [3])
    ended = play.ask(Round, "blocks:Round", TASK, "1")
    purposes = [one.purpose for one in authorisations(play)]
    if reason:
        assert (ended.outcome, ended.reason) == (Outcome.REJECTED, reason)
        assert purposes == [SKETCH_DECRYPTION]
        assert [play.stake(play.seats[seat]).paid for seat in (1, 2, 3)] == [66, 66, 0]
    else:
        assert ended.phase == Phase.OPEN
        assert purposes == [AGGREGATE_DECRYPTION, SKETCH_DECRYPTION]
    assert not any(play.stake(miner).slashed for miner in play.miners)
    assert [(one.seat, one.fault) for one in play.misconducts()] == [(3, Fault.FALSE_VOTE)]
    play.check_tokens()


def test_a_claim_stands_on_the_ledger_and_a_false_one_costs_no_stake() -> None:
    play = at(Phase.SELECT)
    page = play.ask(SubmissionPage, "blocks:Submissions", TASK, "1", "10", "")
    claims: list[Submission] = list(page.submissions)
    assert [entry.claim for entry in claims] == [sha(f"sketch of {entry.miner}") for entry in claims]
    liar = play.miners[0]
    play.select(play.selection(dict.fromkeys(play.miners[1:], 1), Reason.FALSE_CLAIM))
    assert play.stake(liar).slashed == 0
