"""Honest work is found right by anybody who has the data; whatever else is opened is found wrong, and ends in no exception."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn.learning.errors import TrainingError
from quorumlearn.learning.exact import NearTie, State
from quorumlearn.learning.own_code import own_code
from quorumlearn.replay import Committed, Finding, Outcome, checkpoint_of, tensors
from quorumlearn.replay.checking import most_opening_bytes
from quorumlearn.replay.states import MOST_TIES
from quorumlearn_proto.artifact_pb2 import RIGHT, WRONG, TraceOpening

from benchmarks.useful_work.linear import LinearTraining
from tests.client.replay.parties import MINER, Party, checked, work


@pytest.fixture(scope="module")
def honest() -> Party:
    return Party()


def outcomes(findings: list[Finding]) -> list[Outcome]:
    return [one.outcome for one in findings]


def test_a_seat_finds_honest_work_right_and_two_seats_find_the_same(honest: Party) -> None:
    findings = checked(honest.opening(), honest.submission(), work())
    assert outcomes(findings) == [Outcome.RIGHT] * 7
    assert findings == checked(honest.opening(), honest.submission(), work())
    assert len({one.receipt for one in findings}) == 7
    for one in findings:
        assert one.claimed == one.replayed
        record = one.record(MINER)
        assert (record.found, record.miner, record.item) == (RIGHT, MINER, one.item)


def test_a_seat_replays_its_own_items_of_what_was_drawn(honest: Party) -> None:
    steps: list[int] = []
    found = checked(
        honest.opening([2, 5, 7]),
        honest.submission(),
        work(),
        [2, 5, 7],
        [5],
        on_step=lambda done, of: steps.append(done),
    )
    assert [one.item for one in found] == [5]
    assert found == checked(honest.opening(), honest.submission(), work())[4:5]
    assert steps == [17, 18, 19, 20]


@pytest.mark.parametrize(
    "other",
    [
        {"seed": bytes(32)},
        {"data": LinearTraining().samples(64, 9)},
        {"training": LinearTraining(rate=0.2)},
        {"training": LinearTraining(momentum=0.0)},
        {"training": LinearTraining(grid_bits=19)},
    ],
    ids=str,
)
def test_other_seeds_data_and_settings_are_wrong_in_every_segment(other: dict[str, object]) -> None:
    party = Party(work(**other))
    findings = checked(party.opening(), party.submission(), work())
    assert outcomes(findings)[:6] == [Outcome.WRONG] * 6


def test_another_base_is_wrong_where_it_begins_and_where_it_ends() -> None:
    party = Party(work(base=LinearTraining().base(5)))
    findings = checked(party.opening(), party.submission(), work())
    assert outcomes(findings) == [Outcome.WRONG, *[Outcome.RIGHT] * 5, Outcome.WRONG]


def test_an_update_that_is_not_the_last_checkpoints_is_wrong_in_the_last_item_alone(honest: Party) -> None:
    submission = honest.submission()
    submission.claim = "00" * 32
    findings = checked(honest.opening(), submission, work())
    assert outcomes(findings) == [Outcome.RIGHT] * 6 + [Outcome.WRONG]
    last = findings[-1]
    assert (last.claimed, last.replayed) == ("00" * 32, honest.submission().claim)
    assert last.receipt == checked(honest.opening(), honest.submission(), work())[-1].receipt
    record = last.record(MINER)
    assert (record.found, record.digest) == (WRONG, bytes.fromhex(honest.submission().claim))


TAMPERED: dict[str, tuple[Callable[[TraceOpening], object], list[int]]] = {
    "a start of other weights": (
        lambda o: setattr(o.segments[2].start, "weights", o.segments[3].start.weights),
        [3],
    ),
    "a start of other weights, with their leaf": (
        lambda o: o.segments[2].start.CopyFrom(o.segments[3].start),
        [3],
    ),
    "a start of another optimiser": (
        lambda o: setattr(o.segments[2].start, "optimiser", o.segments[3].start.optimiser),
        [3],
    ),
    "no start": (lambda o: o.segments[2].ClearField("start"), [3]),
    "a start where the base is": (lambda o: o.segments[0].start.CopyFrom(o.segments[1].start), [1]),
    "an end from elsewhere": (lambda o: o.segments[2].end.CopyFrom(o.segments[4].end), [3]),
    "an end that is no leaf": (lambda o: setattr(o.segments[2].end, "weights", b"w"), [3]),
    "an end of other weights": (lambda o: setattr(o.segments[2].end, "weights", bytes(32)), [3]),
    "no path": (lambda o: o.segments[2].end.ClearField("path"), [3]),
    "a path too long": (lambda o: o.segments[2].end.path.append(bytes(32)), [3]),
    "weights that are no safetensors": (lambda o: setattr(o.segments[2].start, "weights", b"none"), [3]),
    "weights behind a header of 2^60 bytes": (
        lambda o: setattr(o.segments[2].start, "weights", (1 << 60).to_bytes(8, "little") + b"{}"),
        [3],
    ),
    "a log that is not the checkpoint's": (lambda o: setattr(o.segments[2], "ties", bytes(9)), [3]),
    "half a log": (lambda o: setattr(o.segments[2], "ties", bytes(5)), [3]),
    "a salt too short": (lambda o: setattr(o, "salt", b"salt"), [7]),
    "another salt": (lambda o: setattr(o, "salt", bytes(32)), [7]),
    "a last checkpoint that is another": (
        lambda o: setattr(o.last, "weights", o.segments[4].start.weights),
        [7],
    ),
    "no last checkpoint": (lambda o: o.ClearField("last"), [7]),
    "one segment fewer": (lambda o: o.segments.pop(), [1, 2, 3, 4, 5, 6, 7]),
    "one segment twice": (lambda o: o.segments.append(o.segments[5]), [1, 2, 3, 4, 5, 6, 7]),
    "another miner's": (lambda o: setattr(o, "miner", "Org2MSP/miner"), [1, 2, 3, 4, 5, 6, 7]),
    "another round's": (lambda o: setattr(o, "round", 2), [1, 2, 3, 4, 5, 6, 7]),
    "another task's": (lambda o: setattr(o, "task_id", "other"), [1, 2, 3, 4, 5, 6, 7]),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_opening_is_wrong_where_it_was_tampered_with(honest: Party, name: str) -> None:
    tamper, wrong = TAMPERED[name]
    opening = honest.opening()
    tamper(opening)
    findings = checked(opening, honest.submission(), work())
    assert [one.item for one in findings if one.outcome is Outcome.WRONG] == wrong
    assert all(one.reason for one in findings if one.outcome is Outcome.WRONG)
    assert Outcome.FAILED not in outcomes(findings)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_opening_are_wrong_in_every_item(data: bytes) -> None:
    submission = Party().submission()
    assert outcomes(checked(data, submission, work())) == [Outcome.WRONG] * 7


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_an_opening_with_any_byte_changed_is_right_only_if_it_says_the_same(data: st.DataObject) -> None:
    party = Party()
    good = party.opening([2, 7]).SerializeToString(deterministic=True)
    at = data.draw(st.integers(0, len(good) - 1))
    changed = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    found = checked(changed, party.submission(), work(), [2, 7])
    assert Outcome.FAILED not in outcomes(found)
    if outcomes(found) == [Outcome.RIGHT] * 2:
        reread = TraceOpening.FromString(changed)
        reread.DiscardUnknownFields()
        assert reread == party.opening([2, 7])


def test_what_is_larger_than_an_honest_opening_is_not_parsed(honest: Party) -> None:
    data = bytes(most_opening_bytes(work(), 6) + 1)
    found = checked(data, honest.submission(), work())
    assert "bytes" in found[0].reason
    assert outcomes(found) == [Outcome.WRONG] * 7
    assert len(honest.opening().SerializeToString()) < most_opening_bytes(work(), 6) - 6 * 9 * MOST_TIES


def test_a_root_that_is_none_is_wrong_work(honest: Party) -> None:
    for root in ("", "no root", "00" * 32, "00" * 31):
        submission = honest.submission()
        submission.manifest.trace_root = root
        assert outcomes(checked(honest.opening(), submission, work())) == [Outcome.WRONG] * 7


@dataclass(frozen=True)
class Dying(LinearTraining):
    """A user's code that fails in some steps, or for some weights."""

    error: BaseException | None = None
    at: int = -1
    above: float = np.inf
    times: list[int] | None = None

    def run(self, state: State, data, **how):  # type: ignore[no-untyped-def]
        here = state.step <= self.at < how["until"]
        if here and self.times is not None:
            self.times[0] -= 1
            here = self.times[0] >= 0
        if self.error is not None and (here or np.abs(state.weights["top.weight"]).max() > self.above):
            raise self.error
        return super().run(state, data, **how)


