"""Accusations put a seat out of its round, or end it; and false votes are recorded like them."""

from __future__ import annotations

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto.block_pb2 import BallotReason, Fault, Outcome, Phase, Round
from quorumlearn_proto.task_pb2 import Committee

from tests.chaincode.contracts.ledger_stub import ConflictError, identity
from tests.chaincode.contracts.market_actors import TASK, TIMEOUT_S, Play, ref, spec

pytestmark = pytest.mark.usefixtures("views_are_whole")

SKETCH, PARTIAL = Fault.BAD_SKETCH_SHARES, Fault.BAD_PARTIAL
GOOD, WRONG, GONE, FELL = (
    BallotReason.GOOD,
    BallotReason.WRONG_MODEL,
    BallotReason.UNAVAILABLE,
    BallotReason.SCORE_FELL,
)


def at(phase: Phase, seats: int = 4, threshold: int = 3) -> Play:
    """Round 1 of a committee of four, three of them a quorum, in this phase."""
    play = Play(seats=seats)
    committee = Committee(msp_ids=[f"V{n}MSP" for n in play.seats], threshold=threshold)
    task = spec()
    task.committee.CopyFrom(committee)
    play.start(task)
    play.to(phase)
    return play


def refusal(act: object, *arguments: object, **changes: object) -> Code:
    with pytest.raises(Refusal) as caught:
        act(*arguments, **changes)  # type: ignore[operator]
    return caught.value.code


def first_round(play: Play) -> Round:
    return play.ask(Round, "blocks:Round", TASK, "1")


def false_votes(play: Play) -> list[tuple[int, str, int]]:
    found = play.misconducts()
    assert all(one.fault == Fault.FALSE_VOTE and not one.accusers for one in found)
    return [(one.seat, one.step, one.slashed) for one in found]


def test_t_accusations_put_a_seat_out_with_its_shares_as_evidence() -> None:
    play = at(Phase.SELECT)
    for accuser in (1, 2):
        play.accuse(accuser, 4, SKETCH)
    assert list(play.round().seats) == [1, 2, 3, 4]
    assert not play.misconducts()
    play.accuse(3, 4, SKETCH)
    assert (play.round().phase, list(play.round().seats)) == (Phase.SELECT, [1, 2, 3])
    found = play.misconducts()[0]
    assert (found.round, found.attempt, found.seat, found.verifier) == (1, 0, 4, play.seats[4])
    assert (found.fault, found.step, found.slashed) == (SKETCH, "SELECT", 50)
    assert (list(found.accusers), list(found.evidence)) == ([1, 2, 3], [ref("sketch 4")])
    assert found.detail == "seen by 1"
    assert play.burnt() == 50
    view = play.view()
    assert [(one.accuser, one.seat, one.verifier) for one in view.accusations] == [
        (seat, 4, play.seats[seat]) for seat in (1, 2, 3)
    ]
    assert list(view.misconducts) == [found]
    assert refusal(play.select, seats=[4]) == Code.WRONG_ROLE
    play.whole_round()
    assert first_round(play).outcome == Outcome.ACCEPTED
    assert list(first_round(play).seats) == [1, 2, 3]
    assert play.stake(play.seats[4]).paid == 0
    play.check_tokens()


def test_the_accusation_that_puts_out_the_last_voter_awaited_closes_the_phase() -> None:
    play = at(Phase.SELECT)
    play.select(seats=[1, 2, 3])
    assert play.round().phase == Phase.SELECT
    for accuser in (1, 2, 3):
        play.accuse(accuser, 4, SKETCH)
    assert (play.round().phase, list(play.round().seats)) == (Phase.OPEN, [1, 2, 3])


