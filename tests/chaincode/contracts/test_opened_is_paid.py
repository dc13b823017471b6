"""What is opened is paid: an owner that has a round's model has paid for it, however the round or the task ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto.block_pb2 import Ballot, BallotReason, Fault, Outcome, Phase, Round
from quorumlearn_proto.task_pb2 import TaskSpec, TaskStatus

from tests.ballots import counted
from tests.chaincode.contracts.market_actors import FUNDS, OWNER, TASK, TIMEOUT_S, Play, js, spec

pytestmark = pytest.mark.usefixtures("views_are_whole")

FELL, GONE, WRONG = BallotReason.SCORE_FELL, BallotReason.UNAVAILABLE, BallotReason.WRONG_MODEL
MINERS_PART, SEATS_PART, PROPOSERS_PART = 700, 198, 100
"""Of a round's 1,000 tokens; a seat's third of 200 is rounded down."""


def play_to(phase: Phase, rounds: int = 1) -> Play:
    play = Play()
    task = TaskSpec()
    task.CopyFrom(spec())
    task.rounds = rounds
    play.start(task)
    play.to(phase)
    return play


def paid(play: Play) -> tuple[int, int]:
    """What all miners and all seats of the task were paid."""
    seats = sum(play.stake(who).paid for who in play.seats.values())
    return sum(play.stake(who).paid for who in play.miners), seats


def late(play: Play) -> None:
    """The owner itself calls Advance as soon as the deadline has passed."""
    play.wait(TIMEOUT_S)
    play.send(OWNER, "blocks:Advance", TASK)


def nobody_votes(play: Play) -> None:
    play.to(Phase.VALIDATE)
    late(play)


def one_votes(play: Play) -> None:
    play.to(Phase.VALIDATE)
    play.vote({2: BallotReason.GOOD})
    play.wait(TIMEOUT_S / 2)
    play.show(2)
    late(play)


def nobody_proposes(play: Play) -> None:
    for _ in play.miners:
        late(play)


def shares_contradict(play: Play) -> None:
    for seat in (1, 2):
        play.accuse(seat, 0, Fault.BAD_PARTIAL)


def undecided(play: Play) -> None:
    play.propose()
    play.vote({1: GONE, 2: GONE, 3: GONE})


def wrong_every_time(play: Play) -> None:
    while play.state().status == TaskStatus.RUNNING:
        play.propose()
        play.vote(dict.fromkeys((1, 2, 3), WRONG))


def cancelled_and_left(play: Play) -> None:
    play.send(OWNER, "tasks:Cancel", TASK)
    nobody_votes(play)


@pytest.mark.parametrize(
    ("end", "seats"),
    [
        (nobody_votes, 0),
        (one_votes, SEATS_PART // 3),
        (nobody_proposes, SEATS_PART),
        (shares_contradict, SEATS_PART),
        (undecided, SEATS_PART),
        (wrong_every_time, SEATS_PART),
        (cancelled_and_left, 0),
    ],
)
def test_however_an_opened_round_ends_its_miners_and_its_working_seats_are_paid(
    end: Callable[[Play], object], seats: int
) -> None:
    """An owner with a short `validate`, or with a seat in league, computes the model from the store and lets the round fail."""
    play = play_to(Phase.PROPOSE)
    end(play)
    assert play.state().status in (TaskStatus.COMPLETED, TaskStatus.CANCELLED)
    assert play.ask(Round, "blocks:Round", TASK, "1").outcome == Outcome.ABORTED
    assert paid(play) == (MINERS_PART, seats)
    escrow = play.escrow()
    assert (escrow.amount, escrow.burnt) == (0, PROPOSERS_PART), "no block, so nobody has earned it"
    assert play.balance(OWNER) <= FUNDS - MINERS_PART - PROPOSERS_PART - seats
    play.check_tokens()


@pytest.mark.parametrize(("opened", "miners"), [([], 0), ([1], MINERS_PART)])
def test_the_first_partial_decryption_makes_a_round_owed(opened: list[int], miners: int) -> None:
    """The other seats may have theirs and show none: with t - 1 of them hidden, one opens the sum."""
    play = play_to(Phase.OPEN)
    for seat in opened:
        play.open([seat])
    late(play)
    assert play.ask(Round, "blocks:Round", TASK, "1").reason == "NO_AGGREGATE"
    assert paid(play) == (miners, len(opened) * SEATS_PART // 3)
    assert play.escrow().burnt == len(opened) * PROPOSERS_PART


def test_a_round_whose_base_is_reverted_while_it_is_opened_is_owed() -> None:
    play = play_to(Phase.COMMIT, rounds=2)
    play.whole_round()
    play.to(Phase.OPEN)
    play.open([3])
    before = paid(play)
    play.send(OWNER, "blocks:Challenge", TASK, "1", "worse")
    for seat in (1, 2):
        ballot = play.ballot(FELL, play.block(1).core.model.digest)
        play.send(play.seats[seat], "blocks:VoteChallenge", TASK, "1", js(ballot))
    assert play.ask(Round, "blocks:Round", TASK, "2").reason == "BASE_REVERTED"
    assert paid(play) == (before[0] + MINERS_PART, before[1] + SEATS_PART)


# A scored rejection


def test_what_a_scored_rejection_withholds_goes_to_the_next_accepted_rounds_contributors() -> None:
    play = play_to(Phase.VALIDATE, rounds=3)
    play.vote(dict.fromkeys((1, 2, 3), FELL))
    assert play.ask(Round, "blocks:Round", TASK, "1").outcome == Outcome.REJECTED
    assert paid(play) == (0, SEATS_PART)
    assert play.escrow().carried == MINERS_PART + PROPOSERS_PART
    play.whole_round()
    assert play.escrow().carried == 0
    assert paid(play) == (2 * MINERS_PART + 2 * PROPOSERS_PART, 2 * SEATS_PART)
    play.whole_round()
    assert paid(play)[0] == 3 * MINERS_PART + 3 * PROPOSERS_PART
    assert play.escrow().burnt == 0


def test_what_is_carried_to_no_round_is_burnt_and_never_the_owners() -> None:
    play = play_to(Phase.VALIDATE)
    play.vote({1: FELL, 2: FELL, 3: BallotReason.GOOD})
    assert play.state().status == TaskStatus.COMPLETED
    escrow = play.escrow()
    assert (escrow.carried, escrow.burnt) == (0, MINERS_PART + PROPOSERS_PART)
    assert play.balance(OWNER) == FUNDS - 1000 + escrow.refunded
    assert escrow.refunded == 1000 - SEATS_PART - escrow.burnt
    play.check_tokens()


@pytest.mark.parametrize(
    ("reason", "numbers"),
    [
        (FELL, counted(correct=79, base_correct=80, total=100, lost=1)),
        (FELL, counted(correct=70, base_correct=80, total=100, lost=12)),
        (FELL, Ballot()),
        (FELL, Ballot(score=790_000, base_score=800_000, total=100, chance=5000)),
        (BallotReason.GOOD, counted(correct=40, base_correct=80, total=100, lost=45)),
        (BallotReason.GOOD, Ballot(score=400_000, base_score=800_000, total=100, chance=500_000)),
        (BallotReason.GOOD, Ballot(score=900_001, base_score=880_000, total=100, chance=100_000)),
    ],
)
def test_a_ballot_says_what_its_numbers_say(reason: BallotReason, numbers: Ballot) -> None:
    """One patient, or a fall within chance, rejects no block, whatever the task's tolerance."""
    play = play_to(Phase.VALIDATE)
    ballot = Ballot(model=play.ballot().model, reason=reason)
    ballot.MergeFrom(numbers)
    play.vote({2: reason, 3: reason})
    play.cast(1, ballot)
    with pytest.raises(Refusal) as caught:
        play.show(1)
    assert caught.value.code == Code.BAD_ARGUMENT
    play.show(2, of=[2, 3])
    assert [bool(one.reason) for one in play.view().ballots] == [False, True, True]
