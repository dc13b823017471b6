"""What a node says that waits for long: for what, a minute after the wait began, and then ever more seldom."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.derived import places_of_organisation

from quorumlearn.nodes import steps, triggers
from quorumlearn.nodes.feed import next_deadline

FIRST_SECONDS, MOST_SECONDS = 60.0, 3600.0
NAMED = 4
"""So many of those who are waited for are named; the rest are counted."""


class LongWait:
    """One wait after the other, told apart by what is waited at."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._place: object = None
        self._since = self._due = 0.0

    def due(self, place: object) -> float | None:
        """Seconds waited so far at this place, if it is time to say so: after 1 minute, 2, 4, and so on, at least once an hour."""
        now = self._clock()
        if place != self._place:
            self._place, self._since, self._due = place, now, FIRST_SECONDS
        waited = now - self._since
        if waited < self._due:
            return None
        self._due = waited + min(waited, MOST_SECONDS)
        return waited


def place_of(view: b.TaskView) -> tuple[object, ...]:
    """What changes when the task gets on."""
    keys = tuple((one.round, one.attempt, one.step) for one in view.ceremonies)
    return view.state.status, view.round.number, view.round.phase, view.round.proposer_turn, keys


def waits_for(view: b.TaskView) -> str:
    """What the task waits for, and until when at most."""
    if steps.ended(view):
        what = f"votes on challenged blocks {', '.join(str(one.height) for one in view.challenges)}"
    elif view.state.status == t.PUBLISHED:
        spec = view.task.spec
        what = (
            f"the start: {len(view.miners)} miners of {spec.min_miners} to {spec.max_miners} have joined "
            f"(at most {places_of_organisation(spec)} of one organisation count), "
            f"{len(view.seats)} seats of {len(spec.committee.msp_ids)} are taken"
        )
    elif view.round.phase == b.PROPOSE and view.round.proposers:
        what = f"round {view.round.number}: {view.round.proposers[view.round.proposer_turn]} to propose"
    else:
        missing = [
            f"round {number}: {step.function} of {_named(who)}"
            for step, number, who in triggers.open_steps(view)
            if who
        ]
        what = "; ".join(missing) or "somebody to advance the task"
    deadline = next_deadline(view)
    return (
        what
        if deadline is None
        else f"{what}; until {datetime.fromtimestamp(deadline / 1000, UTC):%H:%M:%S} UTC"
    )


def _named(who: Collection[str]) -> str:
    first = sorted(who)[:NAMED]
    return ", ".join(first) + (f" and {len(who) - NAMED} more" if len(who) > NAMED else "")
