"""Who has a place in a round: the queue of a task's miners.

- A join takes the next number of the task. It is the ledger's, so no client's clock and no order within a block decides.
- A round takes the first of the queue, up to the task's places, and of one organisation no more than its share of them: one with many
  identities leaves the other places to others, also where nobody takes them.
- Whoever gave no update in two rounds in a row loses its place: no commit, no reveal, or no artifact to be found. An update that comes a
  round late is one.
- So does whoever was of no use for REPEATED rounds in a row, absent or passed over, and at once who opened no trace.
- Who has lost its place stands behind all who had joined when that round ended. It keeps its stake.
- The end of a round reads the whole queue, and would lose its race to each join meanwhile. So the queue is open only where no
  round can end: before the task starts, and in COMMIT, until the deadline by the clock of every endorser. A miner of the round may
  leave whenever it likes, which it does once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from quorumlearn_proto.block_pb2 import Phase, Round
from quorumlearn_proto.derived import places_of_organisation
from quorumlearn_proto.penalties import REPEATED, costs_standing
from quorumlearn_proto.task_pb2 import Participation, Queue, Task, TaskState, TaskStatus

from .call import Call
from .errors import Code, Refusal
from .tables import MINERS, QUEUES, ROUNDS, STAKES


def line_up(call: Call, miner: Participation, round_number: int) -> None:
    """Give a miner that joins while this round is under way (0: none yet) the next number.

    Of two joins in one block the second conflicts, and is sent again.
    """
    queue = call.ledger.get(QUEUES, miner.task_id) or Queue(task_id=miner.task_id)
    queue.joined += 1
    call.ledger.put(QUEUES, queue, miner.task_id)
    miner.number, miner.waits_since = queue.joined, round_number


def check_open(call: Call, state: TaskState) -> None:
    """Refused unless the queue of a task is open; before the task starts it is."""
    if state.status == TaskStatus.PUBLISHED:
        return
    round_ = call.ledger.get(ROUNDS, state.task_id, state.round)
    if round_ is None:
        raise RuntimeError(f"task {state.task_id} is in round {state.round}, which has no record")
    if round_.phase != Phase.COMMIT or call.is_over(round_.deadline_ms):
        raise Refusal(
            Code.WRONG_PHASE,
            f"the queue of {state.task_id} is open while a round is in COMMIT and its deadline has not passed; "
            f"round {round_.number} is in {Phase.Name(round_.phase)}",
        )


def settle_places(call: Call, round_: Round) -> None:
    """Take the places that the round which ends now costs; reads no number, so that no settlement conflicts with a join by it.

    A round that ends without a key has asked nobody: the next one is compared with the round before it.
    """
    keyless = round_.phase == Phase.KEY
    if round_.number == 1 or not (keyless or _of_no_use(round_)):
        return
    task_id = round_.task_id
    earlier = range(max(1, round_.number - REPEATED + 1), round_.number)
    call.ledger.load(*((ROUNDS, task_id, number) for number in earlier))
    former = call.ledger.among(ROUNDS, task_id, last=earlier)
    absent_before = former[-1].absentees
    if keyless:
        round_.absentees.extend(miner for miner in round_.miners if miner in absent_before)
        return
    lost = {miner for miner in round_.absentees if miner in absent_before}
    if len(former) == REPEATED - 1:
        lost |= _of_no_use(round_).intersection(*map(_of_no_use, former))
    lose_places(call, round_, lost)


def lose_places(call: Call, round_: Round, lost: Collection[str]) -> None:
    """Put these miners behind all who will have joined by the round's end."""
    call.ledger.load(*((MINERS, round_.task_id, miner) for miner in sorted(lost)))
    for name in sorted(lost):
        miner = participation(call, round_.task_id, name)
        miner.waits_since = round_.number + 1
        call.ledger.put(MINERS, miner, round_.task_id, name)


def _of_no_use(round_: Round) -> set[str]:
    """The miners who gave no update, or one that the selection passed over."""
    return {*round_.absentees, *passed_over(round_)}


def eligible_miners(call: Call, task: Task) -> list[str]:
    """The first of the queue, sorted by identity: of those who neither have left nor are leaving, and can still pay a slash."""
    spec = task.spec
    stakes = {stake.account_id: stake.amount for stake in call.ledger.scan(STAKES, spec.task_id)}
    waiting = [
        miner
        for miner in call.ledger.scan(MINERS, spec.task_id)
        if not miner.left and not miner.leaves_after and stakes.get(miner.miner, 0) >= spec.stakes.miner_slash
    ]
    waiting.sort(key=lambda miner: (miner.waits_since, miner.number))
    taken: Counter[str] = Counter()
    chosen = []
    for miner in waiting:
        organisation = miner.miner.partition("/")[0]
        taken[organisation] += 1
        if taken[organisation] <= places_of_organisation(spec):
            chosen.append(miner.miner)
    return sorted(chosen[: spec.max_miners])


def participation(call: Call, task_id: str, miner: str) -> Participation:
    """The record of a miner known to have joined."""
    record = call.ledger.get(MINERS, task_id, miner)
    if record is None:
        raise RuntimeError(f"{miner} is in a round of task {task_id} but never joined")
    return record


def passed_over(round_: Round) -> list[str]:
    """The miners whom the round's selection costs standing."""
    return [verdict.miner for verdict in round_.selection.verdicts if costs_standing(verdict.reason)]
