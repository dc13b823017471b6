"""What a task looks like while it runs: a table by round and phase on a terminal, a line a move elsewhere.

The table fits the terminal, whatever its size: as many of the last rounds as there is room for, a row in one line each, and no
more columns than fit beside each other. At its end all rounds are printed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.gate import ACCURACY, metric_of
from quorumlearn_proto.protocol import ROUND
from quorumlearn_proto.recompute import replays
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from quorumlearn.analysis import false_replays, pooled, shown_score, why_round, wrong_work
from quorumlearn.api.tracking import Tracker
from quorumlearn.api.watching import ended_round, views
from quorumlearn.nodes.feed import TaskFeed
from quorumlearn.nodes.guarantee import round_lacks
from quorumlearn.nodes.market import Market

_ANY_WIDTH = 10_000
_BESIDE_ROWS = 4  # lines: what came earlier, the header, what is being done, and the cursor's
_SMALL = 6  # lines, in which a round with all that is said of it just fits

PHASES = list(ROUND)
DOING = {
    b.KEY: "the committee makes a key that none of them holds",
    b.COMMIT: "miners train, encrypt and commit",
    b.REVEAL: "miners reveal their encrypted updates",
    b.BEACON: "verifiers reveal the beacon",
    b.TRACE: "miners open what the beacon draws of their training",
    b.REPLAY: "verifiers replay what is drawn for them",
    b.SCREEN: "verifiers sketch what they cannot see",
    b.SELECT: "verifiers vote weights and reasons",
    b.OPEN: "verifiers decrypt the aggregate, and only that",
    b.PROPOSE: "the drawn miner proposes the block",
    b.VALIDATE: "verifiers score the candidate on their own test sets",
}


@dataclass
class _Row:
    number: int
    phase: b.Phase = b.KEY
    seconds: dict[int, float] = field(default_factory=dict)
    contributing: int = 0
    miners: int = 0
    rejected: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    metric: str = ACCURACY
    value: float | None = None
    outcome: int = b.OUTCOME_UNSPECIFIED
    why: str = ""
    weak: str = ""

    @property
    def share(self) -> str:
        return f"{self.contributing}/{self.miners}" if self.contributing and not self.why else ""

    @property
    def score(self) -> str:
        return "" if self.value is None else shown_score(self.metric, self.value)

    @property
    def ended(self) -> str:
        return b.Outcome.Name(self.outcome).lower() if self.outcome else ""

    @property
    def failed(self) -> str:
        """A line on a round that was not accepted; empty for another."""
        return f"round {self.number} {self.ended}: {self.why}" if self.why else ""

    @property
    def unguarded(self) -> str:
        return f"round {self.number}: {self.weak}" if self.weak else ""

    @property
    def rejects(self) -> str:
        return f"round {self.number} rejects {', '.join(self.rejected)}" if self.rejected else ""

    @property
    def said(self) -> list[tuple[str, str]]:
        """The lines below the table, each with its colour."""
        lines = [
            (self.failed, "red"),
            (self.rejects, "red"),
            *((f"round {self.number} finds {one}", "magenta") for one in self.found),
            (self.unguarded, "yellow"),
        ]
        return [line for line in lines if line[0]]


class TaskWatch:
    """Feed it views with `show`; it prints what changed. Use it in `with`."""

    def __init__(self, console: Console, rounds: int) -> None:
        self._console = console
        self._rounds = rounds
        self._rows: dict[int, _Row] = {}
        self._last: tuple[int, int, int] = (0, 0, 0)
        self._shown_at = 0.0
        self._whole = False
        self._metric = ACCURACY
        self._phases = [phase for phase in PHASES if not ROUND[phase].replayed]
        self._live = Live(
            console=console, refresh_per_second=4, get_renderable=self.__rich__, vertical_overflow="crop"
        )

    def __enter__(self) -> TaskWatch:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._whole = True
            self._live.stop()

    def show(self, view: b.TaskView) -> None:
        """The task's view, and for a round that has ended the view of that round."""
        now = view.round
        if not now.number:
            return
        self._shown_at = time.monotonic()
        row = self._rows.setdefault(now.number, _Row(now.number))
        row.phase, row.outcome, row.miners = now.phase, now.outcome, len(now.miners)
        row.why = why_round(now)
        row.weak = round_lacks(view.task.spec, now.selection)
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
        row.found = [
            *(f"{one.miner}: {one.sentence}" for one in wrong_work(view.task.spec, view)),
            *(f"{one.verifier}: FALSE_REPLAY, {one.detail}" for one in false_replays(view)),
        ]
        if replays(view.task.spec):
            self._phases = PHASES
        row.metric = self._metric = metric_of(view.task.spec)
        row.value = pooled(view.ballots) if now.phase in (b.VALIDATE, b.ENDED) else None
        state = (now.number, now.phase, now.outcome)
        if state != self._last and not self._console.is_terminal:
            self._console.print(self._line(row), highlight=False, soft_wrap=True)
        self._last = state

    def _line(self, row: _Row) -> str:
        head = f"round {row.number}/{self._rounds} {b.Phase.Name(row.phase):<8}"
        if row.phase != b.ENDED:
            return f"{head} {DOING[row.phase]}"
        how = f"{row.contributing} of {row.miners} contribute" if not row.why else row.why
        score = f", {row.metric} {row.score}" if row.score else ""
        rejected = f"; rejected: {', '.join(row.rejected)}" if row.rejected else ""
        seconds = sum(row.seconds.values())
        found = "".join(f"; found {one}" for one in row.found)
        weak = f"; {row.weak}" if row.weak else ""
        return f"{head} {b.Outcome.Name(row.outcome)} in {seconds:.1f} s, {how}{score}{rejected}{found}{weak}"

    def __rich__(self) -> RenderableType:
        """What the console shows now."""
        width, height = self._console.size
        rows = list(self._rows.values())
        doing = next((DOING[row.phase] for row in reversed(rows) if row.phase in DOING), "")
        shown = rows if self._whole else _last(rows, height - _BESIDE_ROWS)
        earlier = Counter(row.ended or "under way" for row in rows[: len(rows) - len(shown)])
        table = self._table(shown, width)
        table.show_header = self._whole or height > _SMALL
        said = [one for row in shown for one in row.said]
        if not self._whole:
            said = said[: max(1, height - _BESIDE_ROWS - len(shown))]
        lines = [
            Text(f"{earlier.total()} earlier: {_counted(earlier)}")
            if earlier and table.show_header
            else None,
            table,
            *(Text(line, style=colour) for line, colour in said),
            Text(doing, style="cyan") if doing else None,
        ]
        kept = [line for line in lines if line is not None]
        if not self._whole:
            for line in kept:
                if isinstance(line, Text):
                    line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*kept)

    def _table(self, rows: Sequence[_Row], width: int) -> Table:
        """With the most columns that fit: a phase each, or the phase that is under way, or the round alone."""
        every = [self._by_phase(rows), self._by_round(rows), self._least(rows)]
        options = self._console.options.update(width=_ANY_WIDTH, max_width=_ANY_WIDTH)
        return next(
            (one for one in every if Measurement.get(self._console, options, one).maximum <= width), every[-1]
        )

    def _by_phase(self, rows: Sequence[_Row]) -> Table:
        names = [b.Phase.Name(phase).lower() for phase in self._phases]
        table = _columns("round", *names, "contribute", self._metric, "outcome")
        for row in rows:
            cells = [self._cell(row, phase) for phase in self._phases]
            table.add_row(self._place(row), *cells, row.share, row.score, row.ended)
        return table

    def _by_round(self, rows: Sequence[_Row]) -> Table:
        table = _columns("round", "phase", "takes", "in all", "contribute", self._metric)
        for row in rows:
            table.add_row(self._place(row), *self._now(row), self._total(row), row.share, row.score)
        return table

    def _least(self, rows: Sequence[_Row]) -> Table:
        table = _columns("round", "phase", "takes")
        for row in rows:
            phase, takes = self._now(row)
            table.add_row(self._place(row), phase, self._total(row) if row.ended else takes)
        return table

    def _place(self, row: _Row) -> str:
        return f"{row.number}/{self._rounds}"

    def _now(self, row: _Row) -> tuple[str, Text]:
        name = row.ended or b.Phase.Name(row.phase).lower()
        return name, self._cell(row, row.phase)

    def _cell(self, row: _Row, phase: int) -> Text:
        if phase not in row.seconds:
            return Text("")
        if phase != row.phase:
            return Text(f"{row.seconds[phase]:.1f} s")
        return Text(f"{row.seconds[phase] + self._since(row):.1f} s", style="bold cyan")

    def _total(self, row: _Row) -> str:
        return f"{sum(row.seconds.values()) + self._since(row):.1f} s"

    def _since(self, row: _Row) -> float:
        """Seconds that a round under way has gone on since it was last read."""
        return 0.0 if row.outcome else time.monotonic() - self._shown_at


def _columns(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="left" if name in ("phase", "outcome") else "right", no_wrap=True)
    return table


def _last(rows: Sequence[_Row], lines: int) -> Sequence[_Row]:
    """The last rows that take so many lines with what is said of them; one at least."""
    first = len(rows)
    while first > 0:
        row = rows[first - 1]
        lines -= 1 + len(row.said)
        if lines < 0 and first < len(rows):
            break
        first -= 1
    return rows[first:]


def _counted(outcomes: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))


def follow(
    market: Market,
    feed: TaskFeed,
    screen: TaskWatch,
    check: Callable[[], None] = lambda: None,
    trackers: Sequence[Tracker] = (),
) -> b.TaskView:
    """Show a task as it moves, and each round that has ended as it ended; the view once it is over. Trackers are told of each.

    `check` is called several times a second, to raise what ends the following.
    """
    view, given = b.TaskView(), 0
    for view in views(market, feed, check):
        screen.show(view)
        if trackers and (ended := ended_round(market, view, given)) is not None:
            given = ended.number
            for tracker in trackers:
                tracker.log(ended)
    return view
