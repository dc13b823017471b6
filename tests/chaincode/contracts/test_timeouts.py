"""Every phase's deadline falls to its stated outcome, and never early."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto.block_pb2 import BallotReason, Fault, Outcome, Phase, Reason, Round
from quorumlearn_proto.task_pb2 import TaskSpec, TaskStatus

from tests.chaincode.contracts.market_actors import (
    FUNDS,
    OWNER,
    PHASES,
    SLACK_MS,
    TASK,
    TIMEOUT_S,
    Play,
    js,
    secret,
    spec,
)

pytestmark = pytest.mark.usefixtures("views_are_whole")

GOOD, FELL = BallotReason.GOOD, BallotReason.SCORE_FELL
WRONG, GONE = BallotReason.WRONG_MODEL, BallotReason.UNAVAILABLE


def at(phase: Phase, task: TaskSpec | None = None) -> Play:
    """Round 1 in this phase."""
    play = Play()
    play.start(task)
    go_to(play, phase)
    return play


def go_to(play: Play, phase: Phase) -> None:
    """The round under way in this phase; the next round's key is made, so that nobody misses a step of it."""
    play.to(Phase.COMMIT)
    if len(play.view().ceremonies) > 1:
        play.ceremony(play.round().number + 1)
    play.to(phase)


def missed(play: Play) -> list[tuple[int, str]]:
    """Who was found missing, and where."""
    found = [entry for entry in play.misconducts() if entry.fault == Fault.MISSED_STEP]
    assert not any(entry.accusers for entry in found)
    return [(entry.seat, entry.step) for entry in found]


def first_round(play: Play) -> Round:
    return play.ask(Round, "blocks:Round", TASK, "1")


def expire(play: Play) -> None:
    """Advance on the deadline, which does nothing a millisecond earlier; ballots that wait for others are shown with half of the time."""
    play.wait(TIMEOUT_S / 2)
    if play.view().ballots:
        play.show(play.view().ballots[0].seat)
    play.wait(TIMEOUT_S / 2 - 0.001)
    not_due(play)
    assert not play.view().can_advance
    play.wait(0.001)
    assert play.view().can_advance
    play.advance()
    play.check_tokens()


def not_due(play: Play) -> None:
    with pytest.raises(Refusal) as caught:
        play.advance()
    assert caught.value.code == Code.NOT_DUE


# The start


def test_a_task_with_too_few_miners_expires_and_refunds_everything() -> None:
    play = Play()
    play.publish()
    play.take_seats()
    play.join(play.miners[:2])
    expire(play)
    assert play.state().status == TaskStatus.EXPIRED
    assert all(play.balance(who) == FUNDS for who in (OWNER, *play.miners, *play.seats.values()))


def test_a_task_with_too_few_seats_expires() -> None:
    play = Play()
    play.publish()
    play.take_seats([3])
    play.join()
    expire(play)
    assert play.state().status == TaskStatus.EXPIRED


def test_a_task_starts_on_its_deadline_with_enough_of_each() -> None:
    play = Play()
    play.publish()
    play.take_seats([1, 3])
    play.join(play.miners[:3])
    expire(play)
    view = play.view()
    assert view.state.status == TaskStatus.RUNNING
    assert list(view.round.miners) == sorted(play.miners[:3])
    assert list(view.ceremonies[0].seats) == [1, 3]


def test_who_has_left_is_in_no_round_even_where_nothing_can_be_slashed() -> None:
    play = Play()
    free = spec()
    free.stakes.miner = free.stakes.miner_slash = 0
    play.publish(free)
    play.take_seats()
    play.join()
    play.send(play.miners[0], "tasks:Leave", TASK)
    expire(play)
    assert list(play.round().miners) == sorted(play.miners[1:])


# Miners


def test_too_few_commits_abort_the_round() -> None:
    play = at(Phase.COMMIT)
    play.commit(play.miners[:2])
    expire(play)
    assert first_round(play).reason == "TOO_FEW_COMMITS"
    assert play.round().number == 2
    assert all(play.stake(miner).amount == 100 for miner in play.miners)


