"""A committee whose members leave, are slashed out, and are replaced."""

from __future__ import annotations

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto.block_pb2 import Ballot, BallotReason, CeremonyStep, Fault, Phase
from quorumlearn_proto.task_pb2 import Committee, TaskSpec, TaskStatus

from tests.chaincode.contracts.market_actors import FUNDS, OWNER, TASK, Play, js, spec

pytestmark = pytest.mark.usefixtures("views_are_whole")

V1, V2, V3, R4, R5 = (f"V{number}MSP/vera" for number in range(1, 6))
RESERVES = ["V4MSP", "V5MSP"]


def reserved(rounds: int = 4) -> TaskSpec:
    task = spec(rounds=rounds)
    task.committee.CopyFrom(
        Committee(msp_ids=["V1MSP", "V2MSP", "V3MSP"], threshold=2, reserve_msp_ids=RESERVES)
    )
    return task


def published(task: TaskSpec | None = None) -> Play:
    """A task of three seats and two reserve organisations, nobody joined yet."""
    play = Play(seats=5)
    del play.seats[4], play.seats[5]
    play.publish(task or reserved())
    return play


def running(task: TaskSpec | None = None) -> Play:
    play = published(task)
    play.take_seats()
    play.join()
    play.advance()
    return play


def take(play: Play, who: str) -> None:
    play.send(who, "tasks:JoinCommittee", TASK)


def leave(play: Play, who: str) -> None:
    play.send(who, "tasks:LeaveCommittee", TASK)


def refusal(act: object, *arguments: object) -> Code:
    with pytest.raises(Refusal) as caught:
        act(*arguments)  # type: ignore[operator]
    play = arguments[0]
    if isinstance(play, Play):
        play.check_tokens()
    return caught.value.code


def seats(play: Play) -> dict[int, str]:
    return {seat.seat: seat.verifier for seat in play.view().seats}


def slashed_out(play: Play, seat: int = 3) -> None:
    """Round 1, in COMMIT, whose ceremony took most of the seat's stake: it confirmed a false key, by the word of the others."""
    others = sorted({1, 2, 3} - {seat})
    for function in ("CommitKey", "RevealKey", "TestKey", "ConfirmKey", "OpenKey"):
        for number in (seat, *others):
            play.key_step(function, number, 1, key="lie" if number == seat else "key")
    assert not play.view().free_seats
    for number in (seat, *others):
        play.blame(number, {seat: Fault.FALSE_CONFIRMATION} if number != seat else {})
    play.ceremony(1, others, attempt=2)
    assert play.round().phase == Phase.COMMIT


def accused(play: Play, seat: int) -> None:
    """The round in SELECT, whose other seats have put this one out."""
    play.to(Phase.SELECT)
    for other in sorted({1, 2, 3} - {seat}):
        play.accuse(other, seat, Fault.BAD_SKETCH_SHARES)


def harsh() -> TaskSpec:
    """One slash takes most of a verifier's stake of 200."""
    task = reserved()
    task.stakes.verifier_slash = 150
    return task


# Before the start


def test_before_the_start_a_seat_is_left_at_once_and_may_be_taken_again() -> None:
    play = published()
    assert list(play.view().free_seats) == [1, 2, 3]
    play.take_seats()
    assert not play.view().free_seats
    leave(play, V2)
    assert play.balance(V2) == FUNDS
    assert seats(play) == {1: V1, 3: V3}
    assert list(play.view().free_seats) == [2]
    assert refusal(leave, play, V2) == Code.WRONG_ROLE
    take(play, "V2MSP/vera")
    assert seats(play) == {1: V1, 2: V2, 3: V3}
    assert play.balance(V2) == FUNDS - 200


def test_a_seat_never_taken_is_kept_for_its_organisation_until_the_start() -> None:
    play = published()
    assert refusal(take, play, R4) == Code.SEAT_TAKEN
    play.take_seats([1, 3])
    assert refusal(take, play, R4) == Code.SEAT_TAKEN
    play.join()
    play.wait()
    play.advance()
    assert play.state().status == TaskStatus.RUNNING
    assert list(play.view().free_seats) == [2]
    take(play, R4)
    assert seats(play) == {1: V1, 2: R4, 3: V3}
    assert refusal(take, play, V2) == Code.SEAT_TAKEN


