"""A seat's step in a round carries its step of the next round's ceremony: one transaction does both, or neither."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import CeremonyStep, Outcome, Phase
from quorumlearn_proto.event_pb2 import LedgerEvent

from tests.chaincode.contracts.ledger_stub import identity
from tests.chaincode.contracts.market_actors import TASK, Play, js, ref, secret, sha, spec

CARRIED = {
    Phase.BEACON: "CommitKey",
    Phase.SCREEN: "RevealKey",
    Phase.SELECT: "TestKey",
    Phase.OPEN: "ConfirmKey",
}
STEPS = (
    CeremonyStep.KEY_COMMIT,
    CeremonyStep.KEY_REVEAL,
    CeremonyStep.KEY_TEST,
    CeremonyStep.KEY_CONFIRM,
    CeremonyStep.KEY_READY,
)
SEATS = (1, 2, 3)


def in_phase(phase: Phase) -> Play:
    """Round 1 in this phase, and what earlier phases carry done."""
    play = Play()
    play.start()
    play.to(Phase.BEACON)
    for earlier in CARRIED:
        if earlier < phase:
            play.to(earlier)
            both_steps(play, earlier)
    play.to(phase)
    return play


def step_words(play: Play, phase: Phase, seat: int) -> tuple[str, ...]:
    """A seat's step in round 1."""
    words: dict[Phase, Callable[[], tuple[str, ...]]] = {
        Phase.BEACON: lambda: ("RevealBeacon", secret(seat, 1)),
        Phase.SCREEN: lambda: ("PostSketch", js(ref(f"sketch {seat}"))),
        Phase.SELECT: lambda: ("VoteSelection", js(play.selection()), sha("basis")),
        Phase.OPEN: lambda: ("PostPartial", ref("sum").digest, js(ref(f"partial {seat}"))),
    }
    function, *arguments = words[phase]()
    return f"blocks:{function}", TASK, "1", *arguments


def key_words(play: Play, phase: Phase, seat: int) -> tuple[str, ...]:
    """What it carries: the step, the attempt and the contribution."""
    *_, attempt, contribution = play.key_words(CARRIED[phase], seat, 2)
    return CARRIED[phase], attempt, contribution


def both_steps(play: Play, phase: Phase) -> None:
    for seat in SEATS:
        play.send(play.seats[seat], *step_words(play, phase, seat), *key_words(play, phase, seat))


def state_of(play: Play) -> tuple[Phase, CeremonyStep]:
    view = play.view()
    return view.round.phase, next(one for one in view.ceremonies if one.round == 2).step


def test_a_whole_ceremony_is_carried_by_a_round() -> None:
    play = in_phase(Phase.PROPOSE)
    assert state_of(play) == (Phase.PROPOSE, CeremonyStep.KEY_READY)
    play.whole_round()
    assert play.round().number == 2
    assert play.round().phase == Phase.COMMIT  # it has its key already
    play.whole_round()
    assert play.round().outcome == Outcome.ACCEPTED
    assert not play.misconducts()


@pytest.mark.parametrize("phase", CARRIED)
def test_the_last_seat_closes_the_phase_and_the_step_in_one_transaction(phase: Phase) -> None:
    play = in_phase(phase)
    before = state_of(play)
    for seat in SEATS[:2]:
        words = (*step_words(play, phase, seat), "pending", *key_words(play, phase, seat))
        event = canonical.from_json(LedgerEvent, play.send(play.seats[seat], *words).payload)
        assert (event.kind, event.round, event.moved) == (words[0], 1, False)
        assert event.key_step == f"blocks:{CARRIED[phase]}"
    assert state_of(play) == before
    words = (*step_words(play, phase, 3), *key_words(play, phase, 3))
    event = canonical.from_json(LedgerEvent, play.send(play.seats[3], *words).payload)
    assert (event.round, event.moved) == (1, True)
    after = state_of(play)
    assert after[0] > before[0]
    assert STEPS.index(after[1]) == STEPS.index(before[1]) + 1


@pytest.mark.parametrize("phase", CARRIED)
def test_seats_that_know_of_others_commit_both_steps_in_one_block(phase: Phase) -> None:
    play = in_phase(phase)
    before = state_of(play)
    alone = play.peer.endorse(identity(play.seats[1]), *step_words(play, phase, 1), "pending")
    endorsed = [
        play.peer.endorse(
            identity(play.seats[seat]),
            *step_words(play, phase, seat),
            "pending",
            *key_words(play, phase, seat),
        )
        for seat in SEATS
    ]
    assert endorsed[0].messages.total() == alone.messages.total()
    for simulation in endorsed:
        play.peer.commit(simulation)
        keys = [key.split("\x00")[1:-1] for key in simulation.reads]
        theirs = {key[-1] for key in keys if key[0] in {"seat", "contribution", "screening"}}
        assert len(theirs) == 1
    assert state_of(play) == before
    play.advance()
    after = state_of(play)
    assert after[0] > before[0]
    assert STEPS.index(after[1]) == STEPS.index(before[1]) + 1