def test_who_does_not_commit_is_absent_and_loses_nothing() -> None:
    play = at(Phase.COMMIT)
    play.commit(play.miners[:3])
    expire(play)
    play.beacon()
    play.reveal(play.miners[:3])
    play.advance()
    play.whole_round()
    verdicts = {verdict.miner: verdict for verdict in play.block(1).core.verdicts}
    assert verdicts[play.miners[3]].reason == Reason.ABSENT
    assert play.stake(play.miners[3]).amount == 100
    assert list(play.block(1).manifests).count("") == 1


def test_who_withholds_is_unpaid_and_slashed_if_it_does_so_in_two_rounds_on_end() -> None:
    play = Play()
    play.start(spec(rounds=3))
    for slashed in (0, 40, 80):
        go_to(play, Phase.REVEAL)
        play.reveal(play.miners[:3])
        expire(play)
        assert play.round().phase == Phase.SCREEN
        play.whole_round()
        assert play.stake(play.miners[3]).slashed == slashed
    assert play.stake(play.miners[3]).paid == 0
    assert play.burnt() == 80


def test_who_reveals_in_between_begins_anew() -> None:
    play = Play()
    play.start(spec(rounds=3))
    for withholds in (True, False, True):
        go_to(play, Phase.REVEAL)
        if withholds:
            play.reveal(play.miners[:3])
            expire(play)
        play.whole_round()
    assert play.stake(play.miners[3]).slashed == 0


def test_too_few_reveals_abort_the_round_and_cost_nobody_stake() -> None:
    """Where so few were heard, the others may have been kept from it."""
    play = Play()
    play.start()
    for _ in range(2):
        go_to(play, Phase.REVEAL)
        play.reveal(play.miners[:2])
        expire(play)
    assert first_round(play).reason == "TOO_FEW_REVEALS"
    assert not any(play.stake(miner).slashed for miner in play.miners)


# Verifiers


def test_a_seat_that_withholds_its_beacon_leaves_unpaid() -> None:
    play = at(Phase.BEACON)
    play.beacon([1, 3])
    expire(play)
    assert play.round().phase == Phase.REVEAL
    assert list(play.round().seats) == [1, 3]
    assert missed(play) == [(2, "BEACON")]
    play.whole_round()
    stake = play.stake(play.seats[2])
    assert (stake.slashed, stake.paid) == (0, 0)


def test_too_few_beacons_abort() -> None:
    play = at(Phase.BEACON)
    play.beacon([2])
    expire(play)
    assert first_round(play).reason == "TOO_FEW_VERIFIERS"
    assert not any(play.stake(seat).slashed for seat in play.seats.values())


def test_a_seat_without_sketch_shares_leaves() -> None:
    play = at(Phase.SCREEN)
    play.sketch([2, 3])
    expire(play)
    assert (play.round().phase, list(play.round().seats)) == (Phase.SELECT, [2, 3])
    assert missed(play) == [(1, "SCREEN")]
    with pytest.raises(Refusal) as caught:
        play.select(seats=[1])
    assert caught.value.code == Code.WRONG_ROLE


def test_too_few_sketches_abort() -> None:
    play = at(Phase.SCREEN)
    expire(play)
    assert first_round(play).reason == "TOO_FEW_VERIFIERS"
    assert missed(play) == [(1, "SCREEN"), (2, "SCREEN"), (3, "SCREEN")]


def test_who_votes_against_the_quorum_leaves_and_keeps_its_stake() -> None:
    play = at(Phase.SELECT)
    play.select(play.selection(dict.fromkeys(play.miners[:2], 1), Reason.NOT_SELECTED), [1])
    play.select(seats=[2, 3])
    assert (play.round().phase, list(play.round().seats)) == (Phase.OPEN, [2, 3])
    assert play.stake(play.seats[1]).slashed == 0


