"""A trace is the same however often its training was stopped, and opens whatever is drawn though not every state is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from quorumlearn.learning.exact import NearTie
from quorumlearn.nodes.journal import Journal
from quorumlearn.replay import Outcome, TraceError, Work, checkpoint_of, train
from quorumlearn.replay.states import ties_from_bytes

from benchmarks.useful_work.linear import LinearTraining
from tests.client.replay.parties import Folder, Party, checked, work


class Stop(Exception):
    pass


def stopping(after: int):  # type: ignore[no-untyped-def]
    left = [after]

    def on_step(done: int, of: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stop

    return on_step


def test_a_trace_has_a_checkpoint_after_each_k_steps_and_one_after_the_last() -> None:
    party = Party()
    assert party.work.segments == 6
    assert [party.work.step_of(number) for number in range(7)] == [0, 4, 8, 12, 16, 20, 22]
    assert len(party.trace.committed.checkpoints) == 7
    assert party.trace.last.step == 22
    assert party.trace.committed.checkpoints[0] == party.work.first
    whole = party.work.training.run(
        party.work.begin, party.work.data, seed=party.work.seed, total=22, until=22
    )
    assert checkpoint_of(6, whole.end) == party.trace.committed.checkpoints[6]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 21), max_size=4), st.integers(0, 4000))
def test_a_training_stopped_anywhere_goes_on_and_has_the_same_root(stops: list[int], most_bytes: int) -> None:
    folder = Folder()
    for after in stops:
        with pytest.raises(Stop):
            train(work(), folder, most_bytes=most_bytes, on_step=stopping(0 if not after else after % 3))
    trace = train(work(), folder, most_bytes=most_bytes)
    assert trace.root == Party().trace.root
    steps: list[int] = []
    again = train(work(), folder, most_bytes=most_bytes, on_step=lambda done, of: steps.append(done))
    assert (again.root, again.last, again.loss) == (trace.root, trace.last, trace.loss)
    assert steps == []


def test_a_training_goes_on_from_the_last_checkpoint_that_was_kept() -> None:
    folder = Folder()
    with pytest.raises(Stop):
        train(work(), folder, on_step=stopping(10))
    steps: list[int] = []
    train(work(), folder, on_step=lambda done, of: steps.append(done))
    assert steps == list(range(9, 23))


@pytest.mark.parametrize("harm", ["gone", "cut", "flipped", "another"])
def test_a_kept_state_that_is_not_what_it_was_counts_as_not_there(harm: str) -> None:
    folder = Folder()
    trace = train(work(), folder)
    data = folder["state-6"]
    if harm == "gone":
        del folder["state-6"]
    else:
        folder["state-6"] = {
            "cut": data[:-1],
            "flipped": data[:-1] + bytes([data[-1] ^ 1]),
            "another": folder["state-5"],
        }[harm]
    steps: list[int] = []
    assert train(work(), folder, on_step=lambda done, of: steps.append(done)).root == trace.root
    assert steps == [21, 22]


@pytest.mark.parametrize("record", [b"", b"[]", b"{}", b'{"checkpoints": [[]]}', b"\xff"])
def test_a_record_that_cannot_be_read_begins_the_training_anew(record: bytes) -> None:
    folder = Folder()
    trace = train(work(), folder)
    folder["record"] = record
    assert train(work(), folder).root == trace.root


@pytest.mark.parametrize("other", [{"seed": bytes(32)}, {"steps": 21}, {"segment_steps": 5}], ids=str)
def test_what_was_kept_of_another_training_is_not_gone_on_with(other: dict[str, object]) -> None:
    folder = Folder()
    train(work(), folder)
    assert train(work(**other), folder).root == train(work(**other), Folder()).root


@pytest.mark.parametrize("most_bytes", [0, 2500, 5000, 1 << 20])
def test_no_more_states_are_kept_than_asked_for_and_everything_opens(most_bytes: int) -> None:
    party = Party()
    trace = train(party.work, party.folder, most_bytes=most_bytes)
    kept = [name for name in party.folder if name.startswith("state-")]
    size = party.work.forms.most_bytes
    assert len(kept) <= max(2, most_bytes // size)
    assert "state-6" in kept
    for drawn in ([7], [1, 7], [2, 3, 6, 7], [5, 7], party.everything):
        opened = trace.open(drawn, task_id="quick", number=3, miner="Org1MSP/miner-1", salt=bytes(range(32)))
        assert opened == party.opening(drawn)


def test_a_trace_keeps_what_it_needs_in_a_nodes_journal(tmp_path) -> None:  # type: ignore[no-untyped-def]
    trace = train(work(), Journal(tmp_path).below("round-3/trace"))
    assert train(work(), Journal(tmp_path).below("round-3/trace")).root == trace.root == Party().trace.root


def test_what_was_not_drawn_of_this_training_is_not_opened() -> None:
    for item in (0, 8, -1):
        with pytest.raises(TraceError, match=f"segment {item} was drawn of 6"):
            Party().opening([item])


def test_a_machine_that_does_not_repeat_its_training_opens_nothing_wrong() -> None:
    party = Party()
    trace = train(party.work, party.folder, most_bytes=0)
    unlike = replace(trace, work=work(training=LinearTraining(rate=0.2)))
    with pytest.raises(TraceError, match="does not repeat"):
        unlike.open([3], task_id="", number=1, miner="", salt=b"")


def test_numbers_that_cannot_be_committed_to_end_the_training() -> None:
    class Diverging(LinearTraining):
        def gradient(self, flat, inputs, targets):  # type: ignore[no-untyped-def]
            return np.full(15, 1e3), 1.0

    with np.errstate(over="ignore"), pytest.raises(TraceError, match=r"after step 4 of 22: .*not finite"):
        train(work(training=Diverging(rate=1e306)), Folder())


class Tied(LinearTraining):
    """Gradients on a grid twice as fine as the task's: about half lie on a middle."""

    def gradient(self, flat, inputs, targets) -> tuple[NDArray[np.float64], float]:  # type: ignore[no-untyped-def]
        found, loss = super().gradient(flat, inputs, targets)
        return np.round(found * 2.0**21) / 2.0**21, loss


