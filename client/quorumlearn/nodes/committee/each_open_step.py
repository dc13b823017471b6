"""A seat does all that is open to it, although one of its steps has to wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog
from quorumlearn_proto import block_pb2 as b

from quorumlearn.artifacts import ArtifactError
from quorumlearn.ckks import CkksError
from quorumlearn.gateway import GatewayError
from quorumlearn.nodes.committee.ceremony_part import KeptClosedError, LostSecretError
from quorumlearn.nodes.exchange import ExchangeError
from quorumlearn.nodes.steps import Step

log = structlog.get_logger()

HOLDS_UP_ONE_STEP = (
    GatewayError,
    ArtifactError,
    ExchangeError,
    CkksError,
    KeptClosedError,
    LostSecretError,
)
"""What keeps a seat from one step and says nothing of its others: a transaction that failed, another's artifact, a lost secret."""


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
        except HOLDS_UP_ONE_STEP as error:
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
