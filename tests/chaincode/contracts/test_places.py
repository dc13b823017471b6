"""Who has a place in a round, and what it costs to hold one and stay away."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_chaincode.contracts.specification import check_bounds, check_spec
from quorumlearn_proto.block_pb2 import Outcome, Phase, Reason, Round
from quorumlearn_proto.page_pb2 import ParticipationPage
from quorumlearn_proto.task_pb2 import TaskStatus

from tests.chaincode.contracts.ledger_stub import ConflictError, identity
from tests.chaincode.contracts.market_actors import TASK, TREASURY, Play, config, spec
from tests.chaincode.contracts.test_timeouts import go_to

pytestmark = pytest.mark.usefixtures("views_are_whole")
SQUATTERS = [f"M1MSP/nobody{number}" for number in range(1, 9)]
HONEST = [f"M2MSP/miner{number:02d}" for number in (1, 3, 5, 7)]
LATER = ["M1MSP/miner02", "M1MSP/miner04"]
STAKE = 100


def squatted(rounds: int, min_miners: int) -> Play:
    """Eight places. One organisation's eight squatters join first; four miners of another follow, then two of its own."""
    play = Play(miner_count=7)
    for who in SQUATTERS:
        play.send(TREASURY, "rewards:Mint", who, str(STAKE))
    play.publish(spec(rounds=rounds, min_miners=min_miners, max_miners=8))
    play.take_seats()
    play.join([*SQUATTERS, *HONEST, *LATER])
    play.wait()
    play.advance()
    return play


def round_without(play: Play, away: Sequence[str], next_key: bool = True) -> Round:
    """Play the round under way in which these miners do nothing; the round as it ended."""
    number = play.round().number
    if next_key:
        go_to(play, Phase.COMMIT)
    present = [miner for miner in play.round().miners if miner not in away]
    play.commit(present)
    close(play)
    if play.round().phase == Phase.BEACON:
        play.beacon()
        play.reveal(present)
        close(play)
        play.whole_round()
    return play.ask(Round, "blocks:Round", TASK, str(number))


def close(play: Play) -> None:
    """The phase ends, at once if nobody is missing, else in time."""
    play.wait()
    play.advance()


def numbers(play: Play) -> dict[str, int]:
    page = play.ask(ParticipationPage, "tasks:Miners", TASK, "100", "")
    return {entry.miner: entry.number for entry in page.participations}


# Squatters


def test_an_organisation_that_squats_keeps_others_out_of_none_of_their_places() -> None:
    play = squatted(rounds=4, min_miners=3)
    for _ in range(4):
        assert set(HONEST) < set(play.round().miners)
        assert round_without(play, SQUATTERS).outcome == Outcome.ACCEPTED
    assert play.state().status == TaskStatus.COMPLETED
    assert all(play.stake(miner).paid for miner in HONEST)
    assert not any(play.stake(who).paid for who in SQUATTERS)


def test_to_go_on_squatting_takes_as_many_stakes_again_every_two_rounds() -> None:
    """Here the others are too few for a round without the places that squatters hold."""
    play = squatted(rounds=5, min_miners=5)
    for places in (SQUATTERS[:4], SQUATTERS[4:]):
        for _ in range(2):
            assert set(play.round().miners) == {*places, *HONEST}
            assert round_without(play, SQUATTERS).reason == "TOO_FEW_COMMITS"
    assert sum(play.stake(who).amount for who in SQUATTERS) == 8 * STAKE
    assert set(play.round().miners) == {*LATER, *SQUATTERS[:2], *HONEST}
    assert round_without(play, SQUATTERS).outcome == Outcome.ACCEPTED


def test_who_waits_has_the_place_of_a_squatter_after_two_rounds() -> None:
    play = Play(miner_count=7)
    for who in SQUATTERS[:4]:
        play.send(TREASURY, "rewards:Mint", who, str(STAKE))
    play.publish(spec(rounds=4, min_miners=5, max_miners=8))
    play.take_seats()
    play.join([*SQUATTERS[:4], *HONEST, *LATER])
    play.advance()
    for _ in range(2):
        assert round_without(play, SQUATTERS).reason == "TOO_FEW_COMMITS"
    assert set(play.round().miners) == {*LATER, *SQUATTERS[:2], *HONEST}
    for _ in range(2):
        assert round_without(play, SQUATTERS).outcome == Outcome.ACCEPTED
    assert all(play.stake(miner).paid for miner in (*HONEST, *LATER))
    assert [play.balance(who) for who in SQUATTERS[:4]] == [STAKE] * 4


# What costs a place


def five(**changes: object) -> tuple[Play, str, str]:
    """Four places and five miners: one that has a place, and one of its organisation that waits for one."""
    play = Play(miner_count=5)
    play.start(spec(rounds=5, **changes))
    return play, play.miners[0], play.miners[4]


def test_who_is_absent_once_and_then_not_keeps_its_place() -> None:
    play, away, waits = five()
    for gone in ([away], [], [away], []):
        round_without(play, gone)
        assert away in play.round().miners
        assert waits not in play.round().miners


def test_who_is_absent_twice_in_a_row_stands_last_and_keeps_its_stake() -> None:
    play, away, waits = five()
    for _ in range(2):
        assert list(round_without(play, [away]).absentees) == [away]
    assert waits in play.round().miners
    assert away not in play.round().miners
    assert play.stake(away).amount == STAKE
    for _ in range(2):
        round_without(play, [waits])
    assert away in play.round().miners