def test_a_reserve_takes_the_lowest_seat_that_was_left_and_only_one() -> None:
    play = published()
    play.take_seats()
    leave(play, V3)
    leave(play, V2)
    take(play, R4)
    assert seats(play) == {1: V1, 2: R4}
    play.send(OWNER, "rewards:Transfer", "V4MSP/other", "500")
    assert refusal(take, play, "V4MSP/other") == Code.ALREADY_JOINED
    assert refusal(take, play, R4) == Code.ALREADY_JOINED
    take(play, R5)
    assert seats(play) == {1: V1, 2: R4, 3: R5}
    assert refusal(take, play, V2) == Code.SEAT_TAKEN
    assert refusal(take, play, "V1MSP/other") == Code.SEAT_TAKEN


def test_a_vacant_seat_does_not_count_at_the_start() -> None:
    play = published()
    play.take_seats()
    play.join()
    leave(play, V1)
    leave(play, V2)
    play.wait()
    play.advance()
    assert play.state().status == TaskStatus.EXPIRED
    assert refusal(leave, play, V3) == Code.WRONG_PHASE
    assert refusal(take, play, R4) == Code.WRONG_PHASE
    assert not play.view().free_seats


# While it runs


def test_who_leaves_acts_to_the_end_of_the_last_round_whose_ceremony_is_open() -> None:
    play = running()
    play.to(Phase.COMMIT)
    leave(play, V2)
    assert {seat.seat: seat.leaves_after for seat in play.view().seats} == {1: 0, 2: 2, 3: 0}
    assert refusal(leave, play, V2) == Code.WRONG_PHASE
    assert refusal(take, play, R4) == Code.SEAT_TAKEN
    play.whole_round()
    assert list(play.view().ceremonies[0].seats) == [1, 2, 3]
    play.to(Phase.COMMIT)
    assert list(play.round().seats) == [1, 2, 3]
    assert list(play.view().ceremonies[1].seats) == [1, 3]
    assert play.balance(V2) == FUNDS - 200 + 66
    play.whole_round()
    assert play.balance(V2) == FUNDS + 2 * 66
    assert seats(play) == {1: V1, 3: V3}
    assert play.round().number == 3
    take(play, R4)
    assert seats(play)[2] == R4
    play.seats[2] = R4
    # it takes part from the next ceremony that opens
    assert list(play.view().ceremonies[0].seats) == [1, 3]
    play.to(Phase.COMMIT)
    assert list(play.round().seats) == [1, 3]
    assert list(play.view().ceremonies[1].seats) == [1, 2, 3]
    play.whole_round()
    play.whole_round()
    assert play.state().status == TaskStatus.COMPLETED
    assert play.balance(R4) == FUNDS + 66
    play.check_tokens()


def test_who_leaves_before_the_round_has_its_key_leaves_after_it() -> None:
    play = running()
    leave(play, V2)
    assert play.view().seats[1].leaves_after == 1
    play.to(Phase.COMMIT)
    assert list(play.view().ceremonies[1].seats) == [1, 3]
    play.whole_round()
    assert seats(play) == {1: V1, 3: V3}


def test_who_leaves_is_still_slashed_for_its_last_rounds() -> None:
    play = running()
    leave(play, V2)
    play.to(Phase.COMMIT)
    play.ceremony(2, [1, 3])
    accused(play, 2)
    play.whole_round()
    assert play.balance(V2) == FUNDS - 50
    assert play.burnt() == 50