def test_the_phase_closes_although_a_seat_has_not_carried_its_step() -> None:
    play = in_phase(Phase.BEACON)
    for seat in SEATS[:2]:
        play.send(
            play.seats[seat], *step_words(play, Phase.BEACON, seat), *key_words(play, Phase.BEACON, seat)
        )
    play.send(play.seats[3], *step_words(play, Phase.BEACON, 3))
    assert state_of(play) == (Phase.REVEAL, CeremonyStep.KEY_COMMIT)
    play.key_step("CommitKey", 3, 2)
    assert state_of(play) == (Phase.REVEAL, CeremonyStep.KEY_REVEAL)


WRONG: dict[str, tuple[Callable[[Play], tuple[str, ...]], Code]] = {
    "a step that the ceremony is not in": (lambda play: key_words(play, Phase.SCREEN, 1), Code.WRONG_PHASE),
    "another attempt": (
        lambda play: ("CommitKey", "2", key_words(play, Phase.BEACON, 1)[2]),
        Code.WRONG_PHASE,
    ),
    "another step's contribution": (
        lambda play: ("CommitKey", "1", key_words(play, Phase.SCREEN, 1)[2]),
        Code.BAD_ARGUMENT,
    ),
    "a step that is not carried": (lambda play: ("OpenKey", "1", "{}"), Code.BAD_ARGUMENT),
    "a function's whole name": (
        lambda play: ("blocks:CommitKey", *key_words(play, Phase.BEACON, 1)[1:]),
        Code.BAD_ARGUMENT,
    ),
    "a word that is none": (lambda play: ("waiting",), Code.BAD_ARGUMENT),
    "an empty word": (lambda play: ("",), Code.BAD_ARGUMENT),
    "pending twice": (lambda play: ("pending", "pending"), Code.BAD_ARGUMENT),
    "no contribution": (lambda play: ("CommitKey", "1"), Code.BAD_ARGUMENT),
    "one word too many": (lambda play: (*key_words(play, Phase.BEACON, 1), "pending"), Code.BAD_ARGUMENT),
    "an attempt that is none": (
        lambda play: ("CommitKey", "01", key_words(play, Phase.BEACON, 1)[2]),
        Code.BAD_ARGUMENT,
    ),
}


@pytest.mark.parametrize("how", WRONG)
def test_what_cannot_be_carried_takes_the_rounds_step_with_it(how: str) -> None:
    carried, code = WRONG[how]
    play = in_phase(Phase.BEACON)
    before = play.view()
    with pytest.raises(Refusal) as caught:
        play.send(play.seats[1], *step_words(play, Phase.BEACON, 1), *carried(play))
    assert caught.value.code == code
    assert play.view() == before


def test_a_rounds_step_that_is_refused_takes_the_carried_one_with_it() -> None:
    play = in_phase(Phase.BEACON)
    before = play.view()
    step = ("blocks:RevealBeacon", TASK, "1", secret(2, 1))
    with pytest.raises(Refusal) as caught:
        play.send(play.seats[1], *step, *key_words(play, Phase.BEACON, 1))
    assert caught.value.code == Code.DIGEST_MISMATCH
    assert play.view() == before


def test_the_last_round_has_nothing_to_carry() -> None:
    play = Play()
    play.start(spec(rounds=1))
    play.to(Phase.BEACON)
    with pytest.raises(Refusal) as caught:
        play.send(play.seats[1], *step_words(play, Phase.BEACON, 1), *key_words(play, Phase.BEACON, 1))
    assert caught.value.code == Code.NO_SUCH_ROUND


@pytest.mark.parametrize("number", ["0", "x", "", "100000000000"])
def test_a_round_that_is_none_carries_nothing(number: str) -> None:
    play = in_phase(Phase.BEACON)
    words = ("blocks:RevealBeacon", TASK, number, secret(1, 1), *key_words(play, Phase.BEACON, 1))
    with pytest.raises(Refusal) as caught:
        play.send(play.seats[1], *words)
    assert caught.value.code == Code.BAD_ARGUMENT


def test_miners_and_advance_carry_nothing() -> None:
    play = in_phase(Phase.BEACON)
    for words in (("blocks:Advance", TASK), ("blocks:Commit", TASK, "1", ref("manifest").digest)):
        with pytest.raises(Refusal) as caught:
            play.send(play.miners[0], *words, *key_words(play, Phase.BEACON, 1))
        assert caught.value.code == Code.BAD_ARGUMENT