def test_junk_between_two_absences_keeps_no_place() -> None:
    play, lazy, waits = five()
    round_without(play, [lazy])
    play.to(Phase.SELECT)
    play.select(play.selection(dict.fromkeys(play.miners[1:4], 1), Reason.OUT_OF_RANGE))
    play.whole_round()
    assert lazy in play.round().miners
    round_without(play, [lazy])
    assert waits in play.round().miners
    assert lazy not in play.round().miners


def test_a_round_without_a_key_makes_nobody_absent_and_nobody_present() -> None:
    play, away, waits = five()
    for number in (1, 3):
        assert play.round().number == number
        assert away in play.round().miners
        play.to(Phase.COMMIT)
        round_without(play, [away], next_key=False)
    assert play.ask(Round, "blocks:Round", TASK, "2").reason == "KEY_FAILED"
    assert waits in play.round().miners


def test_a_commit_that_is_never_revealed_is_no_update() -> None:
    """Too few reveals end a round, and then cost nobody a slash: the place is what is left to lose."""
    play = Play(miner_count=6)
    play.start(spec(rounds=3))
    silent = play.miners[:2]
    for _ in range(2):
        go_to(play, Phase.REVEAL)
        play.reveal([miner for miner in play.round().miners if miner not in silent])
        close(play)
    ended = play.ask(Round, "blocks:Round", TASK, "2")
    assert (ended.reason, sorted(ended.absentees)) == ("TOO_FEW_REVEALS", sorted(silent))
    assert play.miners[4] in play.round().miners
    assert not any(play.stake(miner).slashed for miner in silent)


def test_an_update_that_nobody_finds_is_none() -> None:
    play, hides, waits = five()
    for _ in range(2):
        play.to(Phase.SELECT)
        play.select(play.selection(dict.fromkeys(play.miners[1:4], 1), Reason.MISSING_ARTIFACT))
        play.whole_round()
    assert waits in play.round().miners
    assert hides not in play.round().miners


def test_who_has_lost_its_place_and_joins_again_is_no_further_in_front() -> None:
    play, away, waits = five()
    for _ in range(2):
        round_without(play, [away])
    play.send(away, "tasks:Leave", TASK)
    play.join([away])
    round_without(play, [])
    assert waits in play.round().miners
    assert away not in play.round().miners


# Numbers


def test_the_order_is_that_of_joins_whatever_their_clients_clocks_say() -> None:
    play = Play(miner_count=5)
    play.publish()
    play.take_seats()
    began = play.peer.clock_ms
    play.join(play.miners[:4])
    play.wait(1)
    play.send(play.miners[4], "tasks:Join", TASK, timestamp_ms=began - 1000)
    play.advance()
    assert sorted(play.round().miners) == sorted(play.miners[:4])
    assert numbers(play) == {miner: number for number, miner in enumerate(play.miners, 1)}


def test_of_two_joins_in_one_block_the_second_is_sent_again_and_has_the_next_number() -> None:
    play = Play()
    play.publish()
    first, second = play.miners[:2]
    joins = [play.peer.endorse(identity(who), "tasks:Join", TASK) for who in (first, second)]
    play.peer.commit(joins[0])
    with pytest.raises(ConflictError, match="READ_CONFLICT"):
        play.peer.commit(joins[1])
    play.join([second])
    assert numbers(play) == {first: 1, second: 2}


def test_settlement_reads_no_number() -> None:
    play, away, _ = five()
    for _ in range(2):
        go_to(play, Phase.COMMIT)
        play.commit([miner for miner in play.round().miners if miner != away])
        close(play)
        play.beacon()
        play.reveal([miner for miner in play.round().miners if miner != away])
        close(play)
        play.to(Phase.VALIDATE)
        play.vote({1: play.ballot().reason, 2: play.ballot().reason})
        play.wait()
        settled = play.peer.endorse(identity("OwnerMSP/anyone"), "blocks:Advance", TASK)
        play.peer.commit(settled)
        assert not [key for key in settled.reads if key.startswith("\x00queue\x00")]
    assert away not in play.round().miners


# The setting


@pytest.mark.parametrize(("places", "given", "share"), [(8, 0, 4), (5, 0, 3), (8, 3, 3), (8, 8, 8)])
def test_a_round_takes_half_of_its_miners_from_one_organisation_unless_the_task_says_otherwise(
    places: int, given: int, share: int
) -> None:
    play = Play(miner_count=20)
    play.publish(spec(max_miners=places, max_per_organisation=given, min_miners=3))
    play.take_seats()
    of_one = [miner for miner in play.miners if miner.startswith("M1MSP/")]
    play.join(of_one)
    play.wait()
    play.advance()
    assert list(play.round().miners) == of_one[:share]


def test_a_share_is_no_larger_than_the_places() -> None:
    check_bounds(spec(max_per_organisation=4))
    with pytest.raises(Refusal, match="max_per_organisation is 5: 0 to 4") as caught:
        check_bounds(spec(max_per_organisation=5))
    assert caught.value.code == Code.BAD_ARGUMENT


def test_a_task_that_the_organisations_of_miners_cannot_fill_is_refused_and_told_how_it_can_be() -> None:
    with pytest.raises(
        Refusal, match=r"max_per_organisation is 1: so .* of miners, 2, fill 2 places"
    ) as caught:
        check_spec(spec(max_per_organisation=1), config())
    assert caught.value.code == Code.BAD_ARGUMENT
    alone = config()
    del alone.organisations[[one.msp_id for one in alone.organisations].index("M2MSP")]
    with pytest.raises(
        Refusal,
        match=r"is 2 \(half of max_miners\): .* of miners, 1, fill 2 places, .*; raise max_per_organisation",
    ):
        check_spec(spec(), alone)
    check_spec(spec(max_per_organisation=3), alone)
