"""A miner's training of one round where it is replayed: on its team's chunks, with checkpoints, and what it opens of them afterwards.

Rules:
- seed, order of batches and rounding follow from the round's start beacon, so a training begins once that is out, in COMMIT;
- checkpoints are kept in the journal's folder of the round and go with it: restarted, a miner trains on from the last one, and opens
  the same trace;
- what the store does not give is waited for. Whatever else training or reading the chunks dies of costs this miner the round, and nothing
  more, as in nodes.training. So does an update of which too much lies beyond the task's bound;
- where float32 is replayed and fewer than t seats have this process's numeric profile the round is sat out: nobody could confirm it;
- of sealed data nothing is trained before the owner has given the round's keys.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import TraceOpening
from quorumlearn_proto.recompute import drawn_items, team_of
from quorumlearn_proto.task_pb2 import RECOMPUTE

from quorumlearn import learning, replay
from quorumlearn.artifacts import ArtifactMissing, ArtifactStore, StoreUnavailable
from quorumlearn.attacks import Behaviour
from quorumlearn.learning import OnStep
from quorumlearn.nodes import metrics
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.failures import counted
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.models import load_public
from quorumlearn.nodes.training import (
    Stopped,
    Told,
    Values,
    Workshop,
    refuse_clipped,
    refuse_nothing,
)
from quorumlearn.nodes.work import exactness, forgery
from quorumlearn.nodes.work.drawn import confirmable

log = structlog.get_logger()

PROGRESS_SECONDS = 30.0
"""How often a long training or replay says how far it is."""


class Unconfirmable(Exception):
    """Too few seats have the numeric profile of this process."""


class Reader(Protocol):
    """Reads a team's chunks (nodes.work.chunks)."""

    def samples(self, view: b.TaskView, team: b.Team, first: int | None = None) -> learning.Samples: ...

    def have(self, view: b.TaskView, team: b.Team, first: int | None = None) -> bool: ...


