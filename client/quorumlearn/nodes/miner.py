"""A miner: trains from the head, commits to an encrypted update, reveals it, and proposes the block when drawn.

What it encrypted stays in its journal, ciphertext and values, until the round has ended: restarted, it reveals the same ciphertext
and can still claim its sketch.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import structlog
from numpy.typing import NDArray
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto.artifact_pb2 import CollectiveKey
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.event_pb2 import LedgerEvent

from quorumlearn import ckks, learning, seeds
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.attacks import Behaviour
from quorumlearn.nodes import adversary, candidate, exchange, metrics
from quorumlearn.nodes.encryption import parameters_of, polynomial_bytes
from quorumlearn.nodes.feed import News, no_news
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.models import check_playable, load_public, workload_of
from quorumlearn.nodes.steps import Step, ended, miner_step
from quorumlearn.nodes.waking import MINERS_PHASES, entered

log = structlog.get_logger()

Values = NDArray[np.int64]
PATIENCE = 3.0


class _Stopped(Exception):
    """The node was told to stop while it trained."""


@dataclass
class Workshop:
    """What the miners of one process share: places to train at, when to stop, and the plain updates that a cheat may see."""

    slots: threading.Semaphore
    stop: threading.Event
    _updates: dict[tuple[str, int, str], Values] = field(default_factory=dict)

    def leave(self, task: str, number: int, miner: str, values: Values) -> None:
        """Keep a miner's update of this round and forget its earlier ones."""
        self._updates = {key: old for key, old in self._updates.items() if key[0] != task or key[1] >= number}
        self._updates[task, number, miner] = values

    def find(self, task: str, number: int, miner: str) -> Values | None:
        return self._updates.get((task, number, miner))