def test_a_vote_may_be_changed_until_the_phase_closes() -> None:
    play = at(Phase.SELECT)
    play.select(play.selection(dict.fromkeys(play.miners[:2], 1)), [1])
    play.select(seats=[1, 2, 3])
    assert list(play.round().seats) == [1, 2, 3]
    assert play.stake(play.seats[1]).slashed == 0


def test_who_does_not_vote_leaves() -> None:
    play = at(Phase.SELECT)
    play.select(seats=[1, 2])
    expire(play)
    assert (play.round().phase, list(play.round().seats)) == (Phase.OPEN, [1, 2])
    assert missed(play) == [(3, "SELECT")]


def test_who_posts_no_partial_decryption_leaves() -> None:
    play = at(Phase.OPEN)
    play.open(seats=[2, 3])
    expire(play)
    assert (play.round().phase, list(play.round().seats)) == (Phase.PROPOSE, [2, 3])
    assert missed(play) == [(1, "OPEN")]


def test_no_equal_votes_abort_and_slash_nobody() -> None:
    play = at(Phase.SELECT)
    for seat in (1, 2, 3):
        others = [miner for miner in play.miners if miner != play.miners[seat]]
        play.select(play.selection(dict.fromkeys(others, 1)), [seat])
    assert first_round(play).reason == "NO_SELECTION"
    assert play.ask(type(play.escrow()), "rewards:Escrow", TASK).paid == 0
    assert all(play.stake(who).slashed == 0 for who in (*play.miners, *play.seats.values()))


def test_details_for_people_do_not_divide_a_vote() -> None:
    play = at(Phase.SELECT)
    for seat in (1, 2, 3):
        selection = play.selection()
        selection.verdicts[0].detail = f"seen by {seat}"
        play.select(selection, [seat])
    assert play.round().phase == Phase.OPEN
    assert play.round().selection.verdicts[0].detail == "seen by 1"


def test_a_selection_without_contribution_rejects_and_pays_the_verifiers() -> None:
    play = at(Phase.SELECT)
    play.select(play.selection({}, Reason.MALFORMED), [1, 2])
    play.select(play.selection(), [3])
    ended = first_round(play)
    assert (ended.outcome, ended.reason) == (Outcome.REJECTED, "NO_CONTRIBUTION")
    assert [play.stake(play.seats[seat]).paid for seat in (1, 2, 3)] == [66, 66, 0]
    assert [play.stake(miner).slashed for miner in play.miners] == [40] * 4
    assert [play.stake(play.seats[seat]).slashed for seat in (1, 2, 3)] == [0, 0, 0]
    assert play.view().state.head.height == 0


def test_a_miner_whose_stake_no_longer_covers_a_slash_is_passed_over() -> None:
    play = Play()
    play.start(spec(rounds=3, max_miners=4, min_miners=3))
    for _ in range(2):
        play.to(Phase.SELECT)
        play.select(play.selection(dict.fromkeys(play.miners[:3], 1), Reason.MALFORMED))
        play.whole_round()
    assert play.stake(play.miners[3]).amount == 20
    assert list(play.round().miners) == sorted(play.miners[:3])


def test_who_brings_nothing_new_is_not_paid_and_loses_no_stake() -> None:
    play = at(Phase.SELECT)
    rider = play.miners[3]
    stake, balance = play.stake(rider).amount, play.balance(rider)
    play.select(play.selection(dict.fromkeys(play.miners[:3], 1), Reason.NOTHING_NEW))
    play.whole_round()
    assert (play.stake(rider).amount, play.balance(rider)) == (stake, balance)
    play.check_tokens()


