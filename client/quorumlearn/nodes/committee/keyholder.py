"""A seat's part in the key ceremonies: makes each step when it is open, and offers it to nodes.committee.sending.

It has a thread of its own, so that what the seat computes for a round holds up no key. The same thread moves the task on when something
is due, for it is never at work for long.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.protocol import CEREMONY
from quorumlearn_proto.recompute import recomputes

from quorumlearn.artifacts import ArtifactMissing, ArtifactStore
from quorumlearn.nodes import metrics, randomness, steps, triggers
from quorumlearn.nodes.committee import blame
from quorumlearn.nodes.committee.attempt import Attempt, Faulty
from quorumlearn.nodes.committee.ceremony_part import CeremonyPart, complaint_of, grace_over
from quorumlearn.nodes.committee.each_open_step import do_each
from quorumlearn.nodes.committee.sending import KeyStepAt, Sender
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.feed import News, no_news
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.steps import KEY_STEPS, Step
from quorumlearn.nodes.work.exactness import profile_of

log = structlog.get_logger()

ADVANCE_DELAY_PER_SEAT = 0.7


@dataclass
class KeyHolder:
    """The role of one identity in one task (see nodes.worker.Role): its keys only."""

    me: str
    msp_id: str
    store: ArtifactStore
    journal: Journal
    sender: Sender
    repeatable: bool = False
    profile_of: Callable[[t.TaskSpec], str] = profile_of
    clock: Callable[[], float] = time.time
    advance_delay: float = 0.0
    next_look: float | None = None
    _contributed: tuple[KeyStepAt, b.KeyContribution] | None = None
    _seen: dict[tuple[int, int], dict[str, bytes]] = field(default_factory=dict)
    _own_profile: str | None = None

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
        return do_each(mine, lambda step, number: self._step(step, number, view, seat, news), view, self.me)

    def wakes(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        """The first seat also closes the steps that miners complete, or seats that act at the same time."""
        if view.state.status != t.RUNNING:
            return self.advance_delay == 0.0 or triggers.seat_may_act(events)
        return triggers.seat_may_act(events) or self.sees_due(view, events)

    def sees_due(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return self.advance_delay == 0.0 and triggers.completed(view, events)

    def _step(self, step: Step, number: int, view: b.TaskView, seat: int, news: News) -> bool:
        """Whether it was sent, and not left to be carried."""
        ceremony = steps.ceremony_of(view, number)
        again = self.sender.offer(
            view, news, step, ceremony, lambda: self._contribution(step, ceremony, view, seat)
        )
        if again is not None:
            self.next_look = min(again, self.next_look or math.inf)
        return again is None

    def _contribution(
        self, step: Step, ceremony: b.Ceremony, view: b.TaskView, seat: int
    ) -> b.KeyContribution:
        """What this seat has to say in a ceremony's step, made once if it may wait; a complaint where another's part cannot be used."""
        which = step, ceremony.round, ceremony.attempt
        if self._contributed is not None and self._contributed[0] == which:
            return self._contributed[1]
        part = self._part(view, ceremony, seat)
        giving_up = grace_over(ceremony, steps.seconds_of(view, ceremony), self._now_ms)
        try:
            with metrics.timed(metrics.STEPS, step.value):
                made = self._key_contribution(step, part, ceremony, giving_up)
        except Faulty as fault:
            if fault.withheld is not None and not giving_up:
                raise
            log.warning(
                "complains", task=part.attempt.task, round=ceremony.round, identity=self.me, why=str(fault)
            )
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
        if step is not Step.KEY_BLAME:
            raise NotImplementedError(f"no seat knows how to {step.value}")
        if not giving_up and (absent := blame.absent(part.attempt)):
            raise ArtifactMissing(f"{len(absent)} artifacts of a failed ceremony are not in the store (yet)")
        return b.KeyContribution(blame=blame.vote(blame.judge(part.attempt)))

    def _remember(self, view: b.TaskView, seat: int) -> None:
        """Which attempts became rounds' keys must outlive a restart. What was read in ceremonies that are over is let go."""
        for ceremony in view.ceremonies:
            if ceremony.step == b.KEY_READY and steps.contribution(view, ceremony.round, seat) is not None:
                self._part(view, ceremony, seat).note_ready()
        under_way = {(one.round, one.attempt) for one in view.ceremonies if one.step in CEREMONY}
        self._seen = {which: seen for which, seen in self._seen.items() if which in under_way}

    def _part(self, view: b.TaskView, ceremony: b.Ceremony, seat: int) -> CeremonyPart:
        seen = self._seen.setdefault((ceremony.round, ceremony.attempt), {})
        spec, repeatable = view.task.spec, self.repeatable
        part = ceremony_part(view, ceremony, seat, self.store, self.journal, seen)
        return replace(
            part,
            public_beacon=randomness.public_beacon(spec, ceremony.round, self.me, repeatable=repeatable),
            public_start=randomness.public_start(spec, ceremony.round, self.me, repeatable=repeatable),
            profile=self._profile(spec),
        )

    def _profile(self, spec: t.TaskSpec) -> str:
        """Of this process, where float32 is replayed: found out once."""
        if spec.recompute.exactness != t.PROFILE:
            return ""
        if self._own_profile is None:
            self._own_profile = self.profile_of(spec)
        return self._own_profile


def ceremony_part(
    view: b.TaskView,
    ceremony: b.Ceremony,
    seat: int,
    store: ArtifactStore,
    journal: Journal,
    seen: dict[str, bytes],
) -> CeremonyPart:
    """A seat's part in the current attempt of a ceremony; `journal` is the task's, `seen` what was read in the attempt."""
    spec, number, attempt = view.task.spec, ceremony.round, ceremony.attempt
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
        starts=recomputes(spec),
    )
