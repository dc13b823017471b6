"""A verifier: one seat of a task's committee. Holds a share of each round's key, screens, decrypts and scores."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactError, ArtifactMissing, ArtifactStore
from quorumlearn.nodes import blame, candidate, exchange, metrics, rootset, steps, waking
from quorumlearn.nodes.attempt import Attempt, Faulty, Finding, line
from quorumlearn.nodes.ceremony import CeremonyPart, KeptClosedError, LostSecretError, complaint, last_call
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.feed import News, no_news
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Along, CarriedKey, Market, Refused
from quorumlearn.nodes.models import check_playable, load_public, workload_of
from quorumlearn.nodes.partials import Values
from quorumlearn.nodes.round_part import RoundPart
from quorumlearn.nodes.steps import Step

log = structlog.get_logger()

PATIENCE_PER_SEAT = 0.7
GATHER_SECONDS = 0.3
"""The first seat leaves the others so long to act in a step before it does, so that its transaction closes the step."""


@dataclass(frozen=True)
class _Expected:
    """The only candidate that a round can have: its base, the opened aggregate (d,), and the next model."""

    base: learning.Model
    values: Values
    model: learning.Model


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
    workers: ckks.Workers
    beacon_key: bytes | None = field(default=None, repr=False)
    leaving: bool = False
    clock: Callable[[], float] = time.time
    patience: float = 0.0
    _playing: tuple[int, RoundPart] | None = None
    _made: tuple[tuple[Step, int, int], CarriedKey] | None = None
    _next: _Expected | None = None
    _scores: dict[str, learning.Score] = field(default_factory=dict)
    _seen: dict[tuple[int, int], dict[str, bytes]] = field(default_factory=dict)

    @property
    def _now_ms(self) -> int:
        return int(self.clock() * 1000)

    def finished(self, view: b.TaskView) -> bool:
        """Once the task has ended and no challenge of its blocks is left undecided."""
        over = steps.ended(view)
        self.journal.forget_rounds(None if over else view.round.number)
        return over and not view.challenges

    def act(self, view: b.TaskView, news: News = no_news) -> bool:
        seat = steps.seat_of(view, self.me)
        if seat is not None:
            self.patience = PATIENCE_PER_SEAT * (seat - 1)
            if not steps.ended(view):
                self._remember(view, seat)
                if view.round.phase == b.REVEAL and seat in view.round.seats:
                    self._round(view).prepare(view)
        failure: Exception | None = None
        acted = False
        along: CarriedKey | None = None
        seated = self.journal.get(SEATED) is not None
        open_steps = steps.verifier_steps(view, self.me, self.msp_id, seated=seated, leaving=self.leaving)
        waiting = [one for one in open_steps if seat and steps.goes_along(view, seat, *one, self._now_ms)]
        for step, number in sorted(open_steps, key=lambda one: one not in waiting):
            try:
                if (step, number) in waiting:
                    along = self._key_along(step, number, view)
                    continue
                with metrics.timed(metrics.STEPS, step.value):
                    done = self._do(step, number, view, news, along)
            except (
                ArtifactError,
                exchange.ExchangeError,
                ckks.CkksError,
                KeptClosedError,
                LostSecretError,
            ) as error:
                failure = (
                    failure or error
                )  # another step may be open that does not wait for this one's artifact
                continue
            if done:
                log.info(step.value, task=view.task.spec.task_id, round=number, identity=self.me)
            acted |= done
        if failure is not None and not acted:
            raise failure
        return acted

    def wakes(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        """The first seat also closes the steps that miners complete, or seats that act at the same time."""
        first = self.patience == 0.0
        if view.state.status != t.RUNNING:
            return first or waking.concerns_seats(events)
        return waking.concerns_seats(events) or self.sees_due(view, events)

    def sees_due(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return self.patience == 0.0 and waking.completed(view, events)

    def _do(
        self, step: Step, number: int, view: b.TaskView, news: News, key: CarriedKey | None = None
    ) -> bool:
        """Whether there was something to do: a check that finds nothing wrong changes nothing on the ledger. `key` goes along
        with a step of the round."""
        task = view.task.spec.task_id

        def pending() -> bool:
            others_wait = partial(waking.others_pending, view, number, self.me)
            if self.patience == 0.0:
                news.wait(GATHER_SECONDS, lambda events: waking.moved(events) or not others_wait(events))
            return others_wait(news())

        def send(call: Callable[..., None], *arguments: object) -> None:
            self._send(partial(call, task, number, *arguments), Along(pending(), key))

        if step is Step.TAKE_SEAT:
            check_playable(self.store, view.task.spec, training=rootset.ref_of(view.task.spec) is not None)
            self._score_head(view)
            self.market.join_committee(task)
        elif step is Step.LEAVE_SEAT:
            self.market.leave_committee(task)
        elif step in KEY_STEPS:
            ceremony = (task, number, steps.ceremony_of(view, number).attempt)
            contribution = self._contribution(step, number, view)
            self.market.key_step(KEY_STEPS[step], ceremony, contribution, pending())
        elif step is Step.BEACON:
            send(self.market.reveal_beacon, self._part(view, number).beacon())
        elif step is Step.SCREEN:
            send(self.market.post_sketch, self._round(view).sketch_shares(view))
        elif step is Step.SELECT:
            last = self._last_call(view)
            opened = self._round(view).opened(view, last)
            if not self._accuse(view, [*opened.false, *_nobody(opened.undecided, b.BAD_SKETCH_SHARES)]):
                send(self.market.vote_selection, self._round(view).selection(view, last))
        elif step is Step.OPEN:
            send(self.market.post_partial, *self._round(view).partial(view))
        elif step is Step.CHECK:
            if self._accuse(view, self._faulty_partials(view)):
                return True
            self._score_early(view)
            return False
        elif step is Step.VALIDATE:
            if not self._accuse(view, self._faulty_partials(view)):
                send(self.market.vote_block, self._judge_candidate(view))
                self._next = None
        elif step is Step.JUDGE:
            self.market.vote_challenge(task, number, self._judge_block(view, number))
        return True

    def _send(self, call: Callable[[Along], None], along: Along) -> None:
        """A step of the round, and what goes along with it; alone if the ledger refuses both, so that nothing about the next
        round's key holds up this one."""
        try:
            call(along)
        except Refused as refusal:
            if along.key is None:
                raise
            log.info(
                "sent without its key step",
                identity=self.me,
                step=along.key.function,
                code=refusal.code,
                sentence=refusal.sentence,
            )
            call(Along(along.pending))

    def _key_along(self, step: Step, number: int, view: b.TaskView) -> CarriedKey:
        """This seat's part of a ceremony's step, made as soon as the step is open, to be sent with the next step of the round."""
        attempt = steps.ceremony_of(view, number).attempt
        if self._made is None or self._made[0] != (step, number, attempt):
            with metrics.timed(metrics.STEPS, step.value):
                contribution = self._contribution(step, number, view)
            self._made = (step, number, attempt), CarriedKey(KEY_STEPS[step], attempt, contribution)
        return self._made[1]

    def _contribution(self, step: Step, number: int, view: b.TaskView) -> b.KeyContribution:
        """What this seat has to say in a ceremony's step; a complaint where another seat's part cannot be used."""
        part, ceremony = self._part(view, number), steps.ceremony_of(view, number)
        giving_up = last_call(ceremony, view.task.spec.timeouts.key, self._now_ms)
        try:
            return self._key_contribution(step, part, ceremony, giving_up)
        except Faulty as fault:
            if fault.late and not giving_up:
                raise
            log.warning("complains", task=part.attempt.task, round=number, identity=self.me, why=str(fault))
            return complaint(str(fault))

    def _key_contribution(
        self, step: Step, part: CeremonyPart, ceremony: b.Ceremony, giving_up: bool
    ) -> b.KeyContribution:
        if step is Step.KEY_COMMIT:
            return part.commit()
        if step is Step.KEY_REVEAL:
            return part.reveal()
        part.mend()
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
        """What must outlive a restart: that this identity had a seat, and which attempts became rounds' keys. What was
        read in ceremonies that are over is let go."""
        if self.journal.get(SEATED) is None:
            self.journal.put(SEATED, b"seated")
        for ceremony in view.ceremonies:
            if ceremony.step == b.KEY_READY and steps.contribution(view, ceremony.round, seat) is not None:
                self._part(view, ceremony.round).note_ready()
        under_way = {(one.round, one.attempt) for one in view.ceremonies if one.step not in CLOSED}
        self._seen = {which: seen for which, seen in self._seen.items() if which in under_way}

    def _faulty_partials(self, view: b.TaskView) -> list[Finding]:
        found = self._round(view).verified(view, self._last_call(view))
        return [*found.false, *_nobody(found.undecided, b.BAD_PARTIAL)]

    def _accuse(self, view: b.TaskView, findings: Sequence[Finding]) -> bool:
        """Accuse the first seat of the round, or nobody, that this seat has not accused of it; False if there is none left."""
        task, now, seat = view.task.spec.task_id, view.round, self._seat(view)
        said = {(one.seat, one.fault) for one in view.accusations if one.accuser == seat}
        for one in findings:
            if one.seat != seat and one.seat in (0, *now.seats) and (one.seat, one.fault) not in said:
                log.warning(
                    "accuses", task=task, round=now.number, identity=self.me, seat=one.seat, why=one.why
                )
                accusation = b.Accusation(seat=one.seat, fault=one.fault, detail=line(one.why))
                self.market.accuse(task, now.number, accusation)
                return True
        return False

    def _last_call(self, view: b.TaskView) -> bool:
        now = view.round
        seconds = getattr(view.task.spec.timeouts, b.Phase.Name(now.phase).lower())
        return last_call(now, seconds, self._now_ms)

    def _score_head(self, view: b.TaskView) -> None:
        """Before anything is staked: who cannot score is no verifier, and the first block is compared with this model."""
        spec = view.task.spec
        self._score(spec, load_public(self.store, spec, view.state.head.model))

    def _score_early(self, view: b.TaskView) -> None:
        """While the proposer is at it: there is only one model that it can propose."""
        expected = self._expected(view)
        if expected is not None:
            self._score(view.task.spec, expected.model)

    def _expected(self, view: b.TaskView) -> _Expected | None:
        """What the opened aggregate makes of the round's base; None if nobody can vouch for the aggregate."""
        spec, now = view.task.spec, view.round
        values = self._round(view).verified(view, self._last_call(view)).values
        if values is None:
            return None
        if self._next is None or self._next.values is not values:
            base = load_public(self.store, spec, now.base.model)
            model = candidate.next_model(base, values, now.selection, parameters_of(spec))
            self._next = _Expected(base, values, model)
        return self._next

    def _judge_candidate(self, view: b.TaskView) -> b.Ballot:
        """Recompute the candidate; if it is what the aggregate gives, score it against the base on the own test set.

        Of an aggregate that nobody can vouch for no model is good; it is not its proposer's fault.
        """
        spec, now = view.task.spec, view.round
        ballot = b.Ballot(
            task_id=spec.task_id, round=now.number, seat=self._seat(view), model=now.candidate.model.digest
        )
        expected = self._expected(view)
        if expected is None:
            ballot.reason = b.UNAVAILABLE
            return ballot
        model = self.store.put(learning.to_bytes(expected.model))
        aggregate = self.store.put(candidate.aggregate_bytes(expected.values, now.selection))
        if (model, aggregate) != (now.candidate.model, now.candidate.aggregate):
            ballot.reason = b.WRONG_MODEL
            return ballot
        return self._scored(ballot, spec, expected.model, expected.base)

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

    def _round(self, view: b.TaskView) -> RoundPart:
        """This seat's part in the round under way."""
        number = view.round.number
        if self._playing is None or self._playing[0] != number:
            part = RoundPart(
                spec=view.task.spec,
                ceremony=self._part(view, number),
                store=self.store,
                journal=self.journal.below(f"round-{number}"),
                workers=self.workers,
                position=self.position,
            )
            self._playing = number, part
        return self._playing[1]

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
                seen=self._seen.setdefault((number, attempt), {}),
            ),
            journal=self.journal.below(f"round-{number}/attempt-{attempt}"),
            seat=self._seat(view),
            beacon_key=self.beacon_key,
        )

    def _seat(self, view: b.TaskView) -> int:
        seat = steps.seat_of(view, self.me)
        assert seat is not None, "only a seat takes these steps"
        return seat


KEY_STEPS = {
    Step.KEY_COMMIT: "CommitKey",
    Step.KEY_REVEAL: "RevealKey",
    Step.KEY_TEST: "TestKey",
    Step.KEY_CONFIRM: "ConfirmKey",
    Step.KEY_OPEN: "OpenKey",
    Step.KEY_BLAME: "BlameKey",
}
CLOSED = {b.KEY_READY, b.KEY_FAILED}
SEATED = "seated"


def _nobody(undecided: str, fault: b.Fault) -> list[Finding]:
    """The accusation of seat 0: something is wrong and it cannot be told whose fault it is."""
    return [Finding(0, fault, undecided)] if undecided else []
