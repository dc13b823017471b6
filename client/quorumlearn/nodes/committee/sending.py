"""How the steps of a seat leave it: in which transaction, when, and whether that transaction closes the step.

The threads of a seat say only what they have made (verifier: its rounds, keyholder: its keys). Rules:
- The first seat leaves the others a moment to act before it does, so that its own transaction closes the step.
- A transaction is `pending` while another seat has yet to act, as far as events tell: it does not look whether it closes the step.
- A step of the next round's key waits for the seat's next step in the round and goes with it, as long as `to_be_carried` says so.
  Then it goes alone.
- A step of the round takes the key step that waits at the moment at which it leaves. It waits for one that is being made, not for long.
- If a transaction with a key step is under way, this key step goes alone only once the grace of its time is over.
- If the ledger refuses both together, the step of the round is sent again without the key step.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVarTuple

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.protocol import CEREMONY, ROUND

from quorumlearn.nodes import steps, triggers
from quorumlearn.nodes.committee.ceremony_part import grace_ends_ms, grace_over
from quorumlearn.nodes.feed import News
from quorumlearn.nodes.market import CarriedKey, Market, Refused, StepOptions
from quorumlearn.nodes.steps import KEY_STEPS, Step

log = structlog.get_logger()

FIRST_SEAT = 1
GATHER_SECONDS = 0.3
"""The first seat leaves the others so long to act in a step before it does."""
CARRIER_WAITS, MOST_CARRIER_WAITS = 0.1, 10.0
"""The share of a step's time, and the most seconds, that its transaction waits for the key step that it is to carry."""

KeyStepAt = tuple[Step, int, int]
"""A step of a ceremony: what it is, its round and its attempt."""
Arguments = TypeVarTuple("Arguments")


class Sender:
    """One seat's in one task; the threads of the seat share it."""

    def __init__(
        self,
        me: str,
        market: Market,
        clock: Callable[[], float] = time.time,
        gather_seconds: float = GATHER_SECONDS,
    ) -> None:
        self._me = me
        self._market = market
        self._clock = clock
        self._gather_seconds = gather_seconds
        self._changed = threading.Condition()
        self._waiting: tuple[KeyStepAt, CarriedKey | None] | None = None
        self._under_way: KeyStepAt | None = None

    def send(
        self,
        view: b.TaskView,
        news: News,
        call: Callable[[str, int, *Arguments, StepOptions], None],
        *arguments: *Arguments,
    ) -> None:
        """Send a step of the round under way: `call` is the market's, and these are its arguments after task and round.

        It raises what the call raises, Refused only for the step of the round itself.
        """
        task, number, seat = view.task.spec.task_id, view.round.number, self._seat(view)
        self._gather(view, number, seat, news)
        with self._carried(view, seat) as key:
            pending = triggers.others_pending(view, number, self._me, news())
            try:
                call(task, number, *arguments, StepOptions(pending, key))
            except Refused as refusal:
                if key is None:
                    raise
                log.info(
                    "sent without its key step",
                    identity=self._me,
                    step=key.function,
                    code=refusal.code,
                    sentence=refusal.sentence,
                )
                call(task, number, *arguments, StepOptions(pending))

    def offer(
        self,
        view: b.TaskView,
        news: News,
        step: Step,
        ceremony: b.Ceremony,
        make: Callable[[], b.KeyContribution],
    ) -> float | None:
        """Make an open step of a ceremony, and send it or leave it to be carried.

        Returns None once it has been sent alone, and otherwise when to offer it again, in seconds since 1970. It raises what `make` and
        the market raise; no step of the round waits for what cannot be made.
        """
        number, attempt, seat = ceremony.round, ceremony.attempt, self._seat(view)
        which = step, number, attempt
        try:
            contribution = make()
        except Exception:
            self._put(which, None)
            raise
        now_ms, seconds = self._now_ms, steps.seconds_of(view, ceremony)
        if to_be_carried(view, seat, step, ceremony, now_ms):
            self._put(which, CarriedKey(KEY_STEPS[step].function, attempt, contribution))
            return carried_until_ms(ceremony, seconds) / 1000
        if not self._withdraw(which) and not grace_over(ceremony, seconds, now_ms):
            return grace_ends_ms(ceremony, seconds) / 1000
        self._gather(view, number, seat, news)
        pending = triggers.others_pending(view, number, self._me, news())
        place = (view.task.spec.task_id, number, attempt)
        self._market.key_step(KEY_STEPS[step].function, place, contribution, pending)
        return None

    @property
    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _seat(self, view: b.TaskView) -> int:
        seat = steps.seat_of(view, self._me)
        assert seat is not None, "only a seat sends steps"
        return seat

    def _gather(self, view: b.TaskView, number: int, seat: int, news: News) -> None:
        """The first seat waits for what others have yet to do in this round, or in this ceremony."""

        def over(events: Sequence[LedgerEvent]) -> bool:
            return triggers.moved(events) or not triggers.others_pending(view, number, self._me, events)

        if seat == FIRST_SEAT:
            news.wait(self._gather_seconds, over)

    def _put(self, which: KeyStepAt, key: CarriedKey | None) -> None:
        """What waits from now on; None: nothing waits for this step, which cannot be made yet or goes alone."""
        with self._changed:
            if which != self._under_way:
                self._waiting = which, key
                self._changed.notify_all()

    def _withdraw(self, which: KeyStepAt) -> bool:
        """Have this step go alone; False if a transaction that carries it is under way."""
        self._put(which, None)
        with self._changed:
            return which != self._under_way

    @contextlib.contextmanager
    def _carried(self, view: b.TaskView, seat: int) -> Iterator[CarriedKey | None]:
        """The key step that a step of the round takes along, under way until the block ends; None if there is none in time."""
        seconds = 0.0
        if is_to_carry(view, seat, self._now_ms):
            seconds = min(CARRIER_WAITS * steps.seconds_of(view, view.round), MOST_CARRIER_WAITS)

        def there() -> bool:
            return self._waiting is not None and may_be_carried(view, seat, *self._waiting[0])

        key: CarriedKey | None = None
        with self._changed:
            if self._changed.wait_for(there, seconds) and self._waiting is not None:
                which, key = self._waiting
                if key is not None:
                    self._waiting, self._under_way = None, which
        try:
            yield key
        finally:
            if key is not None:
                with self._changed:
                    self._under_way = None


