"""A verifier's seat in the rounds of a task: takes it, screens, decrypts and scores. Its keys are nodes.committee.keyholder's, its votes on
challenged blocks nodes.committee.judge's, each in a thread of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.protocol import ROUND

from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import candidate, metrics, rootset, steps, triggers
from quorumlearn.nodes.committee.attempt import Finding, line
from quorumlearn.nodes.committee.ceremony_part import grace_over, updates_grace_over
from quorumlearn.nodes.committee.keyholder import ceremony_part
from quorumlearn.nodes.committee.lanes import each, gather
from quorumlearn.nodes.committee.partials import Values
from quorumlearn.nodes.committee.round_part import RoundPart
from quorumlearn.nodes.committee.scoring import Scorer
from quorumlearn.nodes.committee.tray import Tray
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.feed import News, no_news
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import CarriedKey, Market, Refused, StepOptions
from quorumlearn.nodes.models import check_playable, load_public
from quorumlearn.nodes.steps import Step

log = structlog.get_logger()

CARRIER_WAITS, MOST_CARRIER_WAITS = 0.1, 10.0
"""The share of a step's time, and the most seconds, that its transaction waits for the step of the next key that it is to take options."""
ELSEWHERE = {*steps.KEY_STEPS, Step.JUDGE}


@dataclass(frozen=True)
class _Expected:
    """The only candidate that a round can have: its base, the opened aggregate (d,), and the next model."""

    base: learning.Model
    values: Values
    model: learning.Model


