"""How a check of the audit ends, and what is checked of a task as a whole (nodes.audit.replay has the list)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto.derived import spec_digest

from quorumlearn.nodes.audit import slashes
from quorumlearn.nodes.audit.records import Record

SPECIFICATION, STAKES = "specification", "stakes and pay"


class Result(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAULT = "fault"  # something was wrong, and the ledger has recorded whose fault it was
    UNKNOWN = "unknown"  # what it needs cannot be seen
    VIOLATION = "VIOLATION"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at in one round; of the task as a whole in round 0."""

    round: int
    what: str
    result: Result
    detail: str


def specification(record: Record) -> Check:
    """What all rounds rest on."""
    digest = spec_digest(record.spec)
    first = next((one for one in record.blocks if one.core.height == 0), b.Block())
    said = {"block 0": first.core.previous, "the state": record.state.spec_digest}
    wrong = [f"{name} names {other[:12] or 'none'}" for name, other in said.items() if other != digest]
    if canonical.digest(first.core) != first.digest:
        wrong.append("block 0 is not what its digest says")
    if wrong:
        return Check(0, SPECIFICATION, Result.VIOLATION, f"the task's is {digest[:12]}, {', '.join(wrong)}")
    return Check(0, SPECIFICATION, Result.OK, f"{digest[:12]}, as in block 0")


def stakes(record: Record) -> Iterator[Check]:
    """Whatever moved without being due, in its round."""
    if not record.money.settled:
        yield Check(0, STAKES, Result.UNKNOWN, "the ledger moved on while it was read: read it again")
        return
    found = slashes.findings(record)
    for one in found:
        yield Check(one.round, STAKES, Result.VIOLATION, str(one))
    for who in record.money.incomplete:
        yield Check(0, STAKES, Result.UNKNOWN, f"{who} has moved more tokens than the ledger tells of")
    if not found:
        lost = sum(one.slashed for one in record.money.stakes)
        paid = record.money.escrow.paid
        yield Check(0, STAKES, Result.OK, f"{lost} slashed, {paid} paid, as is due")