def test_a_training_that_dies_from_the_base_too_is_the_seats_misfortune(honest: Party) -> None:
    for error in (ValueError("no such thing"), SystemExit(3), RuntimeError()):
        seat = work(training=Dying(error=error, above=0.0))
        found = checked(honest.opening(), honest.submission(), seat)
        assert outcomes(found) == [Outcome.FAILED] * 6 + [Outcome.RIGHT]
        with pytest.raises(ValueError, match="could not be replayed"):
            found[0].record(MINER)


def of_torch() -> RuntimeError:
    """What torch raises where memory is wanting: 2^60 bytes are nowhere."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    return caught.value


def in_a_workload(error: Exception) -> TrainingError:
    """As it comes out of a user's module."""
    with pytest.raises(TrainingError) as caught, own_code("w", "the module", "lower batch_size"):
        raise error
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError("disk"),
        PermissionError("file"),
        of_torch(),
        in_a_workload(MemoryError()),
        in_a_workload(of_torch()),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_the_machine_lacks_is_the_seats_misfortune(honest: Party, error: Exception) -> None:
    seat = work(training=Dying(error=error, at=9))
    found = checked(honest.opening(), honest.submission(), seat)
    assert [one.item for one in found if one.outcome is Outcome.FAILED] == [3]
    assert Outcome.WRONG not in outcomes(found)