@dataclass
class Verifier:
    """The role of one identity in one task (see nodes.worker.Role): its rounds only. It moves nothing on."""

    me: str
    msp_id: str
    market: Market
    store: ArtifactStore
    journal: Journal
    scorer: Scorer
    position: Callable[[str], tuple[int, int]]
    workers: ckks.Workers
    tray: Tray = field(default_factory=Tray)
    leaving: bool = False
    may_begin: Callable[[], bool] = lambda: True
    seated: Callable[[b.TaskView], None] = lambda _: None
    clock: Callable[[], float] = time.time
    advance_delay: float | None = None
    next_look: float | None = None
    _playing: tuple[int, RoundPart] | None = None
    _next: _Expected | None = None

    @property
    def _now_ms(self) -> int:
        return int(self.clock() * 1000)

    def finished(self, view: b.TaskView) -> bool:
        over = steps.ended(view)
        if not over:
            self.journal.forget_rounds(view.round.number)
        return over

    def act(self, view: b.TaskView, news: News = no_news) -> bool:
        seat = steps.seat_of(view, self.me)
        if seat is not None and not steps.ended(view):
            if self.journal.get(SEATED) is None:
                self.journal.put(SEATED, b"seated")
            self.seated(view)
            if view.round.phase == b.REVEAL and seat in view.round.seats:
                self._round(view).prepare(view)
        seated = self.journal.get(SEATED) is not None
        open_steps = steps.verifier_steps(view, self.me, self.msp_id, seated=seated, leaving=self.leaving)

        def do(step: Step, number: int) -> bool:
            with metrics.timed(metrics.STEPS, step.value):
                return self._do(step, number, view, news)

        return each([one for one in open_steps if one[0] not in ELSEWHERE], do, view, self.me)

    def wakes(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return triggers.seat_may_act(events)

    def sees_due(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return False

    def _do(self, step: Step, number: int, view: b.TaskView, news: News) -> bool:
        """Whether there was something to do: a check that finds nothing wrong changes nothing on the ledger."""
        task = view.task.spec.task_id

        def send(call: Callable[..., None], *arguments: object) -> None:
            seat = self._seat(view)
            gather(view, number, seat, self.me, news)
            with self._carried(view, seat) as key:
                pending = triggers.others_pending(view, number, self.me, news())
                self._send(partial(call, task, number, *arguments), StepOptions(pending, key))

        if step is Step.TAKE_SEAT:
            if not self.may_begin():
                return False
            check_playable(self.store, view.task.spec, training=rootset.ref_of(view.task.spec) is not None)
            self._score_head(view)
            self.market.join_committee(task)
        elif step is Step.LEAVE_SEAT:
            self.market.leave_committee(task)
        elif step is Step.BEACON:
            send(self.market.reveal_beacon, self._round(view).ceremony.beacon())
        elif step is Step.SCREEN:
            send(
                self.market.post_sketch,
                self._round(view).sketch_shares(
                    view,
                    lambda: triggers.entered(news(), triggers.AFTER_SCREEN),
                    grace_over=updates_grace_over(view.round, _seconds_of(view), self._now_ms),
                ),
            )
        elif step is Step.SELECT:
            last = self._grace_over(view)
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
        elif step is Step.VALIDATE and not self._accuse(view, self._faulty_partials(view)):
            send(self.market.vote_block, self._judge_candidate(view))
            self._next = None
        return True

    def _carried(self, view: b.TaskView, seat: int) -> AbstractContextManager[CarriedKey | None]:
        """The step of the next key that goes options, if there is one; one that is being made is waited for, not for long."""
        due = steps.carried_step(view, seat, self._now_ms) is not None
        seconds = min(CARRIER_WAITS * _seconds_of(view), MOST_CARRIER_WAITS) if due else 0.0
        return self.tray.taken(lambda which: steps.may_be_carried(view, seat, *which), seconds)

    def _send(self, call: Callable[[StepOptions], None], options: StepOptions) -> None:
        """A step of the round, and what goes along with it; alone if the ledger refuses both, so that nothing about the next
        round's key holds up this one."""
        try:
            call(options)
        except Refused as refusal:
            if options.key is None:
                raise
            log.info(
                "sent without its key step",
                identity=self.me,
                step=options.key.function,
                code=refusal.code,
                sentence=refusal.sentence,
            )
            call(StepOptions(options.pending))

    def _faulty_partials(self, view: b.TaskView) -> list[Finding]:
        found = self._round(view).verified(view, self._grace_over(view))
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

    def _grace_over(self, view: b.TaskView) -> bool:
        return grace_over(view.round, _seconds_of(view), self._now_ms)

    def _score_head(self, view: b.TaskView) -> None:
        """Before anything is staked: who cannot score is no verifier, and the first block is compared with this model."""
        spec = view.task.spec
        self.scorer.score(spec, load_public(self.store, spec, view.state.head.model))

    def _score_early(self, view: b.TaskView) -> None:
        """While the proposer is at it: there is only one model that it can propose."""
        expected = self._expected(view)
        if expected is not None:
            self.scorer.score(view.task.spec, expected.model)

    def _expected(self, view: b.TaskView) -> _Expected | None:
        """What the opened aggregate makes of the round's base; None if nobody can vouch for the aggregate."""
        spec, now = view.task.spec, view.round
        values = self._round(view).verified(view, self._grace_over(view)).values
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
        purpose = spec.task_id, now.number
        model = self.store.put(learning.to_bytes(expected.model), purpose)
        aggregate = self.store.put(candidate.aggregate_bytes(expected.values, now.selection), purpose)
        if (model, aggregate) != (now.candidate.model, now.candidate.aggregate):
            ballot.reason = b.WRONG_MODEL
            return ballot
        return self.scorer.fill(ballot, spec, expected.model, expected.base)

    def _round(self, view: b.TaskView) -> RoundPart:
        """This seat's part in the round under way."""
        number = view.round.number
        if self._playing is None or self._playing[0] != number:
            part = RoundPart(
                spec=view.task.spec,
                ceremony=ceremony_part(view, number, self._seat(view), self.store, self.journal, {}),
                store=self.store,
                journal=self.journal.below(f"round-{number}"),
                workers=self.workers,
                position=self.position,
            )
            self._playing = number, part
        return self._playing[1]

    def _seat(self, view: b.TaskView) -> int:
        seat = steps.seat_of(view, self.me)
        assert seat is not None, "only a seat takes these steps"
        return seat


SEATED = "seated"


def _nobody(undecided: str, fault: b.Fault) -> list[Finding]:
    """The accusation of seat 0: something is wrong and it cannot be told whose fault it is."""
    return [Finding(0, fault, undecided)] if undecided else []


def _seconds_of(view: b.TaskView) -> int:
    """How long the round's phase may take."""
    return ROUND[view.round.phase].seconds(view.task.spec.timeouts)
