"""One transaction as the contract functions see it: the ledger, who submitted it, and when.

Time is the transaction's timestamp, which its client sets; the endorser's own clock only decides whether
to endorse. How exact clocks are is the Config's `clock_slack_ms`, 2 s unless a network says otherwise:
- within 30 times the slack of the clock, or the transaction is refused;
- a deadline passes only with a timestamp at most the slack ahead of the clock, so that nobody ends a phase
  early;
- a new deadline is set only with a timestamp at most 5 times the slack behind it, so that nobody begins a
  phase in the past, which would end it early.

So a phase can be cut short by 6 times the slack, and no task has one that is not longer (contracts.specification).

Queries have no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from quorumlearn_proto.block_pb2 import Round, Submission
from quorumlearn_proto.common_pb2 import Config
from quorumlearn_proto.derived import spec_digest
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.task_pb2 import Task, TaskState

from .errors import Code, Refusal
from .ledger import Ledger, Place
from .tables import STATES, SUBMISSIONS, TASKS

AHEAD, BEHIND, SKEW = 1, 5, 30
"""How far a timestamp may be off for each purpose, in slacks."""


def shortened_ms(config: Config) -> int:
    """By how much the clocks of those who begin and end it can cut a phase short."""
    return (AHEAD + BEHIND) * config.clock_slack_ms


@dataclass(frozen=True)
class Call:
    """`clock_ms` is the endorser's, None in a query. `event` is filled in as the transaction goes. `pending`: the
    submitter says that others have yet to act in this step.
    """

    ledger: Ledger
    config: Config
    actor: str
    msp_id: str
    roles: frozenset[str]
    transaction_id: str
    now_ms: int
    clock_ms: int | None
    event: LedgerEvent
    pending: bool = False

    @property
    def function(self) -> str:
        """What is called, with its contract."""
        return self.event.kind

    def passed(self, deadline_ms: int) -> bool:
        """Whether a deadline has passed."""
        if self.now_ms < deadline_ms:
            return False
        if self.clock_ms is not None and self.now_ms > self.clock_ms + self._slacks_ms(AHEAD):
            raise self._stale(
                f"more than {self._slacks_ms(AHEAD) / 1000:g} s ahead, and a deadline would pass by it"
            )
        return True

    def is_over(self, deadline_ms: int) -> bool:
        """Whether it is too late for what a deadline ends, by the timestamp or by the endorser's clock."""
        return self.now_ms >= deadline_ms or (self.clock_ms is not None and self.clock_ms >= deadline_ms)

    def deadline(self, seconds: int) -> int:
        """The deadline of what begins with this transaction."""
        if self.clock_ms is not None and self.now_ms < self.clock_ms - self._slacks_ms(BEHIND):
            raise self._stale(
                f"more than {self._slacks_ms(BEHIND) / 1000:g} s behind, and a deadline would count from it"
            )
        return self.now_ms + seconds * 1000

    def check_clock(self) -> None:
        """Refuse a timestamp that is far from the endorser's clock."""
        if self.clock_ms is not None and abs(self.now_ms - self.clock_ms) > self._slacks_ms(SKEW):
            raise self._stale(f"more than {self._slacks_ms(SKEW) / 1000:g} s off")

    def task(self, task_id: str) -> Task:
        """The task; refused if there is none."""
        task = self.ledger.get(TASKS, task_id)
        if task is None:
            raise no_such_task(task_id)
        return task

    def check_specification(self, task_id: str) -> None:
        """Refuse whatever is asked of a task that is not, by its digest in the state, the one that was published.

        A task that never was is for the function to refuse.
        """
        task, state = self.ledger.get(TASKS, task_id), self.ledger.get(STATES, task_id)
        if state is not None and (task is None or spec_digest(task.spec) != state.spec_digest):
            raise Refusal(
                Code.TASK_ALTERED,
                f"task {task_id} was published with a specification of digest {state.spec_digest}, and its record "
                + ("is gone" if task is None else f"has one of digest {spec_digest(task.spec)}")
                + ": nothing is done by another",
            )

    def state(self, task_id: str) -> TaskState:
        """What changes of the task; refused if there is none."""
        state = self.ledger.get(STATES, task_id)
        if state is None:
            raise no_such_task(task_id)
        return state

    def submissions(self, round_: Round) -> list[Submission]:
        """What the round's miners have submitted, by miner."""
        return self.ledger.among(SUBMISSIONS, round_.task_id, round_.number, last=round_.miners)

    def _slacks_ms(self, count: int) -> int:
        return count * self.config.clock_slack_ms

    def _stale(self, how: str) -> Refusal:
        return Refusal(
            Code.STALE_TIMESTAMP,
            f"the timestamp {self.now_ms} is {how}, by this endorser's clock: set the clock, send anew",
        )


def submission_places(round_: Round) -> list[Place]:
    """Where the round's miners submit."""
    return [(SUBMISSIONS, round_.task_id, round_.number, miner) for miner in round_.miners]


def no_such_task(task_id: str) -> Refusal:
    return Refusal(Code.NO_SUCH_TASK, f"there is no task {task_id}")