def test_what_failed_once_and_not_again_is_no_matter(honest: Party) -> None:
    seat = work(training=Dying(error=ValueError("once"), at=9, times=[1]))
    assert outcomes(checked(honest.opening(), honest.submission(), seat)) == [Outcome.RIGHT] * 7


def test_weights_made_to_kill_the_replay_are_wrong_work() -> None:
    """A miner that opens weights from which a training cannot go on hopes that no seat can say anything."""
    party = Party()
    poisoned = replace(
        party.trace.last, weights={"top.bias": np.full(3, 1e300), "top.weight": np.full((4, 3), 1e300)}
    )
    trace = party.trace
    states = {1: replace(poisoned, step=4)}
    checkpoints = list(trace.committed.checkpoints)
    checkpoints[1] = checkpoint_of(1, states[1])
    committed = Committed(tuple(checkpoints), trace.committed.logs)
    said = party.opening([7])
    said.ClearField("last")
    opening = committed.open([2, 7], {1: states[1], 6: trace.last}.__getitem__, said)
    submission = party.submission()
    submission.manifest.trace_root = committed.root
    seat = work(training=Dying(error=ArithmeticError("overflow"), above=1e200))
    found = checked(opening, submission, seat, [2, 7])
    assert outcomes(found) == [Outcome.WRONG, Outcome.RIGHT]
    assert "not from the base" in found[0].reason


def test_a_log_that_kills_the_replay_is_wrong_work_from_the_base_too() -> None:
    """Without a grid there are no near ties: a training that is handed some may well refuse with an error of its own."""

    class Refusing(LinearTraining):
        def run(self, state, data, **how):  # type: ignore[no-untyped-def]
            if how["ties"]:
                raise RuntimeError("no grid, no ties")
            return super().run(state, data, **how)

    class Adding(LinearTraining):
        def run(self, state, data, **how):  # type: ignore[no-untyped-def]
            stretch = super().run(state, data, **how)
            return replace(stretch, ties=(NearTie(state.step, 0, up=True),))

    party = Party(work(training=Adding()))
    found = checked(party.opening(), party.submission(), work(training=Refusing()))
    assert outcomes(found) == [Outcome.WRONG] * 6 + [Outcome.RIGHT]
    assert "not from the base" in found[0].reason


def test_a_seat_that_is_told_to_stop_stops() -> None:
    party = Party()

    class Stop(Exception):
        pass

    def on_step(done: int, of: int) -> None:
        raise Stop

    with pytest.raises(Stop):
        checked(party.opening(), party.submission(), work(), on_step=on_step)


def test_a_seat_of_another_numeric_profile_says_nothing_of_segments(honest: Party) -> None:
    class Profiled(LinearTraining):
        profile = "ab" * 32

    found = checked(honest.opening(), honest.submission(), work(training=Profiled()))
    assert outcomes(found) == [Outcome.FAILED] * 6 + [Outcome.RIGHT]
    submission = honest.submission()
    submission.manifest.profile = "ab" * 32
    found = checked(honest.opening(), submission, work(training=Profiled()))
    assert outcomes(found) == [Outcome.RIGHT] * 7


def test_numbers_that_are_not_finite_are_wrong_work(honest: Party) -> None:
    opening = honest.opening()
    raw = tensors.from_bytes(opening.segments[2].start.weights, work().forms.weights)
    data = opening.segments[2].start.weights.replace(raw["top.bias"].tobytes(), np.full(3, np.nan).tobytes())
    opening.segments[2].start.weights = data
    found = checked(opening, honest.submission(), work())
    assert "not finite" in found[2].reason
