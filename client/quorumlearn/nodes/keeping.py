"""What a node does so that nothing is won by removing artifacts from the store: one thread for all its identities.

- It puts back what its identities put into the store for a round, as long as the round lasts, if somebody removes it.
- In tasks in which it has a seat it fetches every revealed update, the salts of its claim, and what is opened of trainings, as soon as an
  event or a view names them, and tries again and again while the store does not have them. What it has fetched it has: seats read
  its copy. What was opened of a training it shows again if somebody removes it, so that no seat can be kept from it for long.
- Copies go when the next round reveals, or the task ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.protocol import ROUND
from quorumlearn_proto.recompute import replays

from quorumlearn.artifacts import ArtifactError, ArtifactStore, ArtifactTooLarge, BadReference
from quorumlearn.nodes import salts
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.work import opening

LOOK_SECONDS = 0.5
"""How often it is looked whether what was put is still there."""
AGAIN_SECONDS, EAGER_SECONDS = 0.02, 10.0
"""How often an update that is missing is looked for, and for how long; then as seldom as the rest is looked at."""


@dataclass(frozen=True)
class _Shown:
    task: str
    round: int
    digest: str
    size: int
    author: str
    opened: bool = False
    """Whether it is what a miner opened of its training."""


@dataclass(frozen=True)
class _Sizes:
    """In bytes: what an update of a task has, and what salts and openings have at most; no opening where nothing is replayed."""

    update: int
    most_salts: int
    most_opening: int

    def fit(self, size: int) -> bool:
        return size == self.update or size <= max(self.most_salts, self.most_opening)


class Keeper:
    """Of one node. `doubt` is told of every error of the store."""

    def __init__(self, store: ArtifactStore, doubt: Callable[[Exception], None] = lambda _: None) -> None:
        self._store = store
        self._doubt = doubt
        self._sizes: dict[str, _Sizes] = {}
        self._wanted: dict[_Shown, float] = {}
        self._known: set[_Shown] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()

    def told(self, event: LedgerEvent) -> None:
        """An event of the ledger: a revealed update is fetched if a seat of this node will want it."""
        if event.kind in (ROUND[b.REVEAL].call, ROUND[b.TRACE].call):
            self._forget(event.task_id, event.round)
            opened = event.kind == ROUND[b.TRACE].call
            self._want(event.task_id, event.round, event.shown, event.actor, opened=opened)
        elif event.status not in (t.PUBLISHED, t.RUNNING):
            self._forget(event.task_id)

    def seated(self, view: b.TaskView) -> None:
        """One of this node's identities has a seat in this task, and sees this of it."""
        task = view.task.spec.task_id
        if task not in self._sizes:
            spec = view.task.spec
            self._sizes[task] = _Sizes(
                parameters_of(spec).update_bytes,
                salts.most_bytes(len(spec.committee.msp_ids)),
                opening.likely_bytes(spec) if replays(spec) else 0,
            )
        if b.REVEAL <= view.round.phase <= b.OPEN:
            for one in view.submissions:
                if one.HasField("manifest"):
                    shown = one.manifest.update, one.manifest.salts
                    self._want(task, view.round.number, shown, one.miner)
                if one.HasField("opening"):
                    self._want(task, view.round.number, (one.opening,), one.miner, opened=True)

    def only(self, tasks: Iterable[str]) -> None:
        """These are the tasks under way: what was kept for others goes."""
        if self._store.copies is not None:
            self._store.copies.forget_others(tasks)

    def run(self, stop: threading.Event) -> None:
        """Keep until `stop`; `end` wakes it."""
        looked = 0.0
        while not stop.is_set():
            eager = self._fetch()
            if time.monotonic() - looked >= LOOK_SECONDS:
                self._try(self._store.put_back)
                self._show_again()
                looked = time.monotonic()
            self._wake.wait(AGAIN_SECONDS if eager else LOOK_SECONDS)
            self._wake.clear()

    def end(self) -> None:
        """Nobody waits any more."""
        self._wake.set()

    def _want(
        self, task: str, number: int, refs: Iterable[ArtifactRef], author: str, *, opened: bool = False
    ) -> None:
        with self._lock:
            sizes = self._sizes.get(task)
            for ref in refs:
                one = _Shown(task, number, ref.digest, ref.size, author, opened)
                if sizes is not None and sizes.fit(ref.size) and one not in self._known:
                    self._known.add(one)
                    self._wanted[one] = time.monotonic()
                    self._wake.set()

    def _fetch(self) -> bool:
        """Try to fetch what is wanted; whether something that has been missing for seconds only is."""
        with self._lock:
            wanted = list(self._wanted.items())
        eager = False
        for one, since in wanted:
            if self._try(partial(self._keep, one)):
                with self._lock:
                    self._wanted.pop(one, None)
            else:
                eager = eager or time.monotonic() - since < EAGER_SECONDS
        return eager

    def _show_again(self) -> None:
        """Put into the store what was opened of trainings, was fetched, and is there no more; from then on it is put back as one's own."""
        with self._lock:
            fetched = [one for one in self._known if one.opened and one not in self._wanted]
        for one in fetched:
            self._try(partial(self._show, one))

    def _show(self, one: _Shown) -> None:
        ref = ArtifactRef(digest=one.digest, size=one.size)
        if not self._store.has(ref, one.author):
            self._store.put(self._store.get(ref, ref.size), (one.task, one.round))

    def _keep(self, one: _Shown) -> None:
        ref = ArtifactRef(digest=one.digest, size=one.size)
        self._store.keep(ref, ref.size, (one.task, one.round), one.author)

    def _try(self, act: Callable[[], None]) -> bool:
        """Whether it is done, or will never be."""
        try:
            act()
        except (ArtifactTooLarge, BadReference):
            return True  # whoever reads it says so
        except ArtifactError as error:
            self._doubt(error)
            return False
        return True

    def _forget(self, task: str, before: int | None = None) -> None:
        with self._lock:
            over = {one for one in self._known if one.task == task and (before is None or one.round < before)}
            self._known -= over
            for one in over:
                self._wanted.pop(one, None)
        if self._store.copies is not None:
            self._store.copies.forget(task, before)
