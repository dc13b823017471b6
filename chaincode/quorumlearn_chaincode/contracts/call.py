"""One transaction as the contract functions see it: the ledger, who submitted it, and when.

Time is the transaction's timestamp, which its client sets; the endorser's own clock only decides whether
to endorse:
- within 60 s of the clock, or the transaction is refused;
- a deadline passes only with a timestamp at most 2 s ahead of the clock, so that nobody ends a phase
  early;
- a new deadline is set only with a timestamp at most 10 s behind it, so that nobody begins a phase in the
  past, which would end it early.

Queries have no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from quorumlearn_proto.block_pb2 import Round, Submission
from quorumlearn_proto.common_pb2 import Config
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.task_pb2 import Task, TaskState

from .errors import Code, Refusal
from .ledger import Ledger, Place
from .tables import STATES, SUBMISSIONS, TASKS

MAX_SKEW_MS = 60_000
MAX_AHEAD_MS = 2_000
MAX_BEHIND_MS = 10_000


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
        if self.clock_ms is not None and self.now_ms > self.clock_ms + MAX_AHEAD_MS:
            raise self._stale(f"more than {MAX_AHEAD_MS // 1000} s ahead, and a deadline would pass by it")
        return True

    def deadline(self, seconds: int) -> int:
        """The deadline of what begins with this transaction."""
        if self.clock_ms is not None and self.now_ms < self.clock_ms - MAX_BEHIND_MS:
            raise self._stale(
                f"more than {MAX_BEHIND_MS // 1000} s behind, and a deadline would count from it"
            )
        return self.now_ms + seconds * 1000

    def check_clock(self) -> None:
        """Refuse a timestamp that is far from the endorser's clock."""
        if self.clock_ms is not None and abs(self.now_ms - self.clock_ms) > MAX_SKEW_MS:
            raise self._stale(f"more than {MAX_SKEW_MS // 1000} s off")

    def task(self, task_id: str) -> Task:
        """The task; refused if there is none."""
        task = self.ledger.get(TASKS, task_id)
        if task is None:
            raise no_such_task(task_id)
        return task

    def state(self, task_id: str) -> TaskState:
        """What changes of the task; refused if there is none."""
        state = self.ledger.get(STATES, task_id)
        if state is None:
            raise no_such_task(task_id)
        return state

    def submissions(self, round_: Round) -> list[Submission]:
        """What the round's miners have submitted, by miner."""
        return self.ledger.among(SUBMISSIONS, round_.task_id, round_.number, last=round_.miners)

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