def test_a_phase_has_its_whole_time_again_when_a_seat_is_put_out() -> None:
    play = at(Phase.SELECT)
    play.wait(TIMEOUT_S - 1)
    for accuser in (1, 2):
        play.accuse(accuser, 4, SKETCH)
    before = play.round()
    play.accuse(3, 4, SKETCH)
    after = play.round()
    assert after.deadline_ms == play.peer.clock_ms + 1000 * TIMEOUT_S > before.deadline_ms
    assert list(after.times) == list(before.times)
    play.wait(TIMEOUT_S - 1)
    play.select()
    assert not [one for one in play.misconducts() if one.fault == Fault.MISSED_STEP and one.round == 1]


def test_a_vote_of_a_seat_that_is_put_out_does_not_count() -> None:
    play = at(Phase.SELECT)
    play.select(play.selection({play.miners[0]: 1, play.miners[1]: 1}), seats=[4])
    play.select(seats=[1, 2])
    for accuser in (1, 2, 3):
        play.accuse(accuser, 4, SKETCH)
    play.select(seats=[3])
    assert play.round().phase == Phase.OPEN
    assert [one.fault for one in play.misconducts()] == [SKETCH]


@pytest.mark.parametrize("phase", [Phase.PROPOSE, Phase.VALIDATE])
def test_a_false_partial_decryption_is_evidence(phase: Phase) -> None:
    play = at(phase)
    for accuser in (2, 3, 4):
        play.accuse(accuser, 1, PARTIAL)
    found = play.misconducts()[0]
    assert (found.seat, found.fault, found.step) == (1, PARTIAL, Phase.Name(phase))
    assert list(found.evidence) == [ref("opening 1")]
    play.whole_round()
    assert first_round(play).outcome == Outcome.ACCEPTED


def test_ballots_of_seats_put_out_do_not_count_and_are_not_in_the_block() -> None:
    play = at(Phase.VALIDATE)
    play.vote({4: WRONG, 1: GOOD, 2: GOOD})
    assert play.round().phase == Phase.VALIDATE
    for accuser in (1, 2, 3):
        play.accuse(accuser, 4, PARTIAL)
    play.vote({3: GOOD})
    assert first_round(play).outcome == Outcome.ACCEPTED
    assert [ballot.seat for ballot in play.block(1).ballots] == [1, 2, 3]
    assert [one.fault for one in play.misconducts()] == [PARTIAL]


def test_fewer_accusers_than_t_put_nobody_out() -> None:
    play = at(Phase.SELECT, seats=2, threshold=2)
    play.accuse(1, 2, SKETCH)
    play.select()
    assert first_round(play).phase == Phase.OPEN
    assert not play.misconducts()


def test_contradicting_shares_of_nobody_in_particular_abort_the_round() -> None:
    play = at(Phase.VALIDATE)
    for accuser in (1, 2, 4):
        play.accuse(accuser, 0, PARTIAL)
    ended = first_round(play)
    assert (ended.outcome, ended.reason) == (Outcome.ABORTED, "SHARES_CONTRADICT")
    assert not play.misconducts()
    assert play.round().number == 2


def test_words_of_different_faults_or_of_seats_that_left_do_not_add_up() -> None:
    play = at(Phase.SELECT)
    play.accuse(4, 1, SKETCH)
    for accuser in (1, 2, 3):
        play.accuse(accuser, 4, SKETCH)
    play.accuse(2, 1, SKETCH)
    play.accuse(3, 1, SKETCH)
    assert list(play.round().seats) == [1, 2, 3]
    play.to(Phase.PROPOSE)
    play.accuse(2, 1, PARTIAL)
    assert list(play.round().seats) == [1, 2, 3]
    assert refusal(play.accuse, 2, 1, PARTIAL) == Code.ALREADY_VOTED