def test_too_few_miners_for_the_next_round_end_the_task() -> None:
    play = at(Phase.SELECT)
    play.select(play.selection({}, Reason.MALFORMED))
    play.to(Phase.SELECT)
    play.select(play.selection({}, Reason.MALFORMED))
    assert play.state().status == TaskStatus.COMPLETED
    poor = Play()
    poor.start(spec(rounds=4))
    for _ in range(2):
        poor.to(Phase.SELECT)
        poor.select(poor.selection({}, Reason.MALFORMED))
    assert poor.state().status == TaskStatus.EXPIRED
    assert poor.state().reason == "TOO_FEW_MINERS"
    poor.check_tokens()


def test_other_aggregates_than_the_quorums_leave() -> None:
    play = at(Phase.OPEN)
    play.open([1], "another")
    play.open([2, 3])
    assert (play.round().phase, list(play.round().seats)) == (Phase.PROPOSE, [2, 3])


def test_no_equal_aggregates_abort() -> None:
    play = at(Phase.OPEN)
    play.open([1], "one")
    play.open([2], "two")
    expire(play)
    assert first_round(play).reason == "NO_AGGREGATE"


# The candidate


def test_the_next_in_the_order_proposes_when_one_does_not() -> None:
    play = at(Phase.PROPOSE)
    order = list(play.round().proposers)
    assert sorted(order) == sorted(play.miners)
    expire(play)
    with pytest.raises(Refusal) as caught:
        play.send(order[0], "blocks:Propose", TASK, "1", js(play.candidate()))
    assert caught.value.code == Code.NOT_YOUR_TURN
    assert play.propose() == order[1]
    play.vote()
    assert play.block(1).core.proposer == order[1]


def test_when_nobody_proposes_the_round_is_aborted() -> None:
    play = at(Phase.PROPOSE)
    for _ in play.miners:
        expire(play)
    assert first_round(play).reason == "NO_PROPOSAL"


def test_a_wrong_model_costs_its_proposer_a_slash_and_the_next_has_its_turn() -> None:
    play = at(Phase.VALIDATE)
    liar = play.round().candidate.proposer
    play.vote({1: WRONG, 2: WRONG, 3: GONE})
    assert (play.round().phase, play.round().proposer_turn) == (Phase.PROPOSE, 1)
    assert not play.round().HasField("candidate")
    assert play.stake(liar).slashed == 40
    assert play.propose() != liar
    assert not play.view().ballots
    play.vote()
    assert [ballot.reason for ballot in play.block(1).ballots] == [GOOD] * 3


@pytest.mark.parametrize(
    ("votes", "outcome", "reason", "paid"),
    [
        ({1: FELL, 2: FELL, 3: GOOD}, Outcome.REJECTED, "VOTED_DOWN", [66, 66, 66]),
        ({1: FELL, 2: FELL, 3: GONE}, Outcome.REJECTED, "VOTED_DOWN", [66, 66, 0]),
        ({1: FELL, 2: WRONG, 3: GOOD}, Outcome.ABORTED, "NO_DECISION", [66, 0, 66]),
        ({1: GONE, 2: WRONG, 3: GONE}, Outcome.ABORTED, "NO_DECISION", [66, 66, 66]),
        ({1: GOOD, 2: FELL, 3: GOOD}, Outcome.ACCEPTED, "", [66, 66, 66]),
        ({1: GOOD, 2: GONE, 3: GOOD}, Outcome.ACCEPTED, "", [66, 0, 66]),
        ({1: GOOD, 3: GOOD}, Outcome.ACCEPTED, "", [66, 0, 66]),
        ({1: GOOD, 3: FELL}, Outcome.ABORTED, "NO_DECISION", [66, 0, 66]),
        ({2: GOOD}, Outcome.ABORTED, "NO_DECISION", [0, 66, 0]),
    ],
)
def test_the_ballots_decide(
    votes: dict[int, BallotReason], outcome: Outcome, reason: str, paid: list[int]
) -> None:
    play = at(Phase.VALIDATE)
    play.vote(votes)
    if len(votes) < 3:
        expire(play)
    assert missed(play) == [(seat, "VALIDATE") for seat in (1, 2, 3) if seat not in votes]
    ended = first_round(play)
    assert (ended.outcome, ended.reason) == (outcome, reason)
    assert [play.stake(play.seats[seat]).paid for seat in (1, 2, 3)] == paid
    accepted = outcome == Outcome.ACCEPTED
    assert play.state().head.height == int(accepted)
    assert all(play.stake(miner).paid for miner in play.miners) == (outcome != Outcome.REJECTED)
    assert play.round().base.height == int(accepted)


