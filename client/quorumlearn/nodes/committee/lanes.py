"""What the threads of a seat have in common: its rounds (verifier), its keys (keyholder), its challenges (judge).

Each has a thread, so that no long computation holds up a step with a deadline of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import structlog
from quorumlearn_proto import block_pb2 as b

from quorumlearn.nodes import triggers
from quorumlearn.nodes.feed import News
from quorumlearn.nodes.steps import Step
from quorumlearn.nodes.worker import OF_ONE_STEP

log = structlog.get_logger()

WAITS_FOR_OTHERS = tuple(OF_ONE_STEP)
FIRST_SEAT = 1
GATHER_SECONDS = 0.3
"""The first seat leaves the others so long to act in a step before it does, so that its transaction closes the step."""


def each(
    open_steps: Iterable[tuple[Step, int]], do: Callable[[Step, int], bool], view: b.TaskView, me: str
) -> bool:
    """Do what is open, whether or not one of the steps has to wait for another's artifact; raises that only if nothing was done."""
    failure: Exception | None = None
    acted = False
    for step, number in open_steps:
        try:
            done = do(step, number)
        except WAITS_FOR_OTHERS as error:
            failure = failure or error
            continue
        if done:
            log.info(step.value, task=view.task.spec.task_id, round=number, identity=me)
        acted |= done
    if failure is not None and not acted:
        raise failure
    return acted


def gather(view: b.TaskView, number: int, seat: int, me: str, news: News) -> None:
    """The first seat waits a moment for what others have yet to do in this round, or in this ceremony."""
    if seat == FIRST_SEAT:
        pending = partial(triggers.others_pending, view, number, me)
        news.wait(GATHER_SECONDS, lambda events: triggers.moved(events) or not pending(events))
