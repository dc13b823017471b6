"""A seat's part in the key ceremonies: makes each step when it is open, and has it carried by the seat's next step in the round.

It has a thread of its own, so that what the seat computes for a round holds up no key. A step waits for the round's next transaction
while `steps.to_be_carried` says that there is time, and then leaves alone. The same thread moves the task on when something is due, for it
is never at work for long.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.protocol import CEREMONY

from quorumlearn.artifacts import ArtifactMissing, ArtifactStore
from quorumlearn.nodes import metrics, randomness, steps, triggers
from quorumlearn.nodes.committee import blame
from quorumlearn.nodes.committee.attempt import Attempt, Faulty
from quorumlearn.nodes.committee.ceremony_part import CeremonyPart, complaint_of, grace_ends_ms, grace_over
from quorumlearn.nodes.committee.lanes import WAITS_FOR_OTHERS, each, gather
from quorumlearn.nodes.committee.tray import Tray, Which
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.feed import News, no_news
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import CarriedKey, Market
from quorumlearn.nodes.steps import KEY_STEPS, Step

log = structlog.get_logger()

ADVANCE_DELAY_PER_SEAT = 0.7


@dataclass
class KeyHolder:
    """The role of one identity in one task (see nodes.worker.Role): its keys only."""

    me: str
    msp_id: str
    market: Market
    store: ArtifactStore
    journal: Journal
    tray: Tray
    repeatable: bool = False
    clock: Callable[[], float] = time.time
    advance_delay: float = 0.0
    next_look: float | None = None
    _contributed: tuple[Which, b.KeyContribution] | None = None
    _seen: dict[tuple[int, int], dict[str, bytes]] = field(default_factory=dict)

    @property
    def _now_ms(self) -> int:
        return int(self.clock() * 1000)

    def finished(self, view: b.TaskView) -> bool:
        return steps.ended(view)

    def act(self, view: b.TaskView, news: News = no_news) -> bool:
        self.next_look = None
        seat = steps.seat_of(view, self.me)
        if seat is None:
            return False
        self.advance_delay = ADVANCE_DELAY_PER_SEAT * (seat - 1)
        self._remember(view, seat)
        open_steps = steps.verifier_steps(view, self.me, self.msp_id)
        mine = [one for one in open_steps if one[0] in KEY_STEPS]
        return each(mine, lambda step, number: self._step(step, number, view, seat, news), view, self.me)

    def wakes(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        """The first seat also closes the steps that miners complete, or seats that act at the same time."""
        if view.state.status != t.RUNNING:
            return self.advance_delay == 0.0 or triggers.seat_may_act(events)
        return triggers.seat_may_act(events) or self.sees_due(view, events)

    def sees_due(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return self.advance_delay == 0.0 and triggers.completed(view, events)

    def _step(self, step: Step, number: int, view: b.TaskView, seat: int, news: News) -> bool:
        """Make it, and send it unless it waits to be carried."""
        ceremony = steps.ceremony_of(view, number)
        which = step, number, ceremony.attempt
        try:
            contribution = self._contribution(which, view, seat)
        except WAITS_FOR_OTHERS:
            self.tray.put(which, None)
            raise
        if steps.to_be_carried(view, seat, step, number, self._now_ms):
            self.tray.put(which, CarriedKey(KEY_STEPS[step].function, ceremony.attempt, contribution))
            self._look(steps.carried_until_ms(view, number))
            return False
        if not self.tray.withdraw(which) and not self._grace_over(view, number):
            self._look(grace_ends_ms(ceremony, _seconds_of(view, ceremony)))
            return False
        gather(view, number, seat, self.me, news)
        pending = triggers.others_pending(view, number, self.me, news())
        place = (view.task.spec.task_id, number, ceremony.attempt)
        self.market.key_step(KEY_STEPS[step].function, place, contribution, pending)
        return True

    def _look(self, at_ms: int) -> None:
        self.next_look = min(at_ms / 1000, self.next_look or math.inf)

    def _contribution(self, which: Which, view: b.TaskView, seat: int) -> b.KeyContribution:
        """What this seat has to say in a ceremony's step, made once if it may wait; a complaint where another's part cannot be used."""
        if self._contributed is not None and self._contributed[0] == which:
            return self._contributed[1]
        step, number, _ = which
        part = self._part(view, number, seat)
        giving_up = self._grace_over(view, number)
        try:
            with metrics.timed(metrics.STEPS, step.value):
                made = self._key_contribution(step, part, steps.ceremony_of(view, number), giving_up)
        except Faulty as fault:
            if fault.withheld is not None and not giving_up:
                raise
            log.warning("complains", task=part.attempt.task, round=number, identity=self.me, why=str(fault))
            made = complaint_of(fault)
        if KEY_STEPS[step].carried:
            self._contributed = which, made
        return made

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
        """Which attempts became rounds' keys must outlive a restart. What was read in ceremonies that are over is let go."""
        for ceremony in view.ceremonies:
            if ceremony.step == b.KEY_READY and steps.contribution(view, ceremony.round, seat) is not None:
                self._part(view, ceremony.round, seat).note_ready()
        under_way = {(one.round, one.attempt) for one in view.ceremonies if one.step in CEREMONY}
        self._seen = {which: seen for which, seen in self._seen.items() if which in under_way}

    def _grace_over(self, view: b.TaskView, number: int) -> bool:
        ceremony = steps.ceremony_of(view, number)
        return grace_over(ceremony, _seconds_of(view, ceremony), self._now_ms)

    def _part(self, view: b.TaskView, number: int, seat: int) -> CeremonyPart:
        attempt = steps.ceremony_of(view, number).attempt
        seen = self._seen.setdefault((number, attempt), {})
        public = randomness.public_beacon(view.task.spec, number, self.me, repeatable=self.repeatable)
        return ceremony_part(view, number, seat, self.store, self.journal, seen, public)


def _seconds_of(view: b.TaskView, ceremony: b.Ceremony) -> int:
    """How long the ceremony's step may take."""
    return CEREMONY[ceremony.step].seconds(view.task.spec.timeouts)


def ceremony_part(
    view: b.TaskView,
    number: int,
    seat: int,
    store: ArtifactStore,
    journal: Journal,
    seen: dict[str, bytes],
    public_beacon: bytes | None = None,
) -> CeremonyPart:
    """A seat's part in the current attempt at a round's key; `journal` is the task's, `seen` what was read in the attempt."""
    spec = view.task.spec
    attempt = steps.ceremony_of(view, number).attempt
    return CeremonyPart(
        attempt=Attempt(
            parameters=parameters_of(spec),
            store=store,
            task=spec.task_id,
            number=number,
            attempt=attempt,
            parts=steps.contributions(view, number),
            seen=seen,
        ),
        journal=journal.below(f"round-{number}/attempt-{attempt}"),
        seat=seat,
        public_beacon=public_beacon,
    )
