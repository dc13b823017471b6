"""A miner: trains from the head, commits to an encrypted update, reveals it, and proposes the block when drawn.

What it encrypted stays in its journal, ciphertext, values and the salt of its claim, until it is revealed: restarted, it reveals
the same ciphertext and can still claim its sketch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto.artifact_pb2 import CollectiveKey
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.recompute import recomputes, replays
from quorumlearn_proto.task_pb2 import Task

from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore, reference_of
from quorumlearn.attacks import Behaviour
from quorumlearn.nodes import adversary, candidate, exchange, metrics, salts
from quorumlearn.nodes.encryption import parameters_of, polynomial_bytes
from quorumlearn.nodes.exposure import exposure_of
from quorumlearn.nodes.feed import News, no_news
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.models import check_playable, load_public, workload_of
from quorumlearn.nodes.public_steps import Chain, steps_before
from quorumlearn.nodes.steps import Step, ended, miner_step, submission
from quorumlearn.nodes.training import Told, Trainer, Values
from quorumlearn.nodes.triggers import FOR_MINERS, entered, granted
from quorumlearn.nodes.work import opening
from quorumlearn.nodes.work.minerkey import MinerKey
from quorumlearn.nodes.work.tracing import Tracer

log = structlog.get_logger()

ADVANCE_DELAY = 3.0
BEGINS = {Step.JOIN, Step.COMMIT}
"""What obliges to more, which takes room to write."""


@dataclass
class Miner:
    """The role of one identity in one task (see nodes.worker.Role)."""

    me: str
    market: Market
    store: ArtifactStore
    journal: Journal
    trainer: Trainer
    tracer: Tracer
    key: MinerKey
    behaviour: Behaviour
    workers: ckks.Workers
    may_begin: Callable[[], bool] = lambda: True
    welcome: Callable[[Task], bool] = lambda _: True
    accepts: Callable[[Task, int | None], bool] = lambda _task, _samples: True
    advance_delay: float = ADVANCE_DELAY
    next_look: float | None = None
    _trained: tuple[int, str, Values, Told] | None = None
    _told: bool = False

    def finished(self, view: b.TaskView) -> bool:
        over = ended(view)
        self.journal.forget_rounds(None if over else view.round.number)
        if over:
            self.key.erase()
        return over

    def act(self, view: b.TaskView, news: News = no_news) -> bool:
        """Whoever has trained goes on to commit at once. The key for sealed data is shown first, or nobody could seal them to it."""
        if self.key.to_show(view):
            self.key.show(view)
            return True
        while (step := self._step(view)) is not None:
            with metrics.timed(metrics.STEPS, step.value):
                done = self._do(step, view)
            if step is not Step.TRAIN or not done:
                return done
        return False

    def wakes(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        """A cheat that waits for what others do sees everything."""
        return bool(self.behaviour.watches) or entered(events, FOR_MINERS) or granted(events)

    def sees_due(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return False

    def _step(self, view: b.TaskView) -> Step | None:
        number = view.round.number
        trained = self._trained is not None and self._trained[:2] == (number, view.round.base.digest)
        manifest = self._manifest(number)
        ready = manifest is not None and manifest.base_block == view.round.base.digest
        return miner_step(view, self.me, trained=trained, ready=ready)

    def _do(self, step: Step, view: b.TaskView) -> bool:
        if step in BEGINS and not self.may_begin():
            return False  # what was begun could not be brought to its end, and would be slashed
        if step is Step.JOIN:
            return self._join(view)
        if step is Step.TRAIN:
            return self._retrace(view) if recomputes(view.task.spec) else self._train(view)
        if step is Step.COMMIT:
            self._commit(view)
        elif step is Step.REVEAL:
            if self.behaviour.tampering == "withhold":
                return False
            self._reveal(view)
        elif step is Step.TRACE:
            if self.behaviour.tampering == "no-trace":
                return False
            return self._open_trace(view)
        elif step is Step.PROPOSE:
            self._propose(view)
        return True

    def _join(self, view: b.TaskView) -> bool:
        if self.journal.get("joined") is not None:
            if not self._told:
                log.warning(
                    "does not join again: it has left, or was not taken",
                    task=view.task.spec.task_id,
                    identity=self.me,
                    journal=str(self.journal.folder),
                )
            self._told = True
            return False  # joining again is the user's decision
        if not self.welcome(view.task):
            return False
        # who has no data stakes nothing, and the first round waits for nobody's reading
        own_data = self.behaviour.trains and not recomputes(view.task.spec)
        data = self.trainer.shard(workload_of(view.task.spec)) if own_data else None
        if not self.accepts(view.task, None if data is None else len(data)):
            return False
        check_playable(self.store, view.task.spec, training=True)
        if data is not None and (why := self.trainer.spent(data)):
            if not self._told:
                log.warning("does not join", task=view.task.spec.task_id, identity=self.me, why=why)
            self._told = True
            return False
        self.market.join(view.task.spec.task_id)
        self.journal.put("joined", b"1")
        exposed = exposure_of(view.task.spec).sentence
        log.info("joined", task=view.task.spec.task_id, identity=self.me, exposed=exposed)
        return True

    def _train(self, view: b.TaskView) -> bool:
        """Have this round's update ready; False where training failed or a behaviour waits for those it watches."""
        spec, now = view.task.spec, view.round
        told = Told.of(spec, 0, private=False)
        kept = adversary.kept_update(self.behaviour, self.journal)
        if kept is not None:
            self._trained = (now.number, now.base.digest, kept, told)
            return True
        own: Values | None = None
        if self.behaviour.trains:
            learned = self.trainer.learn(view)
            if learned is None:
                return False
            own, told = learned
        others = adversary.watched(
            view, self.me, self.behaviour, partial(self.trainer.workshop.find, spec.task_id, now.number)
        )
        if others is None:
            return False
        if own is None or self.behaviour.name != "honest":
            own = self._formed(view, own, others)
        self._trained = (now.number, now.base.digest, own, told)
        return True

    def _retrace(self, view: b.TaskView) -> bool:
        """The same where training is replayed: with a trace, be it a forged one."""
        spec, now, behaviour = view.task.spec, view.round, self.behaviour
        values: Values | None = None
        told: Told | None = None
        if behaviour.name == "thief":
            stolen = self.tracer.steal(view, f"{self.me.partition('/')[0]}/{behaviour.watches[0]}")
            if stolen is None:
                return False
            values, told = stolen
        elif (kept := adversary.kept_update(behaviour, self.journal)) is not None:
            values = kept
        else:
            if behaviour.trains:
                learned = self.tracer.learn(view)
                if learned is None:
                    return False
                values, told = learned
            if behaviour.forms:
                find = partial(self.trainer.workshop.find, spec.task_id, now.number)
                others = adversary.watched(view, self.me, behaviour, find)
                if others is None:
                    return False
                values = self._formed(view, values, others)
        assert values is not None
        if told is None and (told := self.tracer.forge(view, values)) is None:
            return False
        self._trained = (now.number, now.base.digest, values, told)
        return True

    def _formed(self, view: b.TaskView, own: Values | None, others: list[Values]) -> Values:
        """What a cheat submits."""
        spec = view.task.spec
        return adversary.formed(
            spec,
            parameters_of(spec),
            self.behaviour,
            self.journal,
            own=own,
            others=others,
            seed=adversary.seed_of(spec, self.me, view.round.number),
            moved=self._last_step(view) if self.behaviour.rides else [],
        )

    def _last_step(self, view: b.TaskView) -> list[Values]:
        """How the public model moved last, if it has."""
        spec = view.task.spec
        chain = Chain(partial(self.market.block, spec.task_id))
        return steps_before(self.store, spec, view.round.base, chain, slice(0, 1))

    def _commit(self, view: b.TaskView) -> None:
        """Encrypt once, write ciphertext and manifest to the journal, then commit to the manifest's digest. In the store is nothing yet but
        the claim's salt, which says nothing of the update."""
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
            salt = salts.new()
            sealed = self.store.put(salts.sealed(view, self.me, salt), (spec.task_id, now.number))
            manifest = b.Manifest(
                task_id=spec.task_id,
                round=now.number,
                miner=self.me,
                base_block=now.base.digest,
                update=reference_of(update),
                salts=sealed,
                sample_count=self._trained[3].samples,
                sample_class=self._trained[3].sample_class,
                trace_root=self._trained[3].trace_root,
                steps=self._trained[3].steps,
                profile=self._trained[3].profile,
            )
            self.journal.put(f"round-{now.number}/claimed", salt + self._trained[2].astype("<i8").tobytes())
            self.journal.put(f"round-{now.number}/update", update)
            self.journal.put(f"round-{now.number}/manifest", canonical.to_json(manifest))
        self.market.commit(spec.task_id, now.number, canonical.digest(manifest))
        log.info("committed", task=spec.task_id, round=now.number, identity=self.me)

    def _reveal(self, view: b.TaskView) -> None:
        """Show the ciphertexts, and claim the sketch that the beacon gives the values in them; nobody needs those here any more, then."""
        spec, now = view.task.spec, view.round
        manifest = self._manifest(now.number)
        update, claimed = (self.journal.get(f"round-{now.number}/{name}") for name in ("update", "claimed"))
        if manifest is None or update is None or claimed is None:
            raise exchange.ExchangeError(
                f"the journal has lost the update of round {now.number}; it cannot be revealed"
            )
        parameters = parameters_of(spec)
        plan = ckks.round_plan(parameters, bytes.fromhex(now.beacon))
        steps = np.frombuffer(claimed, dtype="<i8", offset=salts.BYTES).astype(np.int64)
        self.store.put(update, (spec.task_id, now.number))
        claim = ckks.claim(parameters, plan, steps, self.me, claimed[: salts.BYTES]).hex()
        self.market.reveal(spec.task_id, now.number, manifest, claim)
        log.info("revealed", task=spec.task_id, round=now.number, identity=self.me)
        self.journal.erase(f"round-{now.number}/update" if replays(spec) else f"round-{now.number}")

    def _open_trace(self, view: b.TaskView) -> bool:
        """Show what the beacon draws of the training; then nobody needs its checkpoints any more. False if it is lost."""
        spec, now = view.task.spec, view.round
        claimed = self.journal.get(f"round-{now.number}/claimed")
        if claimed is None:
            raise exchange.ExchangeError(
                f"the journal has lost the training of round {now.number}; it cannot be opened"
            )
        values = np.frombuffer(claimed, dtype="<i8", offset=salts.BYTES).astype(np.int64)
        committed = submission(view, self.me)
        assert committed is not None, "only who has revealed opens a trace"
        opened = self.tracer.open(view, values, claimed[: salts.BYTES], committed.manifest.trace_root)
        if opened is None:
            return False
        data = opening.sealed(view, self.me, opened.SerializeToString(deterministic=True))
        self.market.open_trace(spec.task_id, now.number, self.store.put(data, (spec.task_id, now.number)))
        log.info("opened its trace", task=spec.task_id, round=now.number, identity=self.me, bytes=len(data))
        self.journal.erase(f"round-{now.number}")
        return True

    def _propose(self, view: b.TaskView) -> None:
        spec, now = view.task.spec, view.round
        parameters = parameters_of(spec)
        values = candidate.open_agreed(self.store, parameters, now, view.screenings).sum(axis=0)
        base = load_public(self.store, spec, now.base.model)
        model = candidate.next_model(base, values, now.selection, parameters)
        purpose = spec.task_id, now.number
        self.market.propose(
            spec.task_id,
            now.number,
            b.Candidate(
                model=self.store.put(learning.to_bytes(model), purpose),
                aggregate=self.store.put(candidate.aggregate_bytes(values, now.selection), purpose),
                proposer=self.me,
            ),
        )
        log.info("proposed", task=spec.task_id, round=now.number, identity=self.me)

    def _manifest(self, number: int) -> b.Manifest | None:
        data = self.journal.get(f"round-{number}/manifest") if number else None
        return None if data is None else canonical.from_json(b.Manifest, data)