def to_be_carried(view: b.TaskView, seat: int, step: Step, ceremony: b.Ceremony, now_ms: int) -> bool:
    """Whether this step of a ceremony is to be sent with the seat's next step in the round under way, and not alone: while
    the round has as many steps left for the seat as the ceremony has, and half of the step's time has not passed.
    """
    now, key = view.round, KEY_STEPS.get(step)
    if key is None or not key.carried or ceremony.round != now.number + 1 or seat not in now.seats:
        return False
    first = now.phase if steps.round_step(view, seat) not in (None, Step.SHOW) else now.phase + 1
    carriers = [phase for phase, one in ROUND.items() if one.carries and phase >= first]
    left = [one for one in CEREMONY.values() if one.carried and one.at >= key.at]
    if now.phase == b.KEY or len(carriers) < len(left):
        return False
    return now_ms < carried_until_ms(ceremony, steps.seconds_of(view, ceremony))


def carried_until_ms(ceremony: b.Ceremony, step_seconds: int) -> int:
    """When half of the time of the ceremony's step has passed, in milliseconds since 1970: what is not on its way then goes alone."""
    return ceremony.deadline_ms - step_seconds * 500


def is_to_carry(view: b.TaskView, seat: int, now_ms: int) -> bool:
    """Whether the seat's step in the round is to carry a step of the next round's key that is open to the seat."""
    for ceremony in view.ceremonies:
        step = steps.key_step(view, ceremony, seat)
        if step is not None and to_be_carried(view, seat, step, ceremony, now_ms):
            return True
    return False


def may_be_carried(view: b.TaskView, seat: int, step: Step, number: int, attempt: int) -> bool:
    """Whether a step of the next round's key can still be open, by a view that may be older than the step."""
    if number != view.round.number + 1:
        return False
    seen = max((one.attempt for one in view.ceremonies if one.round == number), default=0)
    part = steps.contribution(view, number, seat)
    return attempt > seen or (attempt == seen and not KEY_STEPS[step].done(part))