@dataclass
class Tracer:
    """One identity's trainings in one task that is replayed. `chunks`: where pay is by steps it trains on so many of its team's at
    most; None: on all."""

    me: str
    store: ArtifactStore
    journal: Journal
    workshop: Workshop
    reader: Reader
    behaviour: Behaviour
    chunks: int | None = None
    _traced: tuple[int, str, replay.Trace] | None = field(default=None, repr=False)
    _gave_up: tuple[int, str] | None = None
    _at_once: bool = False
    """What was trained before is only read again: it waits for no place to train at."""

    def learn(self, view: b.TaskView) -> tuple[Values, Told] | None:
        """Train from the head, once a round and base: the update in grid steps (d,) and what its manifest says of the training; None if the
        miner sits the round out, or cannot begin yet."""
        trace = self._trace(view, lambda work: forgery.altered(self.behaviour, view, work))
        if trace is None:
            return None
        spec, parameters = view.task.spec, parameters_of(view.task.spec)
        try:
            update = replay.update_of(trace.work.base, trace.last.weights)
            refuse_clipped(spec, self.me, update)
            if spec.mode != RECOMPUTE:  # the rule would find it to be an update of nothing
                refuse_nothing(spec, update)
            values = replay.steps_of(trace.work.base, trace.last.weights, parameters, trace.work.seed)
        except Exception as error:  # noqa: BLE001 - as in training: it costs this miner the round
            self._sit_out(view.round, error)
            return None
        self.workshop.leave(spec.task_id, view.round.number, self.me, values)
        return values, _told(trace)

    def forge(self, view: b.TaskView, values: Values) -> Told | None:
        """What the manifest of a cheat says that did not train, and submits these values."""
        trace = self._trace(view, lambda work: forgery.towards(work, parameters_of(view.task.spec), values))
        return None if trace is None else _told(trace)

    def steal(self, view: b.TaskView, victim: str) -> tuple[Values, Told] | None:
        """A team's work in the place of one's own: what a miner of this process has left. None while it has not."""
        spec, now = view.task.spec, view.round
        values = self.workshop.find(spec.task_id, now.number, victim)
        trace = self.workshop.find_trace(spec.task_id, now.number, victim)
        if values is None or trace is None:
            return None
        self._traced = now.number, now.base.digest, trace
        return values, _told(trace)

    def open(self, view: b.TaskView, values: Values, salt: bytes, root: str) -> TraceOpening | None:
        """What the beacon draws of the round's training, `values` being what was encrypted and `root` what was committed to; None if that
        training cannot be had any more. Another one is never opened: it would look like a cheat's."""
        spec, now = view.task.spec, view.round
        if self._known(now) is None:  # restarted since
            self._at_once = True
            try:
                done = self.learn(view) if forgery.trains(self.behaviour) else self.forge(view, values)
            finally:
                self._at_once = False
            if done is None:
                return None
        trace = self._known(now)
        assert trace is not None
        if trace.root != root:
            log.error(
                "does not open its trace: it is another than the one committed to",
                task=spec.task_id,
                round=now.number,
                identity=self.me,
            )
            self._gave_up = (now.number, now.base.digest)
            return None
        items = drawn_items(spec, now.beacon, self.me, trace.work.steps)
        return trace.open(
            items,
            task_id=spec.task_id,
            number=now.number,
            miner=self.me,
            salt=salt,
            on_step=self._unless_stopped,
        )

    def _trace(self, view: b.TaskView, as_done: Callable[[replay.Work], replay.Work]) -> replay.Trace | None:
        spec, now = view.task.spec, view.round
        if self._gave_up == (now.number, now.base.digest):
            return None
        if (known := self._known(now)) is not None:
            return known
        if spec.recompute.sealed and not view.HasField("grant"):
            return None
        try:
            work = as_done(self._work(view))
            keeping = self.journal.below(f"round-{now.number}/trace")
            progress = Progress("trains", spec.task_id, now.number, self.me)
            with contextlib.nullcontext() if self._at_once else self.workshop.slots:
                began = time.thread_time()
                trace = replay.train(work, keeping, on_step=progress.unless(self.workshop.stop))
                spent = time.thread_time() - began
        except Stopped:
            return None
        except (ArtifactMissing, StoreUnavailable):
            raise  # it may come, as long as the round waits
        except (Exception, SystemExit) as error:  # noqa: BLE001 - what training or reading dies of costs this miner's round, nothing else
            self._sit_out(now, error)
            return None
        self._traced = now.number, now.base.digest, trace
        self.workshop.leave_trace(spec.task_id, now.number, self.me, trace)
        metrics.TRAINED_STEPS.labels(spec.task_id).inc(work.steps)
        log.info(
            "trained",
            task=spec.task_id,
            round=now.number,
            identity=self.me,
            steps=work.steps,
            segments=work.segments,
            loss=round(trace.loss, 4),
            cpu_seconds=round(spent, 3),
        )
        return trace

    def _work(self, view: b.TaskView) -> replay.Work:
        """What this miner is to do in the round."""
        spec, now = view.task.spec, view.round
        training = exactness.training_of(spec)
        if not confirmable(view, training.profile):
            raise Unconfirmable(
                f"fewer than {spec.committee.threshold} seats have this process's numeric profile {training.profile[:12]}: nobody could "
                "confirm its training; run the node where processor and torch are those of the committee"
            )
        _, team = team_of(now, self.me)
        count = len(team.chunks)
        if self.chunks is not None and spec.recompute.pay_by_steps:
            count = min(count, self.chunks)
        base = load_public(self.store, spec, now.base.model)
        data = self.reader.samples(view, team, count)
        return exactness.work_of(spec, now, self.me, base, data, training, count)

    def _known(self, now: b.Round) -> replay.Trace | None:
        if self._traced is None or self._traced[:2] != (now.number, now.base.digest):
            return None
        return self._traced[2]

    def _sit_out(self, now: b.Round, error: BaseException) -> None:
        said = counted(now.task_id, error)
        log.error("sits the round out", task=now.task_id, round=now.number, identity=self.me, **said)
        self._gave_up = (now.number, now.base.digest)

    def _unless_stopped(self, step: int, total: int) -> None:
        if self.workshop.stop.is_set():
            raise Stopped


@dataclass
class Progress:
    """Says now and then how far a training or a replay is."""

    what: str
    task: str
    round: int
    identity: str
    clock: Callable[[], float] = time.monotonic
    _said: float | None = None

    def unless(self, stop: threading.Event, overtaken: Callable[[], bool] = lambda: False) -> OnStep:
        """To be called after each step: Stopped once the node is to stop, or nobody waits for what is done."""

        def on_step(step: int, total: int) -> None:
            if stop.is_set() or overtaken():
                raise Stopped
            now = self.clock()
            if self._said is None:
                self._said = now
            elif now - self._said >= PROGRESS_SECONDS:
                self._said = now
                log.info(
                    self.what, task=self.task, round=self.round, identity=self.identity, step=step, of=total
                )

        return on_step


def _told(trace: replay.Trace) -> Told:
    work = trace.work
    return Told(0, 0, trace_root=trace.root, steps=work.steps, profile=work.training.profile)
