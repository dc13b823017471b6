"""What the ledger lets verifiers decrypt: one sketch of each revealed update, one aggregate of enough miners."""

from __future__ import annotations

import pytest
from quorumlearn_chaincode.contracts import Refusal
from quorumlearn_proto.block_pb2 import (
    Authorisation,
    BallotReason,
    Fault,
    Outcome,
    Phase,
    Reason,
    Round,
    Submission,
)
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
    miners = sorted(play.miners)
    play.select(play.selection(dict(zip(miners, (1, 3, 1, 3), strict=True))))
    only, _ = authorisations(play)
    assert (only.purpose, only.openings, only.beacon) == (AGGREGATE_DECRYPTION, 1, "")
    assert list(only.updates) == [update(play, miner) for miner in miners]
    assert list(only.weights) == [1, 3, 1, 3]
    play.whole_round()
    assert [(one.round, one.purpose) for one in authorisations(play)] == [
        (1, AGGREGATE_DECRYPTION),
        (1, SKETCH_DECRYPTION),
    ]


@pytest.mark.parametrize(
    ("changes", "weights", "fault", "reason"),
    [
        ({}, (), Reason.OUTLIER, "NO_CONTRIBUTION"),
        ({}, (), Reason.NOT_SELECTED, "TOO_FEW_CONTRIBUTIONS"),
        ({}, (1, 1), Reason.OUTLIER, ""),
        ({"min_aggregate": 3}, (1, 1, 1), Reason.OUTLIER, ""),
    ],
)
def test_when_a_selection_closes_its_sum_is_opened_or_the_round_says_why_not(
    changes: dict[str, int], weights: tuple[int, ...], fault: Reason, reason: str
) -> None:
    play = at(Phase.SELECT, spec(**changes))
    chosen = play.selection(dict(zip(play.miners, weights, strict=False)), fault)
    play.select(chosen, [1])
    play.select(chosen, [2])
    play.select(play.selection(dict.fromkeys(play.miners, 1)), [3])
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


@pytest.mark.parametrize(
    ("changes", "weights", "says"),
    [
        ({}, (1,), "only 1 miners are weighed like"),
        ({}, (2, 2, 1), "only 1 miners are weighed like"),
        ({}, (4, 4, 3, 3), "add up to 14: at most 8"),
        ({"min_aggregate": 3}, (1, 1), "only 2 miners are weighed like"),
        ({"min_aggregate": 3}, (2, 2, 1, 1), "at least 3"),
    ],
)
def test_no_vote_counts_for_a_sum_that_shows_few(
    changes: dict[str, int], weights: tuple[int, ...], says: str
) -> None:
    play = at(Phase.SELECT, spec(**changes))
    with pytest.raises(Refusal, match=says):
        play.select(play.selection(dict(zip(play.miners, weights, strict=False))))
    assert play.round().phase == Phase.SELECT


def test_a_second_sum_on_one_base_shows_no_few_beside_the_first_and_the_view_says_what_was_opened() -> None:
    play = at(Phase.VALIDATE)
    first = [list(group.miners) for group in play.view().opened.groups]
    assert first == [sorted(play.miners)]
    play.vote(dict.fromkeys(play.seats, BallotReason.SCORE_FELL))
    assert play.round().base == play.ask(Round, "blocks:Round", TASK, "1").base
    play.to(Phase.SELECT)
    one, two, three, four = sorted(play.miners)
    with pytest.raises(Refusal, match=f"only 1 miners are weighed like {one}"):
        play.select(play.selection(dict.fromkeys((two, three, four), 1)))
    with pytest.raises(Refusal, match="weighed like"):
        play.select(play.selection({one: 2, two: 1, three: 1, four: 1}))
    play.select(play.selection(dict.fromkeys((three, four), 1)))
    assert [list(group.miners) for group in play.view().opened.groups] == [[one, two], [three, four]]
    play.check_tokens()


def test_what_was_opened_on_another_base_binds_nobody() -> None:
    play = at(Phase.SELECT)
    play.whole_round()
    play.to(Phase.SELECT)
    assert not play.view().opened.groups
    play.select(play.selection(dict.fromkeys(sorted(play.miners)[1:], 1)))
    assert play.round().phase == Phase.OPEN


def test_a_claim_stands_on_the_ledger_and_a_false_one_costs_no_stake() -> None:
    play = at(Phase.SELECT)
    page = play.ask(SubmissionPage, "blocks:Submissions", TASK, "1", "10", "")
    claims: list[Submission] = list(page.submissions)
    assert [entry.claim for entry in claims] == [sha(f"sketch of {entry.miner}") for entry in claims]
    liar = play.miners[0]
    play.select(play.selection(dict.fromkeys(play.miners[1:], 1), Reason.FALSE_CLAIM))
    assert play.stake(liar).slashed == 0