# Clocks


def test_a_deadline_does_not_pass_by_a_timestamp_ahead_of_the_endorser() -> None:
    play = at(Phase.COMMIT)
    play.wait(TIMEOUT_S - (SLACK_MS + 1) / 1000)
    early = play.peer.clock_ms + SLACK_MS + 1
    with pytest.raises(Refusal) as caught:
        play.send("OwnerMSP/anyone", "blocks:Advance", TASK, timestamp_ms=early)
    assert caught.value.code == Code.STALE_TIMESTAMP
    play.wait(0.001)
    play.send("OwnerMSP/anyone", "blocks:Advance", TASK, timestamp_ms=early)
    assert play.round().number == 2


def test_a_phase_does_not_begin_in_the_past() -> None:
    play = at(Phase.BEACON)
    play.beacon([1, 2])
    words = ("blocks:RevealBeacon", TASK, "1", secret(3, 1))
    with pytest.raises(Refusal) as caught:
        play.send(play.seats[3], *words, timestamp_ms=play.peer.clock_ms - 5 * SLACK_MS - 1)
    assert caught.value.code == Code.STALE_TIMESTAMP
    play.send(play.seats[3], *words, timestamp_ms=play.peer.clock_ms - 5 * SLACK_MS)
    assert play.round().phase == Phase.REVEAL


def test_time_alone_ends_a_task_however_far_it_came() -> None:
    reach: list[Callable[[Play], None]] = [lambda play: None]
    reach += [partial(Play.to, phase=phase) for phase in PHASES[1:]]
    for go in reach:
        play = Play()
        play.start()
        go(play)
        for _ in range(60):
            if play.state().status not in (TaskStatus.PUBLISHED, TaskStatus.RUNNING):
                break
            play.wait()
            play.advance()
        assert play.state().status in (TaskStatus.COMPLETED, TaskStatus.EXPIRED)
        assert play.escrow().amount == 0
        play.check_tokens()


def test_a_slash_takes_no_more_than_is_left_of_the_stake() -> None:
    harsh = spec()
    harsh.stakes.verifier_slash, harsh.rounds = 150, 3
    play = Play()
    play.start(harsh)
    for slashed in (0, 150, 200):
        go_to(play, Phase.BEACON)
        play.beacon([1, 3])
        expire(play)
        assert play.stake(play.seats[2]).slashed == slashed
        play.whole_round()
    assert [(entry.round, entry.slashed) for entry in play.misconducts()] == [(1, 0), (2, 150), (3, 50)]
    assert play.burnt() == 200
    assert play.balance(play.seats[2]) == FUNDS - 200


def test_nobody_is_slashed_for_the_key_of_a_round_that_will_not_be() -> None:
    play = Play()
    play.start()
    play.to(Phase.COMMIT)
    play.send(OWNER, "tasks:Cancel", TASK)
    play.commit(play.miners[:3])
    expire(play)
    play.beacon()
    play.reveal(play.miners[:3])
    play.advance()
    play.whole_round()
    assert play.state().status == TaskStatus.CANCELLED
    assert not play.misconducts()


def test_a_ceremony_ends_with_its_task() -> None:
    play = Play()
    play.start()
    play.to(Phase.COMMIT)
    play.key_step("CommitKey", 1, 2)
    play.send(OWNER, "tasks:Cancel", TASK)
    play.whole_round()
    assert play.state().status == TaskStatus.CANCELLED
    with pytest.raises(Refusal) as caught:
        play.key_step("CommitKey", 2, 2)
    assert caught.value.code == Code.WRONG_PHASE
