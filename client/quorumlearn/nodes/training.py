"""A miner's training of one round: from the head to an update in grid steps, or the round is sat out.

Rules:
- whatever training or reading the data dies of costs this miner the round, and nothing else; the next round is tried again;
- an update of which more than MOST_CLIPPED lies beyond the task's bound is not sent: it is counted, logged, and the round is sat out;
- neither is one whose every value is nearer to zero than to a step: it would cost stake;
- what is drawn in training and rounding comes from nodes.randomness: nobody else can do it again;
- a round of data of which the node's budget is spent is sat out, too (nodes.spending).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import structlog
from numpy.typing import NDArray
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.classes import class_of
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.attacks import Behaviour
from quorumlearn.nodes import adversary, metrics, randomness
from quorumlearn.nodes.encryption import clipped, parameters_of
from quorumlearn.nodes.failures import counted
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.models import load_public, workload_of
from quorumlearn.nodes.spending import DataBudget
from quorumlearn.replay import Trace

log = structlog.get_logger()

Values = NDArray[np.int64]
MOST_CLIPPED = 0.01
"""The share of an update's values that may lie beyond the task's bound (docs/protocol.md says why)."""


class ClippedUpdate(Exception):
    """Too much of an update lies beyond the task's bound: what would be sent is another one than what was learned."""


class NothingLearned(Exception):
    """Every value of an update rounds to zero on the task's grid."""


class Stopped(Exception):
    """The node was told to stop while it trained, or nobody waits any more for what it did."""


@dataclass(frozen=True)
class Told:
    """What a manifest says of a training. Of the data: how many samples, where training is private, and their class, where the task
    weighs by data; else 0. Where it is replayed: the root of its trace, its steps, and the numeric profile, if it is of one."""

    samples: int
    sample_class: int
    trace_root: str = ""
    steps: int = 0
    profile: str = ""

    @classmethod
    def of(cls, spec: TaskSpec, samples: int, *, private: bool) -> Told:
        return cls(samples if private else 0, class_of(spec, samples))


@dataclass
class Workshop:
    """What the identities of one process share: places to train at, one to replay at, so that no seat waits for a training, when to
    stop, and the plain updates that a cheat may see."""

    slots: threading.Semaphore
    stop: threading.Event
    replays: threading.Semaphore = field(default_factory=threading.Semaphore, repr=False)
    _updates: dict[tuple[str, int, str], Values] = field(default_factory=dict)
    _traces: dict[tuple[str, int, str], Trace] = field(default_factory=dict, repr=False)

    def leave(self, task: str, number: int, miner: str, values: Values) -> None:
        """Keep a miner's update of this round and forget its earlier ones."""
        self._updates = {key: old for key, old in self._updates.items() if key[0] != task or key[1] >= number}
        self._updates[task, number, miner] = values

    def find(self, task: str, number: int, miner: str) -> Values | None:
        return self._updates.get((task, number, miner))

    def leave_trace(self, task: str, number: int, miner: str, trace: Trace) -> None:
        """Keep a miner's training of this round, and forget those of earlier ones."""
        self._traces = {key: old for key, old in self._traces.items() if key[0] != task or key[1] >= number}
        self._traces[task, number, miner] = trace

    def find_trace(self, task: str, number: int, miner: str) -> Trace | None:
        return self._traces.get((task, number, miner))


