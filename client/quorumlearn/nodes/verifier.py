"""A verifier: one seat of a task's committee. Holds a share of each round's key, screens, decrypts and scores."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from google.protobuf.message import DecodeError
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import PartialDecryption, SketchPayload, SketchShares
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactError, ArtifactMissing, ArtifactStore
from quorumlearn.nodes import blame, candidate, exchange, metrics, screening, steps
from quorumlearn.nodes.attempt import Attempt, Faulty
from quorumlearn.nodes.ceremony import CeremonyPart, KeptClosedError, complaint, last_call
from quorumlearn.nodes.encryption import parameters_of, polynomial_bytes
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.models import check_playable, load_public, workload_of
from quorumlearn.nodes.steps import Step

log = structlog.get_logger()

PATIENCE_PER_SEAT = 0.7


@dataclass
class Verifier:
    """The role of one identity in one task (see nodes.worker.Role)."""

    me: str
    msp_id: str
    market: Market
    store: ArtifactStore
    journal: Journal
    test_set: Callable[[], learning.Split]
    position: Callable[[str], tuple[int, int]]
    beacon_key: bytes | None = None
    leaving: bool = False
    clock: Callable[[], float] = time.time
    patience: float = 0.0
    _sketched: tuple[int, list[screening.Sketched]] | None = None
    _scores: dict[str, learning.Score] = field(default_factory=dict)

    @property
    def any_change(self) -> bool:
        """The first seat sees every change: it closes the phases that miners complete."""
        return self.patience == 0.0

    def finished(self, view: b.TaskView) -> bool:
        """Once the task has ended and no challenge of its blocks is left undecided."""
        over = steps.ended(view)
        self._forget(view, over)
        return over and not view.challenges

    def act(self, view: b.TaskView) -> bool:
        seat = steps.seat_of(view, self.me)
        if seat is not None:
            self.patience = PATIENCE_PER_SEAT * (seat - 1)
            if not steps.ended(view):
                self._remember(view, seat)
        failure: Exception | None = None
        seated = self.journal.get(SEATED) is not None
        for step, number in steps.verifier_steps(
            view, self.me, self.msp_id, seated=seated, leaving=self.leaving
        ):
            try:
                with metrics.timed(metrics.STEPS, step.value):
                    self._do(step, number, view)
            except (ArtifactError, exchange.ExchangeError, ckks.CkksError, KeptClosedError) as error:
                failure = (
                    failure or error
                )  # another step may be open that does not wait for this one's artifact
                continue
            log.info(step.value, task=view.task.spec.task_id, round=number, identity=self.me)
            return True
        if failure is not None:
            raise failure
        return False

    def _do(self, step: Step, number: int, view: b.TaskView) -> None:
        task = view.task.spec.task_id
        if step is Step.TAKE_SEAT:
            check_playable(self.store, view.task.spec)
            self.market.join_committee(task)
        elif step is Step.LEAVE_SEAT:
            self.market.leave_committee(task)
        elif step in KEY_STEPS:
            self._key_step(step, number, view)
        elif step is Step.BEACON:
            self.market.reveal_beacon(task, number, self._part(view, number).beacon())
        elif step is Step.SCREEN:
            self._screen(view)
        elif step is Step.SELECT:
            self._select(view)
        elif step is Step.OPEN:
            self._open(view)
        elif step is Step.VALIDATE:
            self.market.vote_block(task, number, self._judge_candidate(view))
        elif step is Step.JUDGE:
            self.market.vote_challenge(task, number, self._judge_block(view, number))

    def _key_step(self, step: Step, number: int, view: b.TaskView) -> None:
        part, ceremony = self._part(view, number), steps.ceremony_of(view, number)
        seconds = view.task.spec.timeouts.key
        giving_up = last_call(ceremony, seconds, int(self.clock() * 1000))
        try:
            contribution = self._key_contribution(step, part, ceremony, giving_up)
        except Faulty as fault:
            if fault.late and not giving_up:
                raise
            log.warning("complains", task=part.attempt.task, round=number, identity=self.me, why=str(fault))
            contribution = complaint(str(fault))
        self.market.key_step(KEY_STEPS[step], (part.attempt.task, number, part.attempt.attempt), contribution)

    def _key_contribution(
        self, step: Step, part: CeremonyPart, ceremony: b.Ceremony, giving_up: bool
    ) -> b.KeyContribution:
        if step is Step.KEY_COMMIT:
            return part.commit()
        if step is Step.KEY_REVEAL:
            return part.reveal()
        if step is Step.KEY_TEST:
            return part.test()
        if step is Step.KEY_CONFIRM:
            return part.confirm(list(ceremony.seats))
        if step is Step.KEY_OPEN:
            return part.open()
        if not giving_up and (absent := blame.absent(part.attempt)):
            raise ArtifactMissing(f"{len(absent)} artifacts of a failed ceremony are not in the store (yet)")
        return b.KeyContribution(blame=blame.vote(blame.judge(part.attempt)))

    def _remember(self, view: b.TaskView, seat: int) -> None:
        """What must outlive a restart: that this identity had a seat, and which attempts became rounds' keys."""
        if self.journal.get(SEATED) is None:
            self.journal.put(SEATED, b"seated")
        for ceremony in view.ceremonies:
            if ceremony.step == b.KEY_READY and seat in ceremony.seats:
                self._part(view, ceremony.round).note_ready()

    def _screen(self, view: b.TaskView) -> None:
        """Sketch every revealed update once; seal this seat's shares of the sketches to the other seats."""
        spec, now = view.task.spec, view.round
        parameters, plan = parameters_of(spec), self._plan(view)
        part = self._part(view, now.number)
        name = f"round-{now.number}/sketch-shares"
        stored = self.journal.get(name)
        if stored is None:
            sketched = self._sketch(view)
            share = part.share()
            payload = SketchPayload(
                shares=[
                    ckks.sketch_share(parameters, plan, share, one.ciphertext)
                    for one in sketched
                    if one.ciphertext is not None
                ]
            ).SerializeToString(deterministic=True)
            keys = {
                seat: contribution.sealing_key
                for seat, contribution in steps.contributions(view, now.number).items()
                if seat in now.seats
            }
            context = _sketch_context(view)
            stored = SketchShares(
                task_id=spec.task_id,
                round=now.number,
                seat=part.seat,
                coverage=[one.coverage for one in sketched],
                boxes=exchange.seal_for(keys, dict.fromkeys(keys, payload), context, part.seat),
            ).SerializeToString(deterministic=True)
            self.journal.put(name, stored)
        self.market.post_sketch(spec.task_id, now.number, self.store.put(stored))

    def _select(self, view: b.TaskView) -> None:
        spec, now = view.task.spec, view.round
        parameters = parameters_of(spec)
        shares = {
            one.seat: self._shares_of(one, view)
            for one in view.screenings
            if one.seat in now.seats and one.HasField("sketch_shares")
        }
        opened = screening.open_sketches(parameters, self._plan(view), self._sketch(view), shares)
        submissions = {one.miner: one for one in view.submissions}
        selection = screening.select(spec, now, submissions, opened, self.position)
        self.market.vote_selection(spec.task_id, now.number, selection)

    def _shares_of(self, one: b.Screening, view: b.TaskView) -> screening.Shares:
        """What another seat posted, opened; what does not hold together covers nothing."""
        spec, now = view.task.spec, view.round
        parameters = parameters_of(spec)
        revealed = [sub for sub in view.submissions if sub.HasField("manifest")]
        limit = polynomial_bytes(parameters, max(1, len(revealed)))
        nothing = screening.Shares({sub.miner: b.MISSING_ARTIFACT for sub in revealed}, {})
        try:
            record = exchange.get(
                self.store,
                SketchShares,
                one.sketch_shares,
                limit,
                task_id=spec.task_id,
                round=now.number,
                seat=one.seat,
            )
            payload = SketchPayload.FromString(
                exchange.unseal_from(
                    list(record.boxes),
                    self._part(view, now.number).sealing_key(),
                    _sketch_context(view),
                    one.seat,
                    self._seat(view),
                )
            )
        except (exchange.ExchangeError, DecodeError) as error:
            log.warning("unusable sketch shares", seat=one.seat, error=str(error))
            return nothing
        covered = [line for line in record.coverage if line.reason == b.CONTRIBUTES]
        known = {sub.miner: sub.manifest.update.digest for sub in revealed}
        if {line.miner: line.update for line in record.coverage} != known or len(covered) != len(
            payload.shares
        ):
            log.warning("sketch shares of other submissions than the ledger's", seat=one.seat)
            return nothing
        return screening.Shares(
            {line.miner: line.reason for line in record.coverage},
            {line.miner: share for line, share in zip(covered, payload.shares, strict=True)},
        )

    def _open(self, view: b.TaskView) -> None:
        """Publish this seat's partial decryption of the selected aggregate, and of nothing else."""
        spec, now = view.task.spec, view.round
        parameters = parameters_of(spec)
        submissions = {one.miner: one for one in view.submissions}
        total = candidate.aggregate_ciphertexts(self.store, parameters, now.selection, submissions)
        digest = self.store.put(total.to_bytes()).digest
        name = f"round-{now.number}/partial-{digest}"
        residues = self.journal.get(name)
        if residues is None:
            residues = ckks.partial_decrypt(parameters, self._part(view, now.number).share(), total)
            self.journal.put(name, residues)
        record = PartialDecryption(
            task_id=spec.task_id,
            round=now.number,
            seat=self._seat(view),
            purpose=AGGREGATE_DECRYPTION,
            ciphertext=digest,
            residues=residues,
        )
        self.market.post_partial(spec.task_id, now.number, digest, exchange.put(self.store, record))

    def _judge_candidate(self, view: b.TaskView) -> b.Ballot:
        """Recompute the candidate; if it is what the aggregate gives, score it against the base on the own test set."""
        spec, now = view.task.spec, view.round
        parameters = parameters_of(spec)
        ballot = b.Ballot(
            task_id=spec.task_id, round=now.number, seat=self._seat(view), model=now.candidate.model.digest
        )
        base = load_public(self.store, spec, now.base.model)
        values = candidate.open_aggregate(self.store, parameters, now, list(view.screenings))
        expected = candidate.next_model(base, values, now.selection, parameters)
        model = self.store.put(learning.to_bytes(expected))
        aggregate = self.store.put(candidate.aggregate_bytes(values, now.selection))
        if (model, aggregate) != (now.candidate.model, now.candidate.aggregate):
            ballot.reason = b.WRONG_MODEL
            return ballot
        return self._scored(ballot, spec, expected, base)

    def _judge_block(self, view: b.TaskView, height: int) -> b.Ballot:
        """Score a challenged block against the one before it."""
        spec = view.task.spec
        block = self.market.block(spec.task_id, height)
        before = next(one for one in self.market.blocks(spec.task_id) if one.digest == block.core.previous)
        ballot = b.Ballot(
            task_id=spec.task_id, round=block.core.round, seat=self._seat(view), model=block.core.model.digest
        )
        models = [load_public(self.store, spec, one.core.model) for one in (block, before)]
        return self._scored(ballot, spec, *models)

    def _scored(
        self, ballot: b.Ballot, spec: TaskSpec, model: learning.Model, base: learning.Model
    ) -> b.Ballot:
        """A fall of the score by more than the task's tolerance (in 1/10000 of the test set) is SCORE_FELL."""
        score, before = self._score(spec, model), self._score(spec, base)
        fell = (before.correct - score.correct) * 10_000 > spec.tolerance_bp * score.total
        ballot.reason = b.SCORE_FELL if fell else b.GOOD
        ballot.correct, ballot.base_correct, ballot.total = score.correct, before.correct, score.total
        return ballot

    def _score(self, spec: TaskSpec, public: learning.Model) -> learning.Score:
        """On the own test set; a model already scored is not scored again."""
        digest = hashlib.sha256(learning.to_bytes(public)).hexdigest()
        if digest not in self._scores:
            workload = workload_of(spec)
            private = learning.split(workload.initial_model(spec.seed), spec.workload.public_blocks)[1]
            self._scores[digest] = workload.evaluate(learning.merge(public, private), self.test_set())
        return self._scores[digest]

    def _sketch(self, view: b.TaskView) -> list[screening.Sketched]:
        """The sketches of the round's revealed updates, kept until the next round."""
        number = view.round.number
        if self._sketched is None or self._sketched[0] != number:
            parameters, plan = parameters_of(view.task.spec), self._plan(view)
            found = [
                screening.sketch_submission(self.store, parameters, plan, one)
                for one in view.submissions
                if one.HasField("manifest")
            ]
            self._sketched = (number, found)
        return self._sketched[1]

    def _plan(self, view: b.TaskView) -> ckks.SketchPlan:
        return ckks.SketchPlan.from_beacon(parameters_of(view.task.spec), bytes.fromhex(view.round.beacon))

    def _part(self, view: b.TaskView, number: int) -> CeremonyPart:
        spec = view.task.spec
        attempt = steps.ceremony_of(view, number).attempt
        return CeremonyPart(
            attempt=Attempt(
                parameters=parameters_of(spec),
                store=self.store,
                task=spec.task_id,
                number=number,
                attempt=attempt,
                parts=steps.contributions(view, number),
            ),
            journal=self.journal.below(f"round-{number}/attempt-{attempt}"),
            seat=self._seat(view),
            beacon_key=self.beacon_key,
        )

    def _seat(self, view: b.TaskView) -> int:
        seat = steps.seat_of(view, self.me)
        assert seat is not None, "only a seat takes these steps"
        return seat

    def _forget(self, view: b.TaskView, over: bool) -> None:
        """Erase all secrets of rounds that have ended: no later compromise opens what was sent in them."""
        current = view.round.number
        for name in self.journal.names():
            kind, _, number = name.partition("-")
            if kind == "round" and (over or int(number) < current):
                self.journal.erase(name)


KEY_STEPS = {
    Step.KEY_COMMIT: "CommitKey",
    Step.KEY_REVEAL: "RevealKey",
    Step.KEY_TEST: "TestKey",
    Step.KEY_CONFIRM: "ConfirmKey",
    Step.KEY_OPEN: "OpenKey",
    Step.KEY_BLAME: "BlameKey",
}
SEATED = "seated"


def _sketch_context(view: b.TaskView) -> str:
    return f"{view.task.spec.task_id}/{view.round.number}/sketch"
