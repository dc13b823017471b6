"""Whoever joins and leaves as fast as it can holds up no settlement and no start."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto.block_pb2 import Phase, Round

from tests.chaincode.contracts.ledger_stub import ConflictError, Simulation, identity
from tests.chaincode.contracts.market_actors import FUNDS, TASK, Play, spec
from tests.chaincode.contracts.test_timeouts import go_to

pytestmark = pytest.mark.usefixtures("views_are_whole")
ADVANCE = "OwnerMSP/anyone", "blocks:Advance", TASK
WAITS, STRANGER = "M2MSP/miner05", "M1MSP/miner06"
"""Both funded: one that has joined and has no place, and one that has not joined."""


def crowded(rounds: int = 2) -> Play:
    """Four places, five miners."""
    play = Play(miner_count=6)
    play.start(spec(rounds=rounds), play.miners[:5])
    assert WAITS not in play.round().miners
    return play


def endorsed(play: Play) -> list[Simulation]:
    """What the two can have endorsed now, also by a clock that is late."""
    moves = []
    for who in (WAITS, STRANGER):
        for function in ("tasks:Join", "tasks:Leave"):
            for late_ms in (0, 1000, 10_000):
                with contextlib.suppress(Refusal):
                    when = play.peer.clock_ms - late_ms
                    moves.append(play.peer.endorse(identity(who), function, TASK, timestamp_ms=when))
    return moves


def committed(play: Play, moves: Sequence[Simulation]) -> int:
    """How many of them count."""
    count = 0
    for move in moves:
        with contextlib.suppress(ConflictError):
            play.peer.commit(move)
            count += 1
    return count


def ballots(play: Play) -> tuple[str, ...]:
    """The ballots are shown, all of them having been fixed."""
    play.to(Phase.VALIDATE)
    seats = list(play.round().seats)
    for seat in seats:
        play.cast(seat, play.ballot())
    return play.seats[seats[0]], *play.shown_words(seats)


def in_time(phase: Phase) -> Callable[[Play], tuple[str, ...]]:
    """Nobody acts in this phase."""

    def waited(play: Play) -> tuple[str, ...]:
        play.to(phase)
        play.wait()
        return ADVANCE

    return waited


ENDS = {"ballots": ballots} | {
    Phase.Name(phase): in_time(phase)
    for phase in (Phase.REVEAL, Phase.SCREEN, Phase.SELECT, Phase.OPEN, Phase.VALIDATE)
}


@pytest.mark.parametrize("rounds", [1, 2], ids=["the last round", "another round"])
@pytest.mark.parametrize("to_the_end", ENDS.values(), ids=ENDS)
def test_no_join_and_no_leave_comes_before_the_end_of_a_round(
    to_the_end: Callable[[Play], tuple[str, ...]], rounds: int
) -> None:
    play = crowded(rounds)
    go_to(play, Phase.COMMIT)
    hoarded = endorsed(play)
    assert hoarded
    who, *words = to_the_end(play)
    settlement = play.peer.endorse(identity(who), *words)
    assert committed(play, [*hoarded, *endorsed(play)]) == 0
    play.peer.commit(settlement)
    assert play.ask(Round, "blocks:Round", TASK, "1").phase == Phase.ENDED
    play.check_tokens()


def test_a_round_that_ends_in_commit_is_held_up_by_nothing_that_was_endorsed_after_its_deadline() -> None:
    play = crowded()
    go_to(play, Phase.COMMIT)
    play.wait()
    settlement = play.peer.endorse(identity(ADVANCE[0]), *ADVANCE[1:])
    assert endorsed(play) == [], "a clock that is late opens no queue"
    play.peer.commit(settlement)
    assert play.round().number == 2


def test_of_what_was_endorsed_before_a_deadline_one_of_an_identity_counts_at_most() -> None:
    play = crowded()
    go_to(play, Phase.COMMIT)
    hoarded = endorsed(play)
    assert len(hoarded) > 2
    play.wait()
    assert committed(play, hoarded) == 2, "a join and a leave"
    play.advance()
    assert play.round().number == 2


def test_who_has_a_place_holds_up_a_settlement_once_by_leaving() -> None:
    play = crowded()
    who, *words = ballots(play)
    leaving = play.round().miners[0]
    settlement = play.peer.endorse(identity(who), *words)
    play.send(leaving, "tasks:Leave", TASK)
    with pytest.raises(ConflictError):
        play.peer.commit(settlement)
    for function in ("tasks:Leave", "tasks:Join"):
        with pytest.raises(Refusal):
            play.send(leaving, function, TASK)
    play.send(who, *words)
    assert play.round().number == 2
    assert leaving not in play.round().miners


@pytest.mark.parametrize("who", ["M1MSP/miner06", "V3MSP/vera"])
def test_no_join_and_no_leave_comes_before_a_start_that_is_due(who: str) -> None:
    """A miner joins and leaves, or a verifier, whose seat is its own."""
    join, leave = ("tasks:Join", "tasks:Leave")
    if who.startswith("V"):
        join, leave = ("tasks:JoinCommittee", "tasks:LeaveCommittee")
    play = Play(miner_count=6)
    play.publish(spec(max_miners=6))
    play.take_seats([1, 2])
    play.join(play.miners[:5])
    play.send(who, join, TASK)
    play.send(who, leave, TASK)
    play.wait()
    start = play.peer.endorse(identity(ADVANCE[0]), *ADVANCE[1:])
    for late_ms in (0, 1000, 10_000):
        with pytest.raises(Refusal, match="its time to join is over") as caught:
            play.send(who, join, TASK, timestamp_ms=play.peer.clock_ms - late_ms)
        assert caught.value.code == Code.WRONG_PHASE
    play.peer.commit(start)
    assert play.round().number == 1


def test_the_queue_is_open_in_commit_and_says_so_elsewhere() -> None:
    play = crowded()
    for phase in (Phase.KEY, Phase.REVEAL, Phase.VALIDATE):
        play.to(phase)
        for who, function in ((STRANGER, "tasks:Join"), (WAITS, "tasks:Leave")):
            with pytest.raises(
                Refusal, match=f"open while a round is in COMMIT .* {Phase.Name(phase)}"
            ) as caught:
                play.send(who, function, TASK)
            assert caught.value.code == Code.WRONG_PHASE
    play.vote()
    go_to(play, Phase.COMMIT)
    play.send(WAITS, "tasks:Leave", TASK)
    play.send(STRANGER, "tasks:Join", TASK)
    assert (play.balance(WAITS), play.balance(STRANGER)) == (FUNDS, FUNDS - 100)
