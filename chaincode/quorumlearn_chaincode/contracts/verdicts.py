"""What a round's verdicts cost its miners (the table is quorumlearn_proto.penalties).

- A slash for what anybody can compute again: a malformed update, work that a replay does not give, or a reveal withheld
  in two rounds in a row.
- Standing for what statistics or sealed shares say: as much of the work that counts in the proposers' lottery as a round adds,
  and after REPEATED such rounds in a row the place among the miners (`miners_queue`). Its stake is untouched.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorumlearn_proto.block_pb2 import Phase, Round, Submission, Verdict
from quorumlearn_proto.penalties import costs_stake
from quorumlearn_proto.protocol import ROUND
from quorumlearn_proto.recompute import most_steps, recomputes
from quorumlearn_proto.task_pb2 import TaskSpec

from .call import Call
from .miners_queue import participation, passed_over
from .tables import MINERS, ROUNDS, SUBMISSIONS


def slashed_by(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """The miners whom a selection costs a slash."""
    return tuple(verdict.miner for verdict in verdicts if costs_stake(verdict.reason))


def withheld_again(call: Call, round_: Round, withheld: Sequence[str]) -> tuple[str, ...]:
    """Those of these miners who have withheld their reveal in the round before too, where the time for it was over."""
    before, step = (round_.task_id, round_.number - 1), ROUND[Phase.REVEAL]
    former = call.ledger.get(ROUNDS, *before) if withheld else None
    absent = former.absentees if former is not None else ()
    committed = call.ledger.among(SUBMISSIONS, *before, last=[one for one in withheld if one in absent])
    return tuple(entry.miner for entry in committed if not step.done(entry))


def work_of_round(spec: TaskSpec) -> int:
    """The most that a round adds to a miner's work, and what it takes where it costs standing."""
    return most_steps(spec) if recomputes(spec) else 1


def work_done(spec: TaskSpec, submission: Submission) -> int:
    """What an accepted block adds to the work of a miner who is paid for it."""
    return submission.manifest.steps if recomputes(spec) else 1


def settle_standing(call: Call, round_: Round, work: int) -> None:
    """Take this much from the standing of those whom the round's selection costs some."""
    miners = passed_over(round_)
    call.ledger.load(*((MINERS, round_.task_id, miner) for miner in miners))
    for miner in miners:
        record = participation(call, round_.task_id, miner)
        record.work -= min(record.work, work)
        call.ledger.put(MINERS, record, round_.task_id, miner)
