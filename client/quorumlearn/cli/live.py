"""What a task looks like while it runs: a table by round and phase on a terminal, a line a move elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from quorumlearn_proto import block_pb2 as b
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from quorumlearn.nodes.feed import REREAD_SECONDS, TaskFeed
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.steps import ended
from quorumlearn.nodes.waking import entered

CHECK_SECONDS = 0.3

PHASES = [phase for phase in b.Phase.values() if phase not in (b.PHASE_UNSPECIFIED, b.ENDED)]
DOING = {
    b.KEY: "the committee makes a key that none of them holds",
    b.COMMIT: "miners train, encrypt and commit",
    b.REVEAL: "miners reveal their encrypted updates",
    b.BEACON: "verifiers reveal the beacon",
    b.SCREEN: "verifiers sketch what they cannot see",
    b.SELECT: "verifiers vote weights and reasons",
    b.OPEN: "verifiers decrypt the aggregate, and only that",
    b.PROPOSE: "the drawn miner proposes the block",
    b.VALIDATE: "verifiers score the candidate on their own test sets",
}


def accuracy(ballots: list[b.Ballot]) -> float | None:
    """Of the model voted on, over all verifiers' test sets."""
    total = sum(ballot.total for ballot in ballots)
    return sum(ballot.correct for ballot in ballots) / total if total else None


@dataclass
class _Row:
    number: int
    phase: b.Phase = b.KEY
    seconds: dict[int, float] = field(default_factory=dict)
    contributing: int = 0
    miners: int = 0
    rejected: list[str] = field(default_factory=list)
    score: float | None = None
    outcome: int = b.OUTCOME_UNSPECIFIED


class TaskWatch:
    """Feed it views with `show`; it prints what changed. Use it in `with`."""

    def __init__(self, console: Console, rounds: int) -> None:
        self._console = console
        self._rounds = rounds
        self._rows: dict[int, _Row] = {}
        self._last: tuple[int, int, int] = (0, 0, 0)
        self._shown_at = 0.0
        self._live = Live(console=console, refresh_per_second=4, get_renderable=self._render)

    def __enter__(self) -> TaskWatch:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def show(self, view: b.TaskView) -> None:
        """The task's view, and for a round that has ended the view of that round."""
        now = view.round
        if not now.number:
            return
        self._shown_at = time.monotonic()
        row = self._rows.setdefault(now.number, _Row(now.number))
        row.phase, row.outcome, row.miners = now.phase, now.outcome, len(now.miners)
        times = list(now.times)
        row.seconds = {
            entered.phase: ((left.entered_ms if left else view.now_ms) - entered.entered_ms) / 1000
            for entered, left in zip(times, [*times[1:], None], strict=True)
            if entered.phase != b.ENDED
        }
        verdicts = now.selection.verdicts
        row.contributing = sum(verdict.weight > 0 for verdict in verdicts)
        row.rejected = [
            f"{verdict.miner} {b.Reason.Name(verdict.reason)}" for verdict in verdicts if not verdict.weight
        ]
        row.score = accuracy(list(view.ballots)) if now.phase in (b.VALIDATE, b.ENDED) else None
        state = (now.number, now.phase, now.outcome)
        if state != self._last and not self._console.is_terminal:
            self._console.print(self._line(row), highlight=False, soft_wrap=True)
        self._last = state

    def _line(self, row: _Row) -> str:
        head = f"round {row.number}/{self._rounds} {b.Phase.Name(row.phase):<8}"
        if row.phase != b.ENDED:
            return f"{head} {DOING[row.phase]}"
        score = f", accuracy {100 * row.score:.2f} %" if row.score is not None else ""
        rejected = f"; rejected: {', '.join(row.rejected)}" if row.rejected else ""
        seconds = sum(row.seconds.values())
        outcome = b.Outcome.Name(row.outcome)
        return f"{head} {outcome} in {seconds:.1f} s, {row.contributing} of {row.miners} contribute{score}{rejected}"

    def _render(self) -> RenderableType:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("round", justify="right")
        for phase in PHASES:
            table.add_column(b.Phase.Name(phase).lower(), justify="right")
        table.add_column("contribute", justify="right")
        table.add_column("accuracy", justify="right")
        table.add_column("outcome")
        for row in self._rows.values():
            cells = [self._cell(row, phase) for phase in PHASES]
            score = f"{100 * row.score:.2f} %" if row.score is not None else ""
            share = f"{row.contributing}/{row.miners}" if row.contributing else ""
            outcome = b.Outcome.Name(row.outcome).lower() if row.outcome else ""
            table.add_row(f"{row.number}/{self._rounds}", *cells, share, score, outcome)
        doing = next((DOING[row.phase] for row in reversed(self._rows.values()) if row.phase in DOING), "")
        rejected = [
            Text(f"round {row.number} rejects {', '.join(row.rejected)}", style="red")
            for row in self._rows.values()
            if row.rejected
        ]
        return Group(table, *rejected, Text(doing, style="cyan"))

    def _cell(self, row: _Row, phase: int) -> Text:
        if phase not in row.seconds:
            return Text("")
        if phase != row.phase:
            return Text(f"{row.seconds[phase]:.1f} s")
        return Text(f"{row.seconds[phase] + time.monotonic() - self._shown_at:.1f} s", style="bold cyan")


def follow(
    market: Market, feed: TaskFeed, screen: TaskWatch, check: Callable[[], None] = lambda: None
) -> b.TaskView:
    """Show a task as it moves, and each round that has ended as it ended; the view once it is over.

    `check` is called several times a second, to raise what ends the following.
    """
    seen = 0
    shown = partial(entered, phases=[*DOING, b.ENDED])  # that a ceremony goes on beside a round is not
    while True:
        check()
        mark = feed.mark()
        view = feed.view()
        for number in range(max(1, seen), view.round.number):
            screen.show(market.round_view(feed.task, number))
        seen = view.round.number
        screen.show(view)
        if ended(view):
            return view
        again = time.monotonic() + REREAD_SECONDS
        while not shown(feed.since(mark)) and time.monotonic() < again:
            check()
            feed.wait(mark, CHECK_SECONDS, shown)
