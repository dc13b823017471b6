"""A model owner's node: follows its task, scores every accepted block on its own data, and keeps the models.

The protocol needs nothing of the owner once a task is published; the node only helps to advance a task that others leave lying. Where the
task's data are sealed it does need the owner: each round waits for the keys that the node gives (nodes.work.granting).
Each accepted model is written to `models/` in the journal's folder, the last one also as `model.safetensors`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.event_pb2 import LedgerEvent

from quorumlearn import learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.feed import News, no_news
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.models import load_public, workload_of
from quorumlearn.nodes.steps import ended
from quorumlearn.nodes.triggers import FOR_OWNERS, entered
from quorumlearn.nodes.work.granting import Granting

log = structlog.get_logger()

ADVANCE_DELAY = 5.0
LOOK_SECONDS = 2.0
"""How often it looks whether the miners of a round have shown their keys, although no event says so."""
SHOW_KEY = "tasks:ShowKey"


@dataclass
class Owner:
    """The role of one identity in one of its own tasks (see nodes.worker.Role)."""

    me: str
    store: ArtifactStore
    journal: Journal
    test_set: Callable[[learning.Workload], learning.Data]
    granting: Granting | None = None
    advance_delay: float = ADVANCE_DELAY
    next_look: float | None = None

    def finished(self, view: b.TaskView) -> bool:
        return ended(view) and not self._unseen(view)

    def act(self, view: b.TaskView, news: News = no_news) -> bool:
        self.next_look = None
        if self.granting is not None and self.granting.due(view):
            if self.granting.waits(view):
                self.next_look = time.time() + LOOK_SECONDS
            else:
                self.granting.give(view)
                return True
        if not self._unseen(view):
            return False
        spec, head = view.task.spec, view.state.head
        workload = workload_of(spec)
        public = load_public(self.store, spec, head.model)
        private = learning.split(workload.initial_model(spec.seed), spec.workload.public_blocks)[1]
        whole = learning.merge(public, private)
        score = workload.evaluate(whole, self.test_set(workload))
        data = learning.to_bytes(whole)
        self.journal.put(f"models/block-{head.height}.safetensors", data)
        self.journal.put("model.safetensors", data)
        self.journal.put("seen", head.digest.encode())
        log.info(
            "head",
            task=spec.task_id,
            height=head.height,
            metric=score.metric.name,
            score=round(score.value, 4),
            samples=score.samples,
        )
        return False

    def wakes(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return entered(events, FOR_OWNERS) or any(event.kind == SHOW_KEY for event in events)

    def sees_due(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return False

    def _unseen(self, view: b.TaskView) -> bool:
        return self.journal.get("seen") != view.state.head.digest.encode()
