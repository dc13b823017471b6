"""A verifier's seat in the rounds of a task: takes it, screens, decrypts, accuses and votes. Its keys are nodes.committee.keyholder's, its
votes on challenged blocks nodes.committee.judge's, each in a thread of its own. How a step leaves it is nodes.committee.sending's.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.recompute import replays
from quorumlearn_proto.task_pb2 import Task

from quorumlearn import ckks, robust
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import metrics, rootset, steps, triggers
from quorumlearn.nodes.committee.attempt import Finding, line
from quorumlearn.nodes.committee.ceremony_part import grace_ends_ms, grace_over, updates_grace_over
from quorumlearn.nodes.committee.each_open_step import do_each
from quorumlearn.nodes.committee.keyholder import ceremony_part
from quorumlearn.nodes.committee.openings import Opened
from quorumlearn.nodes.committee.partials import Verified
from quorumlearn.nodes.committee.replaying import Confirmed, Replaying
from quorumlearn.nodes.committee.round_part import RoundPart
from quorumlearn.nodes.committee.sending import GATHER_SECONDS, Sender
from quorumlearn.nodes.committee.showing import Showing
from quorumlearn.nodes.committee.validation import Validator
from quorumlearn.nodes.feed import News, no_news
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.models import check_playable
from quorumlearn.nodes.public_steps import Chain
from quorumlearn.nodes.screening import Overtaken
from quorumlearn.nodes.steps import Step
from quorumlearn.nodes.training import Workshop
from quorumlearn.nodes.work.tracing import Reader

log = structlog.get_logger()

ELSEWHERE = {*steps.KEY_STEPS, Step.JUDGE}


@dataclass
class Verifier:
    """The role of one identity in one task (see nodes.worker.Role): its rounds only. It moves nothing on."""

    me: str
    msp_id: str
    market: Market
    store: ArtifactStore
    journal: Journal
    sender: Sender
    validator: Validator
    position: Callable[[str], tuple[int, int]]
    workers: ckks.Workers
    workshop: Workshop
    reader: Callable[[Callable[[], bytes]], Reader]
    leaving: bool = False
    may_begin: Callable[[], bool] = lambda: True
    seated: Callable[[b.TaskView], None] = lambda _: None
    accepts: Callable[[Task], bool] = lambda _: True
    clock: Callable[[], float] = time.time
    advance_delay: float | None = None
    next_look: float | None = None
    _playing: tuple[int, RoundPart] | None = None
    _chain: Chain | None = None
    _rule_lacks: str | None = None

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
            self._replay_ahead(view, seat, news)
        voted = seat is not None and view.round.phase == b.VALIDATE and steps.ballot(view, seat) is not None
        self.next_look = steps.ballots_wait_until_ms(view) / 1000 if voted else self._next_replays(view, seat)
        seated = self.journal.get(SEATED) is not None
        leaving = self.leaving or (seat is not None and not self._has_rule(view))
        open_steps = steps.verifier_steps(view, self.me, self.msp_id, seated=seated, leaving=leaving)

        def do(step: Step, number: int) -> bool:
            with metrics.timed(metrics.STEPS, step.value):
                return self._do(step, view, news)

        return do_each([one for one in open_steps if one[0] not in ELSEWHERE], do, view, self.me)

    def _replay_ahead(self, view: b.TaskView, seat: int, news: News) -> None:
        """Once this seat has reported, and others are silent while REPLAY is nearly over."""
        if self._waits_for_reports(view, seat) and self._grace_over(view):
            with contextlib.suppress(Overtaken):
                self._replaying(view).ahead(view, lambda: triggers.entered(news(), triggers.AFTER_REPLAY))

    def _next_replays(self, view: b.TaskView, seat: int | None) -> float | None:
        """When it looks whether others are still silent, in seconds since 1970."""
        if seat is None or not self._waits_for_reports(view, seat) or self._grace_over(view):
            return None
        return grace_ends_ms(view.round, steps.seconds_of(view, view.round)) / 1000

    def _waits_for_reports(self, view: b.TaskView, seat: int) -> bool:
        now = view.round
        return now.phase == b.REPLAY and seat in now.seats and steps.round_step(view, seat) is None

    def wakes(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return triggers.seat_may_act(events) or triggers.all_voted(view, events)

    def sees_due(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return False

    def _do(self, step: Step, view: b.TaskView, news: News) -> bool:
        """Whether there was something to do: a check that finds nothing wrong changes nothing on the ledger."""
        task, market = view.task.spec.task_id, self.market
        if step is Step.TAKE_SEAT:
            if not (self.may_begin() and self.accepts(view.task)):
                return False
            check_playable(self.store, view.task.spec, training=rootset.ref_of(view.task.spec) is not None)
            self.validator.score_head(view)
            market.join_committee(task)
        elif step is Step.LEAVE_SEAT:
            market.leave_committee(task)
        elif step is Step.BEACON:
            self.sender.send(view, news, market.reveal_beacon, self._round(view).ceremony.beacon())
        elif step is Step.REPLAY:
            report = self._replaying(view).report(
                view,
                lambda: triggers.entered(news(), triggers.AFTER_REPLAY),
                early=not updates_grace_over(view.round, steps.seconds_of(view, view.round), self._now_ms),
                last=self._grace_over(view),
            )
            self.sender.send(view, news, market.post_replay, report)
        elif step is Step.SCREEN:
            if replays(view.task.spec):
                self._replaying(view).show()
            shares = self._round(view).sketch_shares(
                view,
                lambda: triggers.entered(news(), triggers.AFTER_SCREEN),
                grace_over=updates_grace_over(view.round, steps.seconds_of(view, view.round), self._now_ms),
            )
            self.sender.send(view, news, market.post_sketch, shares)
        elif step is Step.SELECT:
            last, part = self._grace_over(view), self._round(view)
            if self._accuse(view, part.opened(view, last), b.BAD_SKETCH_SHARES):
                return True
            if not replays(view.task.spec):
                self.sender.send(view, news, market.vote_selection, *part.vote(view, last))
                return True
            replaying = self._replaying(view)
            if self._accuse(view, replaying.contradicted(view, last=last), b.FALSE_REPLAY):
                return True
            confirmed = replaying.confirmed(
                view, lambda: triggers.entered(news(), triggers.AFTER_SELECT), last=last
            )
            if not self._accuse(view, confirmed, b.FALSE_REPLAY):
                vote = part.vote(view, last, confirmed.unsound)
                self.sender.send(view, news, market.vote_selection, *vote)
        elif step is Step.OPEN:
            unfounded = Opened({}, self._round(view).unfounded(view))
            if not self._accuse(view, unfounded, b.UNFOUNDED_VOTE):
                self.sender.send(view, news, market.post_partial, *self._round(view).partial(view))
        elif step is Step.CHECK:
            verified = self._verified(view)
            if not self._accuse(view, verified, b.BAD_PARTIAL):
                self.validator.score_early(view, verified.values)
                return False
        elif step is Step.VALIDATE:
            verified = self._verified(view)
            if not self._accuse(view, verified, b.BAD_PARTIAL):
                showing = self._showing(view)
                fixed = showing.fixed(view)
                if fixed is None:
                    ballot = self.validator.ballot(view, self._seat(view), verified.values)
                    fixed = showing.fix(view, ballot)
                self.sender.send(view, news, market.vote_block, fixed)
                self.validator.forget()
                news.wait(GATHER_SECONDS, partial(triggers.all_voted, view))
                if triggers.all_voted(view, news()):
                    showing.show(view, news)
        elif step is Step.SHOW:
            self._showing(view).show(view, news)
        else:
            raise NotImplementedError(f"no verifier knows how to {step.value}")
        return True

    def _has_rule(self, view: b.TaskView) -> bool:
        """Whether the task's rule, if a package brings it, can be had. Without one that was removed or replaced since the seat was taken
        it would miss round after round, and be slashed: so it leaves, and says why."""
        if self._rule_lacks is None:
            self._rule_lacks = ""
            try:
                if robust.of_package(view.task.spec.rule.parameters):
                    rootset.check_rule(view.task.spec)
            except robust.RuleError as error:
                self._rule_lacks = str(error)
                log.error(
                    "leaves its seat", task=view.task.spec.task_id, identity=self.me, why=self._rule_lacks
                )
        return not self._rule_lacks

    def _verified(self, view: b.TaskView) -> Verified:
        return self._round(view).verified(view, self._grace_over(view))

    def _accuse(self, view: b.TaskView, found: Opened | Verified | Confirmed, fault: b.Fault) -> bool:
        """Accuse a seat, or nobody, of what is found and this seat has not said; False if there is nothing left to say."""
        accused = unsaid(view, self._seat(view), found, fault)
        if accused is None:
            return False
        task, number = view.task.spec.task_id, view.round.number
        log.warning("accuses", task=task, round=number, identity=self.me, seat=accused.seat, why=accused.why)
        accusation = b.Accusation(seat=accused.seat, fault=accused.fault, detail=line(accused.why))
        self.market.accuse(task, number, accusation)
        return True

    def _grace_over(self, view: b.TaskView) -> bool:
        return grace_over(view.round, steps.seconds_of(view, view.round), self._now_ms)

    def _showing(self, view: b.TaskView) -> Showing:
        return Showing(self.me, self.market, self.store, self._round(view).journal)

    def _round(self, view: b.TaskView) -> RoundPart:
        """This seat's part in the round under way."""
        task, number = view.task.spec.task_id, view.round.number
        if self._playing is None or self._playing[0] != number:
            ceremony = ceremony_part(
                view, steps.ceremony_of(view, number), self._seat(view), self.store, self.journal, {}
            )
            journal = self.journal.below(f"round-{number}")
            part = RoundPart(
                spec=view.task.spec,
                ceremony=ceremony,
                store=self.store,
                journal=journal,
                workers=self.workers,
                position=self.position,
                chain=self._chain_of(task),
            )
            if replays(view.task.spec):
                part.replaying = Replaying(
                    me=self.me,
                    spec=view.task.spec,
                    ceremony=ceremony,
                    store=self.store,
                    journal=journal,
                    reader=self.reader(ceremony.sealing_key),
                    workshop=self.workshop,
                )
            self._playing = number, part
        return self._playing[1]

    def _replaying(self, view: b.TaskView) -> Replaying:
        """This seat's replays in the round under way."""
        found = self._round(view).replaying
        assert found is not None, "only a task that is replayed has these steps"
        return found

    def _chain_of(self, task: str) -> Chain:
        if self._chain is None:
            self._chain = Chain(lambda height: self.market.block(task, height))
        return self._chain

    def _seat(self, view: b.TaskView) -> int:
        seat = steps.seat_of(view, self.me)
        assert seat is not None, "only a seat takes these steps"
        return seat


SEATED = "seated"


def unsaid(
    view: b.TaskView, seat: int, found: Opened | Verified | Confirmed, fault: b.Fault
) -> Finding | None:
    """The first finding about another seat of the round that this seat has not accused it of; None if there is none left.

    Seat 0 is nobody: something is wrong, with this fault, and it cannot be told whose fault it is.
    """
    nobodys = [Finding(0, fault, found.undecided)] if found.undecided else []
    said = {(one.seat, one.fault) for one in view.accusations if one.accuser == seat}
    others = {0, *view.round.seats} - {seat}
    left = (one for one in (*found.false, *nobodys) if one.seat in others)
    return next((one for one in left if (one.seat, one.fault) not in said), None)