def tied(**changes: object) -> Work:
    return work(training=Tied(), **changes)


def test_near_ties_are_committed_to_opened_and_followed() -> None:
    party = Party(tied())
    logs = [ties_from_bytes(log) for log in party.trace.committed.logs]
    assert logs[0] == ()
    assert all(len(log) > 10 for log in logs[1:])
    assert all(
        party.work.step_of(n - 1) <= tie.step < party.work.step_of(n)
        for n, log in enumerate(logs)
        for tie in log
    )
    found = checked(party.opening(), party.submission(), tied())
    assert {one.outcome for one in found} == {Outcome.RIGHT}
    assert train(tied(), Folder(), most_bytes=0).open(
        [4, 6], task_id="quick", number=3, miner="Org1MSP/miner-1", salt=bytes(range(32))
    ) == party.opening([4, 6])


class Lying(Tied):
    """A miner that turns a value where it likes, and logs it as a near tie."""

    def run(self, state, data, **how):  # type: ignore[no-untyped-def]
        stretch = super().run(state, data, **how)
        if how.get("ties") is None and state.step == 8:
            taken = {(tie.step, tie.coordinate) for tie in stretch.ties}
            free = next(at for at in range(15) if (8, at) not in taken)
            ties = tuple(sorted((*stretch.ties, NearTie(8, free, True))))
            weights = dict(stretch.end.weights)
            weights["top.bias"] = weights["top.bias"] + 2.0**-20
            return replace(stretch, ties=ties, end=replace(stretch.end, weights=weights))
        return stretch


def test_a_near_tie_that_is_none_is_wrong_work() -> None:
    party = Party(work(training=Lying()))
    found = checked(party.opening(), party.submission(), tied())
    assert [one.item for one in found if one.outcome is Outcome.WRONG] == [3]
    assert "near a middle" in found[2].reason
    assert found[2].receipt == b""
