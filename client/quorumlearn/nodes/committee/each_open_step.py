"""A seat does all that is open to it, although one of its steps has to wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog
from quorumlearn_proto import block_pb2 as b

from quorumlearn.nodes.steps import Step
from quorumlearn.nodes.worker import OF_ONE_STEP

log = structlog.get_logger()


def do_each(
    open_steps: Iterable[tuple[Step, int]], do: Callable[[Step, int], bool], view: b.TaskView, me: str
) -> bool:
    """Do what is open; `do` says whether that changed the ledger. What holds up one step is raised only if no other was done, or
    else logged: the step is still open, so it is tried again.
    """
    failed: list[tuple[Step, int, Exception]] = []
    acted = False
    about = {"task": view.task.spec.task_id, "identity": me}
    for step, number in open_steps:
        try:
            done = do(step, number)
        except tuple(OF_ONE_STEP) as error:
            failed.append((step, number, error))
            continue
        if done:
            log.info(step.value, **about, round=number)
        acted |= done
    if failed and not acted:
        raise failed[0][2]
    for step, number, failure in failed:
        log.warning("will try again", **about, round=number, step=step.value, error=str(failure))
    return acted
