"""A slash needs proof: what costs standing or a place and never stake, and who is late once and who twice."""

from __future__ import annotations

import pytest
from quorumlearn_proto.block_pb2 import BallotReason, Fault, Outcome, Phase, Reason, Round
from quorumlearn_proto.page_pb2 import ParticipationPage
from quorumlearn_proto.penalties import FAULTS, MINERS, PROPOSERS, REPEATED, Cost, costs_standing
from quorumlearn_proto.task_pb2 import TaskStatus

from tests.chaincode.contracts.market_actors import TASK, Play, spec
from tests.chaincode.contracts.test_timeouts import expire, go_to

pytestmark = pytest.mark.usefixtures("views_are_whole")

STATISTICS = [reason for reason in MINERS if costs_standing(reason)]
BLAMED = dict.fromkeys((1, 2, 3), BallotReason.WRONG_MODEL)


def test_the_table_has_a_row_for_every_reason_and_fault_and_stake_only_for_what_is_proven() -> None:
    assert set(MINERS) == set(Reason.values()[1:])
    assert set(FAULTS) == set(Fault.values()[1:])
    assert {reason for reason in MINERS if MINERS[reason].cost is Cost.STAKE} == {
        Reason.MALFORMED,
        Reason.WRONG_WORK,
    }
    assert {reason for reason in PROPOSERS if PROPOSERS[reason].cost is Cost.STAKE} == {
        BallotReason.WRONG_MODEL
    }
    assert {Reason.OUTLIER, Reason.DUPLICATE, Reason.NOT_SELECTED, Reason.OUT_OF_RANGE} < set(STATISTICS)


@pytest.mark.parametrize("reason", STATISTICS)
def test_statistics_and_sealed_things_cost_pay_and_standing_and_no_stake(reason: Reason) -> None:
    play = Play()
    play.start(spec(rounds=3))
    play.whole_round()
    suspect = play.miners[3]
    before = play.stake(suspect).paid
    assert work(play)[suspect] == 1
    play.to(Phase.SELECT)
    play.select(play.selection(dict.fromkeys(play.miners[:3], 1), reason))
    play.whole_round()
    assert (play.stake(suspect).slashed, play.stake(suspect).paid) == (0, before)
    assert work(play)[suspect] == 0


def work(play: Play) -> dict[str, int]:
    page = play.ask(ParticipationPage, "tasks:Miners", TASK, "100", "")
    return {entry.miner: entry.work for entry in page.participations}


def test_who_is_passed_over_again_and_again_loses_its_place_to_who_waits_for_one() -> None:
    play = Play(miner_count=5)
    play.start(spec(rounds=REPEATED + 2))
    suspect, *others, waits = play.miners
    assert waits not in play.round().miners
    for _ in range(REPEATED):
        assert suspect in play.round().miners
        play.to(Phase.SELECT)
        play.select(play.selection(dict.fromkeys(others, 1), Reason.OUTLIER))
        play.whole_round()
    assert list(play.round().miners) == sorted([*others, waits])
    assert play.stake(suspect).amount == 100


def test_only_a_row_of_rounds_costs_the_place() -> None:
    play = Play(miner_count=5)
    play.start(spec(rounds=2 * REPEATED))
    first = sorted(play.round().miners)
    for number in range(1, 2 * REPEATED):
        play.to(Phase.SELECT)
        kept = play.miners[:4] if number % REPEATED == 0 else play.miners[1:4]
        play.select(play.selection(dict.fromkeys(kept, 1), Reason.NOT_SELECTED))
        play.whole_round()
        assert sorted(play.round().miners) == first


# Who is late


def test_a_seat_that_misses_the_same_step_twice_on_end_is_slashed_for_the_second() -> None:
    play = Play()
    play.start(spec(rounds=3))
    for slashed in (0, 50):
        go_to(play, Phase.SELECT)
        play.select(seats=[1, 2])
        expire(play)
        play.whole_round()
        assert play.stake(play.seats[3]).slashed == slashed
    assert play.stake(play.seats[3]).paid == 0


def test_who_was_not_heard_beside_t_others_is_not_slashed() -> None:
    """The round fails anyway; that so few acted may be the network's fault, or that of who keeps it from them."""
    play = Play()
    play.start(spec(rounds=3))
    for _ in range(3):
        go_to(play, Phase.BEACON)
        play.beacon([1])
        expire(play)
    assert play.state().status == TaskStatus.COMPLETED
    assert not any(play.stake(seat).slashed for seat in play.seats.values())


def test_a_seat_that_cannot_tell_whose_shares_are_false_has_no_vote_to_miss() -> None:
    play = Play()
    play.start(spec(rounds=3))
    for _ in range(2):
        go_to(play, Phase.SELECT)
        play.accuse(3, 0, Fault.BAD_SKETCH_SHARES)
        play.select(seats=[1, 2])
        expire(play)
        play.whole_round()
    assert play.stake(play.seats[3]).slashed == 0


def withhold(play: Play, miner: str) -> None:
    go_to(play, Phase.REVEAL)
    play.reveal([one for one in play.round().miners if one != miner])
    expire(play)


def test_who_withholds_twice_on_end_is_slashed_for_the_second() -> None:
    play = Play()
    play.start(spec(rounds=3))
    late = play.miners[3]
    for slashed in (0, 40):
        withhold(play, late)
        play.whole_round()
        assert play.stake(late).slashed == slashed


def test_who_could_not_reveal_since_the_round_had_ended_has_withheld_nothing() -> None:
    play = Play()
    play.start(spec(rounds=3))
    go_to(play, Phase.BEACON)
    play.beacon([1])
    expire(play)
    assert play.round().number == 2
    late = play.miners[3]
    withhold(play, late)
    assert play.stake(late).slashed == 0


# Proposers


def test_of_an_aggregate_that_is_undecided_nobody_is_slashed_and_no_proposer_blamed() -> None:
    """Without a share to spare nobody can say who lied: the round ends, and its work is paid."""
    play = Play()
    play.start()
    go_to(play, Phase.VALIDATE)
    play.vote({1: BallotReason.UNAVAILABLE, 2: BallotReason.UNAVAILABLE, 3: BallotReason.WRONG_MODEL})
    ended = play.ask(Round, "blocks:Round", TASK, "1")
    assert (ended.outcome, ended.reason) == (Outcome.ABORTED, "NO_DECISION")
    everybody = [*play.miners, *play.seats.values()]
    assert not any(play.stake(who).slashed for who in everybody)
    assert all(play.stake(who).paid for who in everybody)


def test_a_wrong_model_of_which_t_seats_say_so_costs_its_proposer_a_slash() -> None:
    play = Play()
    play.start()
    go_to(play, Phase.VALIDATE)
    liar = play.round().candidate.proposer
    play.vote(BLAMED)
    assert [play.stake(miner).slashed for miner in play.miners] == [
        40 if miner == liar else 0 for miner in play.miners
    ]