def test_a_seat_without_cover_for_a_slash_is_free_once_it_takes_no_part() -> None:
    play = running(harsh())
    slashed_out(play)
    assert list(play.round().seats) == [1, 2]
    assert list(play.view().ceremonies[1].seats) == [1, 2]
    assert list(play.view().free_seats) == [3]
    assert seats(play)[3] == V3
    take(play, R4)
    assert seats(play) == {1: V1, 2: V2, 3: R4}
    assert play.balance(V3) == FUNDS - 150
    assert play.stake(V3).amount == 0
    assert not play.view().free_seats
    assert refusal(leave, play, V3) == Code.WRONG_ROLE
    play.check_tokens()


def test_a_seat_that_is_slashed_in_a_round_is_not_free_before_the_rounds_it_takes_part_in_end() -> None:
    play = running(harsh())
    play.to(Phase.COMMIT)
    play.ceremony(2)
    accused(play, 3)
    assert play.stake(V3).amount == 50
    assert 3 not in play.round().seats
    # the next round's key is made with this seat
    assert not play.view().free_seats
    assert refusal(take, play, R4) == Code.SEAT_TAKEN
    play.whole_round()
    play.to(Phase.COMMIT)
    assert list(play.view().ceremonies[1].seats) == [1, 2]
    assert not play.view().free_seats
    play.whole_round()
    assert list(play.view().free_seats) == [3]


def test_its_holder_may_take_a_seat_again_with_a_fresh_stake() -> None:
    play = running(harsh())
    slashed_out(play)
    take(play, V3)
    assert play.stake(V3).amount == 200
    assert play.balance(V3) == FUNDS - 150 - 200
    assert not play.view().free_seats
    play.check_tokens()


def test_a_reserve_that_is_slashed_out_takes_its_own_seat_again_and_no_second() -> None:
    play = published(harsh())
    play.take_seats()
    leave(play, V2)
    take(play, R4)
    play.seats[2] = R4
    play.join()
    play.advance()
    leave(play, V1)
    slashed_out(play, 2)
    play.whole_round()
    assert list(play.view().free_seats) == [1, 2]
    take(play, R4)
    assert seats(play) == {2: R4, 3: V3}
    assert play.stake(R4).amount == 200
    play.check_tokens()


def test_a_verifier_of_a_reserve_votes_on_challenges_and_does_not_mine() -> None:
    play = running()
    leave(play, V2)
    play.whole_round()
    take(play, R4)
    assert refusal(play.join, [R4]) == Code.WRONG_ORGANISATION
    play.send(R4, "blocks:Challenge", TASK, "1", "it is worse")
    ballot = js(Ballot(model=play.block(1).core.model.digest, reason=BallotReason.WRONG_MODEL))
    for who in (R4, V1):
        play.send(who, "blocks:VoteChallenge", TASK, "1", ballot)
    assert play.state().head.height == 0
    assert refusal(play.send, R5, "blocks:Challenge", TASK, "0", "no part in it") == Code.WRONG_ROLE
    assert refusal(play.send, "V2MSP/vera", "blocks:VoteChallenge", TASK, "1", ballot) == Code.WRONG_ROLE


def test_a_task_short_of_verifiers_waits_for_them_a_step_a_round() -> None:
    play = running(reserved(rounds=9))
    leave(play, V1)
    leave(play, V2)
    play.whole_round()
    assert list(play.view().ceremonies[0].seats) == [3]
    play.key_step("CommitKey", 3, 2)
    assert (play.round().number, play.view().ceremonies[0].step) == (2, CeremonyStep.KEY_COMMIT)
    take(play, R4)
    take(play, R5)
    play.seats |= {1: R4, 2: R5}
    play.wait()
    play.advance()
    assert play.round().number == 3
    assert list(play.view().ceremonies[0].seats) == [1, 2, 3]
    play.whole_round()
    assert play.state().head.height == 2


def test_an_organisation_outside_the_committee_and_its_reserves_has_no_seat() -> None:
    play = Play(seats=6)
    play.publish(reserved())
    for call in ("tasks:JoinCommittee", "tasks:LeaveCommittee"):
        assert refusal(play.send, "V6MSP/vera", call, TASK) == Code.WRONG_ORGANISATION
    assert refusal(leave, play, V1) == Code.WRONG_ROLE