@dataclass
class Miner:
    """The role of one identity in one task (see nodes.worker.Role)."""

    me: str
    market: Market
    store: ArtifactStore
    journal: Journal
    workshop: Workshop
    shard: Callable[[], learning.Split]
    behaviour: Behaviour
    workers: ckks.Workers
    noise_key: bytes | None = field(default=None, repr=False)
    patience: float = PATIENCE
    _learned: tuple[int, str, Values, int] | None = None
    _trained: tuple[int, str, Values, int] | None = None
    _gave_up: tuple[int, str] | None = None

    def finished(self, view: b.TaskView) -> bool:
        over = ended(view)
        self.journal.forget_rounds(None if over else view.round.number)
        return over

    def act(self, view: b.TaskView, news: News = no_news) -> bool:
        """Whoever has trained goes on to commit at once."""
        while (step := self._step(view)) is not None:
            with metrics.timed(metrics.STEPS, step.value):
                done = self._do(step, view)
            if step is not Step.TRAIN or not done:
                return done
        return False

    def wakes(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        """A cheat that waits for what others do sees everything."""
        return bool(self.behaviour.watches) or entered(events, MINERS_PHASES)

    def sees_due(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return False

    def _step(self, view: b.TaskView) -> Step | None:
        number = view.round.number
        trained = self._trained is not None and self._trained[:2] == (number, view.round.base.digest)
        manifest = self._manifest(number)
        ready = manifest is not None and manifest.base_block == view.round.base.digest
        return miner_step(view, self.me, trained=trained, ready=ready)

    def _do(self, step: Step, view: b.TaskView) -> bool:
        if step is Step.JOIN:
            return self._join(view)
        if step is Step.TRAIN:
            return self._train(view)
        if step is Step.COMMIT:
            self._commit(view)
        elif step is Step.REVEAL:
            if self.behaviour.tampering == "withhold":
                return False
            self._reveal(view)
        elif step is Step.PROPOSE:
            self._propose(view)
        return True

    def _join(self, view: b.TaskView) -> bool:
        if self.journal.get("joined") is not None:
            return False  # it has left, or was never taken; joining again is the user's decision
        check_playable(self.store, view.task.spec, training=True)
        if self.behaviour.trains:
            self.shard()  # who has no data stakes nothing, and the first round waits for nobody's reading
        self.market.join(view.task.spec.task_id)
        self.journal.put("joined", b"1")
        log.info("joined", task=view.task.spec.task_id, identity=self.me)
        return True

    def _train(self, view: b.TaskView) -> bool:
        """Have this round's update ready; False where training failed or a behaviour waits for those it watches."""
        spec, now = view.task.spec, view.round
        seed = seeds.derive(spec.seed, "train", spec.task_id, self.me, now.number)
        kept = adversary.kept_update(self.behaviour, self.journal)
        if kept is not None:
            self._trained = (now.number, now.base.digest, kept, 1)
            return True
        own: Values | None = None
        samples = 1
        if self.behaviour.trains:
            learned = self._learn(view, seed)
            if learned is None:
                return False
            own, samples = learned
        others = adversary.watched(
            view, self.me, self.behaviour, partial(self.workshop.find, spec.task_id, now.number)
        )
        if others is None:
            return False
        if own is None or self.behaviour.name != "honest":
            own = adversary.formed(
                spec,
                parameters_of(spec),
                self.behaviour,
                self.journal,
                own=own,
                others=others,
                seed=seed,
            )
        self._trained = (now.number, now.base.digest, own, samples)
        return True

    def _learn(self, view: b.TaskView, seed: int) -> tuple[Values, int] | None:
        """Train from the head, once a round and base: the update in grid steps (d,) and the number of samples; None if the
        miner sits the round out."""
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
        private = self._private(workload, spec.workload.public_blocks, spec.seed)
        try:
            with self.workshop.slots:
                data = adversary.poisoned(self.behaviour, self.shard(), seed)
                if workload.config.private:
                    seed = self._noise_seed(now)
                result = workload.train(
                    learning.merge(base, private), data, seed=seed, on_step=self._unless_stopped
                )
        except _Stopped:
            return None
        except learning.TrainingError as error:
            log.error(
                "sits the round out", task=spec.task_id, round=now.number, identity=self.me, error=str(error)
            )
            self._gave_up = (now.number, now.base.digest)
            return None
        public, private = learning.split(result.model, spec.workload.public_blocks)
        if private:
            self.journal.put("private-model", learning.to_bytes(private))
        values = ckks.quantise(learning.difference(public, base), parameters_of(spec))
        self.workshop.leave(spec.task_id, now.number, self.me, values)
        self._learned = (now.number, now.base.digest, values, result.samples)
        log.info(
            "trained",
            task=spec.task_id,
            round=now.number,
            identity=self.me,
            steps=result.steps,
            loss=round(result.loss, 4),
            **({} if result.epsilon is None else {"epsilon": round(result.epsilon, 4)}),
        )
        return values, result.samples

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

    def _noise_seed(self, now: b.Round) -> int:
        """The seed of a private training: from a secret of this round, else everybody could take the noise off again.

        The same after a restart; the secret goes with the round's other entries.
        """
        name = f"round-{now.number}/noise"
        stored = self.noise_key if self.noise_key is not None else self.journal.get(name)
        if stored is None:
            stored = secrets.token_bytes(32)
            self.journal.put(name, stored)
        drawn = seeds.secret(stored, "noise", now.task_id, self.me, now.number, now.base.digest)
        return int.from_bytes(drawn[:8], "big") >> 1

    def _unless_stopped(self, step: int, total: int) -> None:
        if self.workshop.stop.is_set():
            raise _Stopped

    def _commit(self, view: b.TaskView) -> None:
        """Encrypt once, write ciphertext and manifest to the journal, then commit to the manifest's digest."""
        spec, now = view.task.spec, view.round
        manifest = self._manifest(now.number)
        if manifest is None or manifest.base_block != now.base.digest:
            assert self._trained is not None
            parameters = parameters_of(spec)
            key = exchange.get(
                self.store,
                CollectiveKey,
                now.collective_key,
                polynomial_bytes(parameters),
                task_id=spec.task_id,
                round=now.number,
            )
            update = self.workers.encrypt(parameters, key.key, self._trained[2])
            if self.behaviour.tampering is not None:
                update = adversary.tampered(parameters, key.key, self.behaviour, self.journal, update)
            manifest = b.Manifest(
                task_id=spec.task_id,
                round=now.number,
                miner=self.me,
                base_block=now.base.digest,
                update=ArtifactRef(digest=hashlib.sha256(update).hexdigest(), size=len(update)),
                sample_count=self._trained[3],
            )
            self.journal.put(f"round-{now.number}/values", self._trained[2].astype("<i8").tobytes())
            self.journal.put(f"round-{now.number}/update", update)
            self.journal.put(f"round-{now.number}/manifest", canonical.to_json(manifest))
        self.market.commit(spec.task_id, now.number, canonical.digest(manifest))
        log.info("committed", task=spec.task_id, round=now.number, identity=self.me)

    def _reveal(self, view: b.TaskView) -> None:
        """Show the ciphertexts, and claim the sketch that the beacon gives the values in them; nobody needs those here any more, then."""
        spec, now = view.task.spec, view.round
        manifest = self._manifest(now.number)
        update, values = (self.journal.get(f"round-{now.number}/{name}") for name in ("update", "values"))
        if manifest is None or update is None or values is None:
            raise exchange.ExchangeError(
                f"the journal has lost the update of round {now.number}; it cannot be revealed"
            )
        parameters = parameters_of(spec)
        plan = ckks.round_plan(parameters, bytes.fromhex(now.beacon))
        steps = np.frombuffer(values, dtype="<i8").astype(np.int64)
        self.store.put(update)
        claim = ckks.claim(parameters, plan, steps, self.me).hex()
        self.market.reveal(spec.task_id, now.number, manifest, claim)
        log.info("revealed", task=spec.task_id, round=now.number, identity=self.me)
        self.journal.erase(f"round-{now.number}")

    def _propose(self, view: b.TaskView) -> None:
        spec, now = view.task.spec, view.round
        parameters = parameters_of(spec)
        values = candidate.open_agreed(self.store, parameters, now, view.screenings)
        base = load_public(self.store, spec, now.base.model)
        model = candidate.next_model(base, values, now.selection, parameters)
        self.market.propose(
            spec.task_id,
            now.number,
            b.Candidate(
                model=self.store.put(learning.to_bytes(model)),
                aggregate=self.store.put(candidate.aggregate_bytes(values, now.selection)),
                proposer=self.me,
            ),
        )
        log.info("proposed", task=spec.task_id, round=now.number, identity=self.me)

    def _manifest(self, number: int) -> b.Manifest | None:
        data = self.journal.get(f"round-{number}/manifest") if number else None
        return None if data is None else canonical.from_json(b.Manifest, data)

    def _private(
        self, workload: learning.Workload, public_blocks: Sequence[str], seed: int
    ) -> learning.Model:
        """This miner's own private blocks: as its last training left them, or as the task's seed begins them."""
        initial = learning.split(workload.initial_model(seed), public_blocks)[1]
        stored = self.journal.get("private-model")
        return initial if stored is None else learning.from_bytes(stored, learning.shapes_of(initial))
