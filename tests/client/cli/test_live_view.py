"""The view of a task that runs: it fits every terminal, shows the round under way, and says why a round failed."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn.analysis.reasons import ROUND_ENDS, TASK_ENDS
from quorumlearn.cli.live import DOING, PHASES, TaskWatch
from quorumlearn_chaincode.contracts import settlement
from quorumlearn_chaincode.contracts.phases import Why
from quorumlearn_proto import block_pb2 as b
from rich.console import Console

ROUNDS = 16
MINERS = [f"Miners{organisation}MSP/miner{number}" for organisation in (1, 2) for number in range(1, 5)]


def view(number: int, phase: b.Phase, why: str = "") -> b.TaskView:
    """Round `number` in `phase`, ended as ACCEPTED or, with a reason, ABORTED; a second passes in each phase but COMMIT's minutes."""
    made = b.TaskView(now_ms=1_000_000)
    made.round.number, made.round.phase = number, phase
    made.round.miners.extend(MINERS)
    at = made.now_ms
    for one in reversed([*PHASES, b.ENDED][: [*PHASES, b.ENDED].index(phase) + 1]):
        made.round.times.add(phase=one, entered_ms=at)
        at -= 123_400 if one == b.BEACON else 1000
    made.round.times.reverse()
    if phase > b.SELECT:
        for miner in MINERS[:-1]:
            made.round.selection.verdicts.add(miner=miner, weight=1, reason=b.CONTRIBUTES)
        made.round.selection.verdicts.add(miner=MINERS[-1], reason=b.OUTLIER)
    if phase == b.ENDED:
        made.round.outcome = b.ABORTED if why else b.ACCEPTED
        made.round.reason = why
        made.ballots.add(score=981_200, total=10_000)
    return made


def frame(watch: TaskWatch, console: Console) -> list[str]:
    """The lines that are on the screen now."""
    with console.capture() as capture:
        console.print(watch, end="")
    return capture.get().splitlines()


def screen(width: int, height: int) -> tuple[TaskWatch, Console]:
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width, height=height)
    return TaskWatch(console, ROUNDS), console


@given(width=st.integers(8, 250), height=st.integers(6, 60), failing=st.sets(st.integers(1, ROUNDS)))
@settings(max_examples=15, deadline=None)
def test_every_frame_fits_and_shows_the_round_under_way(width: int, height: int, failing: set[int]) -> None:
    watch, console = screen(width, height)
    for number in range(1, ROUNDS + 1):
        for phase in (b.COMMIT, b.ENDED):
            watch.show(view(number, phase, "NO_PROPOSAL" if number in failing else ""))
            lines = frame(watch, console)
            assert len(lines) <= height
            assert max(map(len, lines)) <= width
            assert width < 26 or any(line.lstrip().startswith(f"{number}/16 ") for line in lines)


@pytest.mark.parametrize("height", range(1, 6))
def test_the_round_under_way_is_the_first_line_of_the_smallest_terminals(height: int) -> None:
    watch, console = screen(80, height)
    for number in range(1, ROUNDS + 1):
        watch.show(view(number, b.COMMIT))
        assert frame(watch, console)[0].split()[:2] == [f"{number}/16", "commit"]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_a_number_stands_in_one_piece_beside_its_unit(width: int) -> None:
    watch, console = screen(width, 24)
    for number in range(1, ROUNDS + 1):
        watch.show(view(number, b.ENDED))
        for line in frame(watch, console):
            if match := re.match(r"\s*\d+/16 (.*)", line):
                numbers = re.findall(r"\d+\.\d+", match[1])
                assert len(numbers) == len(re.findall(r"\d+\.\d+ [s%]", match[1])) > 0
    assert any("validate" in line for line in frame(watch, console)) == (width >= 120)


def test_at_its_end_all_rounds_are_printed() -> None:
    watch, console = screen(80, 10)
    with watch:
        for number in range(1, ROUNDS + 1):
            watch.show(view(number, b.ENDED))
    assert isinstance(console.file, io.StringIO)
    last = console.file.getvalue().rpartition("accuracy")[2].split()
    assert [one for one in last if "/16" in one] == [f"{number}/16" for number in range(1, ROUNDS + 1)]


def test_a_failed_round_says_why_on_a_terminal_and_in_a_line() -> None:
    watch, console = screen(120, 24)
    watch.show(view(3, b.ENDED, "NO_PROPOSAL"))
    why = f"NO_PROPOSAL: {ROUND_ENDS['NO_PROPOSAL']}"
    assert f"round 3 aborted: {why}" in frame(watch, console)
    plain = Console(file=io.StringIO(), width=80)
    TaskWatch(plain, ROUNDS).show(view(3, b.ENDED, "NO_PROPOSAL"))
    assert isinstance(plain.file, io.StringIO)
    line = plain.file.getvalue()
    assert why in line
    assert "contribute" not in line


def test_every_end_that_the_ledger_knows_has_words() -> None:
    assert set(ROUND_ENDS) == {str(why) for why in Why}
    assert set(TASK_ENDS) == {settlement.TOO_FEW_MINERS, settlement.TOO_FEW_VERIFIERS}


def test_every_phase_has_words() -> None:
    assert set(DOING) == set(PHASES)


def test_the_view_names_the_tasks_metric() -> None:
    watch, console = screen(200, 24)
    ended = view(1, b.ENDED)
    ended.task.spec.workload.metric, ended.task.spec.workload.lower_is_better = "perplexity", True
    ended.ballots[0].score = 12_345_678
    watch.show(ended)
    shown = "\n".join(frame(watch, console))
    assert "perplexity" in shown
    assert "12.35" in shown
    assert "accuracy" not in shown