@dataclass
class Trainer:
    """One identity's trainings in one task."""

    me: str
    market: Market
    store: ArtifactStore
    journal: Journal
    workshop: Workshop
    shard: Callable[[learning.Workload], learning.Data]
    behaviour: Behaviour
    repeatable: bool = False
    budget: DataBudget | None = None
    _learned: tuple[int, str, Values, Told] | None = None
    _gave_up: tuple[int, str] | None = None

    def learn(self, view: b.TaskView) -> tuple[Values, Told] | None:
        """Train from the head, once a round and base: the update in grid steps (d,) and what its manifest says of the
        data; None if the miner sits the round out."""
        spec, now = view.task.spec, view.round
        if self._gave_up == (now.number, now.base.digest):
            return None
        workload = workload_of(spec)
        if self._learned is not None and (
            self._learned[:2] == (now.number, now.base.digest)
            or self._is_late(now, workload.config.late_rounds)
        ):
            return self._learned[2], self._learned[3]
        base = load_public(self.store, spec, now.base.model)
        private = self.private_part(workload, spec.workload.public_blocks, spec.seed)
        drawn = randomness.training(spec, now, self.me, self.journal, repeatable=self.repeatable)
        if spec.repeatable and not self.repeatable:
            log.warning(
                "does not train repeatably, as the task asks: the node was started without --repeatable",
                task=spec.task_id,
                round=now.number,
                identity=self.me,
            )
        try:
            with self.workshop.slots:
                shard = self.shard(workload)
                self._spend(now, shard)
                data = adversary.poisoned(self.behaviour, shard, adversary.seed_of(spec, self.me, now.number))
                began = time.thread_time()
                result = workload.train(
                    learning.merge(base, private), data, seed=drawn.seed, on_step=self._unless_stopped
                )
                computed = time.thread_time() - began
            public, private = learning.split(result.model, spec.workload.public_blocks)
            values = self._quantised(spec, learning.difference(public, base), drawn.rounding)
        except Stopped:
            return None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - what training or loading dies of costs this miner's round, nothing else
            self._sit_out(now, error)
            return None
        if private:
            self.journal.put("private-model", learning.to_bytes(private))
        self.workshop.leave(spec.task_id, now.number, self.me, values)
        told = Told.of(spec, result.samples, private=workload.config.private)
        self._learned = (now.number, now.base.digest, values, told)
        log.info(
            "trained",
            task=spec.task_id,
            round=now.number,
            identity=self.me,
            steps=result.steps,
            loss=round(result.loss, 4),
            cpu_seconds=round(computed, 3),
            **({} if result.epsilon is None else {"epsilon": round(result.epsilon, 4)}),
        )
        return values, told

    def spent(self, data: learning.Data) -> str:
        """Why these data take part in nothing any more; "" if they may. JournalError."""
        if self.budget is None or self.budget.left(data):
            return ""
        return f"its data were used in {self.budget.most} rounds, the most that data_budget allows"

    def _spend(self, now: b.Round, data: learning.Data) -> None:
        """Count this round of the data, once also after a restart. When it began tells rounds of different ledgers apart."""
        if self.budget is not None:
            began = now.times[0].entered_ms if now.times else 0
            self.budget.spend(data, f"{now.task_id}-{now.number}-{began}")

    def _sit_out(self, now: b.Round, error: BaseException) -> None:
        """Leave this round to the others; the next is tried again."""
        said = counted(now.task_id, error)
        log.error("sits the round out", task=now.task_id, round=now.number, identity=self.me, **said)
        self._gave_up = (now.number, now.base.digest)

    def _quantised(self, spec: TaskSpec, update: NDArray[np.floating], secret: bytes) -> Values:
        """The update in grid steps (d,), rounded by `secret`; ClippedUpdate if too much of it is beyond the bound, NothingLearned if the
        nearest steps are all zero."""
        refuse_clipped(spec, self.me, update)
        refuse_nothing(spec, update)
        return ckks.quantise(update, parameters_of(spec), secret)

    def _is_late(self, now: b.Round, late_rounds: int) -> bool:
        """Whether the last update learned missed its own round and the task still takes it: it was committed nowhere, and the
        block that it was learned from is a good one."""
        assert self._learned is not None
        number, base = self._learned[:2]
        if not 0 < now.number - number <= late_rounds:
            return False
        for earlier in range(number, now.number):
            if any(one.miner == self.me for one in self.market.submissions(now.task_id, earlier)):
                return False
        good = {one.digest for one in self.market.blocks(now.task_id) if one.status == b.GOOD_BLOCK}
        if base not in good:
            return False
        log.info("late update", task=now.task_id, round=now.number, identity=self.me, learned_in=number)
        return True

    def _unless_stopped(self, step: int, total: int) -> None:
        if self.workshop.stop.is_set():
            raise Stopped

    def private_part(
        self, workload: learning.Workload, public_blocks: Sequence[str], seed: int
    ) -> learning.Model:
        """This miner's own private blocks: as its last training left them, or as the task's seed begins them."""
        initial = learning.split(workload.initial_model(seed), public_blocks)[1]
        stored = self.journal.get("private-model")
        return initial if stored is None else learning.from_bytes(stored, learning.shapes_of(initial))


def refuse_clipped(spec: TaskSpec, me: str, update: NDArray[np.floating]) -> None:
    """ClippedUpdate if too much of an update (d,) is beyond the task's bound."""
    beyond = clipped(update, parameters_of(spec))
    metrics.CLIPPED.labels(spec.task_id).observe(beyond / update.size)
    if beyond > MOST_CLIPPED * update.size:
        raise ClippedUpdate(
            f"{beyond} of {update.size} values are beyond the task's bound, the largest {np.abs(update).max():.3g}: "
            f"at most {MOST_CLIPPED:.0%} may be; lower the step size, or publish with a larger encryption.bound"
        )
    if beyond:
        log.warning("clipped", task=spec.task_id, identity=me, values=beyond, of=update.size)


def refuse_nothing(spec: TaskSpec, update: NDArray[np.floating]) -> None:
    """NothingLearned if the nearest steps of an update (d,) are all zero."""
    if not ckks.quantise(update, parameters_of(spec)).any():
        raise NothingLearned(
            "every value of the update rounds to zero on the task's grid: the model knows this data already, "
            "or its learning rate is too low for steps of this size"
        )
