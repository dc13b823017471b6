"""Challenged blocks: who may, when, what is reverted, where deposits go."""

from __future__ import annotations

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto.block_pb2 import Ballot, BallotReason, BlockStatus, Outcome, Phase, Round
from quorumlearn_proto.task_pb2 import TaskStatus

from tests.chaincode.contracts.market_actors import OWNER, TASK, TIMEOUT_S, Play, js, spec

pytestmark = pytest.mark.usefixtures("views_are_whole")

GOOD, WRONG = BallotReason.GOOD, BallotReason.WRONG_MODEL


def challenge(play: Play, height: int, who: str = OWNER) -> None:
    play.send(who, "blocks:Challenge", TASK, str(height), "the score fell on my data")


def vote(play: Play, height: int, votes: dict[int, BallotReason]) -> None:
    for seat, reason in votes.items():
        ballot = Ballot(model=play.block(height).core.model.digest, reason=reason)
        play.send(play.seats[seat], "blocks:VoteChallenge", TASK, str(height), js(ballot))


def after_rounds(count: int, rounds: int = 5) -> Play:
    play = Play()
    play.start(spec(rounds=rounds))
    for _ in range(count):
        play.whole_round()
    return play


def refusal(act: object, *arguments: object) -> Code:
    with pytest.raises(Refusal) as caught:
        act(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_an_upheld_challenge_reverts_the_block_and_all_built_on_it() -> None:
    play = after_rounds(3)
    before = play.balance(OWNER)
    challenge(play, 2)
    assert play.balance(OWNER) == before - 30
    play.check_tokens()
    vote(play, 2, {1: WRONG, 3: WRONG})
    assert [play.block(height).status for height in range(4)] == [
        BlockStatus.GOOD_BLOCK,
        BlockStatus.GOOD_BLOCK,
        BlockStatus.REVERTED,
        BlockStatus.REVERTED,
    ]
    assert play.state().head.digest == play.block(1).digest
    assert play.balance(OWNER) == before
    play.check_tokens()


def test_the_next_block_links_to_the_last_good_one_under_a_fresh_height() -> None:
    play = after_rounds(2)
    challenge(play, 2)
    vote(play, 2, {1: WRONG, 2: WRONG})
    assert play.round().phase == Phase.KEY
    assert play.round().base.height == 1
    play.whole_round()
    assert play.state().head.height == 3
    assert play.block(3).core.previous == play.block(1).digest
    assert play.block(2).status == BlockStatus.REVERTED


def test_a_round_that_trains_on_a_reverted_block_is_aborted() -> None:
    play = after_rounds(1)
    play.to(Phase.REVEAL)
    challenge(play, 1)
    vote(play, 1, {1: WRONG, 2: WRONG})
    ended = play.ask(Round, "blocks:Round", TASK, "2")
    assert (ended.outcome, ended.reason) == (Outcome.ABORTED, "BASE_REVERTED")
    assert (play.round().number, play.round().base.height) == (3, 0)
    assert all(play.stake(miner).slashed == 0 for miner in play.miners)


def test_a_dismissed_challenge_costs_its_deposit_and_changes_nothing() -> None:
    play = after_rounds(1)
    challenge(play, 1, play.miners[0])
    vote(play, 1, {1: GOOD, 2: WRONG, 3: GOOD})
    assert play.state().head.height == 1
    assert play.burnt() == 30
    assert refusal(challenge, play, 1) == Code.ALREADY_CHALLENGED
    assert refusal(vote, play, 1, {2: GOOD}) == Code.WRONG_PHASE


def test_an_undecided_challenge_ends_at_its_deadline_and_may_be_held_again() -> None:
    play = after_rounds(1)
    balance = play.balance(play.seats[1])
    challenge(play, 1, play.seats[1])
    vote(play, 1, {1: WRONG})
    assert len(play.view().challenges) == 1
    play.wait(TIMEOUT_S)
    play.advance()
    assert not play.view().challenges
    assert play.balance(play.seats[1]) == balance
    challenge(play, 1)
    vote(play, 1, {1: WRONG, 2: WRONG})
    assert play.block(1).status == BlockStatus.REVERTED


def test_the_window_closes() -> None:
    play = after_rounds(1)
    play.wait(999.999)
    end = play.block(1).accepted_at_ms + 1_000_000
    challenge(play, 1)
    play.wait(TIMEOUT_S)
    play.advance()
    assert play.peer.clock_ms >= end
    assert refusal(challenge, play, 1) == Code.WINDOW_CLOSED


def test_the_last_block_can_be_challenged_after_the_task_has_ended() -> None:
    play = after_rounds(2, rounds=2)
    assert play.state().status == TaskStatus.COMPLETED
    challenge(play, 2, play.miners[1])
    vote(play, 2, {2: WRONG, 3: WRONG})
    assert play.state().status == TaskStatus.COMPLETED
    assert play.state().head.height == 1
    play.check_tokens()


def test_a_challenge_of_a_block_above_a_reverted_one_is_upheld_with_it() -> None:
    play = after_rounds(2)
    balance = play.balance(play.miners[2])
    challenge(play, 2, play.miners[2])
    challenge(play, 1)
    vote(play, 1, {1: WRONG, 2: WRONG})
    assert not play.view().challenges
    assert play.balance(play.miners[2]) == balance
    assert refusal(vote, play, 2, {1: WRONG}) == Code.WRONG_PHASE
    assert refusal(challenge, play, 2) == Code.WRONG_PHASE


def test_what_else_is_refused() -> None:
    play = after_rounds(1)
    assert refusal(challenge, play, 0) == Code.WRONG_PHASE
    assert refusal(challenge, play, 2) == Code.NO_SUCH_BLOCK
    assert refusal(challenge, play, 1, "M1MSP/stranger") == Code.WRONG_ROLE
    assert refusal(challenge, play, 1, "V1MSP/stranger") == Code.WRONG_ROLE
    assert refusal(vote, play, 1, {1: GOOD}) == Code.NO_SUCH_CHALLENGE
    play.send(OWNER, "rewards:Transfer", play.miners[0], str(play.balance(OWNER) - 29))
    assert refusal(challenge, play, 1) == Code.OVERSPENDING
    challenge(play, 1, play.miners[0])
    assert refusal(challenge, play, 1, play.miners[1]) == Code.ALREADY_CHALLENGED
    vote(play, 1, {1: GOOD})
    assert refusal(vote, play, 1, {1: WRONG}) == Code.ALREADY_VOTED
    assert play.balance(OWNER) == 29