def test_an_accusation_belongs_to_its_phase_and_names_another_seat_of_the_round() -> None:
    play = at(Phase.SELECT)
    assert refusal(play.accuse, 1, 2, PARTIAL) == Code.BAD_ARGUMENT
    assert refusal(play.accuse, 1, 2, Fault.MISSED_STEP) == Code.BAD_ARGUMENT
    assert refusal(play.accuse, 1, 1, SKETCH) == Code.BAD_ARGUMENT
    assert refusal(play.accuse, 1, 5, SKETCH) == Code.BAD_ARGUMENT
    assert refusal(play.accuse, 1, 2, SKETCH, detail="x" * 201) == Code.BAD_ARGUMENT
    for foreign in ({"accuser": 2}, {"verifier": play.seats[2]}, {"round": 2}, {"task_id": "other-1"}):
        assert refusal(play.accuse, 1, 2, SKETCH, **foreign) == Code.BAD_ARGUMENT
    play.accuse(1, 2, SKETCH, accuser=1, verifier=play.seats[1], round=1, task_id=TASK)
    assert refusal(play.accuse, 1, 2, SKETCH) == Code.ALREADY_VOTED
    play.to(Phase.OPEN)
    assert refusal(play.accuse, 1, 2, PARTIAL) == Code.BAD_ARGUMENT
    play.whole_round()
    assert refusal(play.accuse, 1, 2, PARTIAL) == Code.WRONG_PHASE


def test_two_accusations_in_one_block_cannot_both_miss_that_they_are_enough() -> None:
    play = at(Phase.SELECT, seats=3, threshold=2)
    words = ("blocks:Accuse", TASK, "1", '{"fault":"BAD_SKETCH_SHARES","seat":3}')
    both = [play.peer.endorse(identity(play.seats[seat]), *words) for seat in (1, 2)]
    play.peer.commit(both[0])
    with pytest.raises(ConflictError, match="READ_CONFLICT"):
        play.peer.commit(both[1])
    play.accuse(2, 3, SKETCH)
    assert list(play.round().seats) == [1, 2]


# False votes


def test_another_selection_than_the_quorums_is_a_false_vote() -> None:
    play = at(Phase.SELECT)
    play.select(play.selection({play.miners[0]: 1, play.miners[1]: 1}), [2])
    play.select(seats=[1, 3, 4])
    assert false_votes(play) == [(2, "SELECT", 0)], "it may have been shown other shares"


def test_another_aggregate_than_the_quorums_is_a_false_vote() -> None:
    play = at(Phase.OPEN)
    play.open([2], "another")
    assert refusal(play.open, [2]) == Code.ALREADY_POSTED
    play.open([1, 3, 4])
    assert false_votes(play) == [(2, "OPEN", 50)]


@pytest.mark.parametrize(
    ("votes", "false"),
    [
        ({1: GOOD, 2: GOOD, 3: GOOD, 4: WRONG}, [4]),
        ({1: GOOD, 2: GOOD, 3: GOOD, 4: GONE}, []),
        ({1: GOOD, 2: GOOD, 3: GOOD, 4: FELL}, []),
        ({1: WRONG, 2: WRONG, 3: WRONG, 4: GOOD}, [4]),
        ({1: WRONG, 2: WRONG, 3: WRONG, 4: FELL}, [4]),
        ({1: WRONG, 2: WRONG, 3: GONE, 4: GOOD}, []),
        ({1: GONE, 2: GONE, 3: GONE, 4: WRONG}, []),
        ({1: FELL, 2: FELL, 3: FELL, 4: GOOD}, []),
        ({1: FELL, 2: GOOD, 3: GOOD, 4: WRONG}, [4]),
    ],
)
def test_a_ballot_is_false_against_t_of_the_contrary_on_what_has_one_answer(
    votes: dict[int, BallotReason], false: list[int]
) -> None:
    play = at(Phase.VALIDATE)
    play.vote(votes)
    assert false_votes(play) == [(seat, "VALIDATE", 50) for seat in false]
    if first_round(play).outcome == Outcome.ACCEPTED:
        assert {ballot.seat: ballot.reason for ballot in play.block(1).ballots} == votes
    if play.round().phase == Phase.PROPOSE:
        play.propose()
        assert set(play.round().seats) == {1, 2, 3, 4} - set(false)
        play.vote()
    play.check_tokens()
