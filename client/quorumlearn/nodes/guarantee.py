"""Whether a task's rule withstands the cheats that the task allows for.

The ledger takes no task whose rounds could have fewer miners than its rule needs for them (`quorumlearn_proto.rules`), and what is
found by other means before the rule weighs counts neither as an update nor in f, as in `robust.select`. So what is left to say is which
rules withstand nobody, and which are not known. All of it follows from the ledger, so everybody finds the same.
"""

from __future__ import annotations

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.rules import UnknownNeed, vectors_needed
from quorumlearn_proto.task_pb2 import TaskSpec

WEIGHED = (b.CONTRIBUTES, b.NOT_SELECTED, b.OUTLIER)


def task_lacks(spec: TaskSpec) -> str:
    """Why a task's rule withstands its `byzantine` in no round, and the way out; empty if it does."""
    f = spec.byzantine
    return _lacks(
        spec,
        f,
        f"{spec.rule.name} withstands no cheat, and byzantine is {f}: take a rule that does, as multi-krum, or count on none",
    )


def round_lacks(spec: TaskSpec, selection: b.Selection) -> str:
    """Why a round's rule withstood none of the cheats that were not found otherwise; empty if it did, or if nothing was selected yet."""
    reasons = [verdict.reason for verdict in selection.verdicts]
    if not reasons:
        return ""
    weighed = sum(reason in WEIGHED for reason in reasons)
    found = sum(reason not in (*WEIGHED, b.ABSENT) for reason in reasons)
    left = spec.byzantine - found
    return _lacks(
        spec,
        left,
        f"its guarantee does not hold: {spec.rule.name} withstands no cheat, and {left} of {weighed} might be one",
    )


def _lacks(spec: TaskSpec, f: int, defenceless: str) -> str:
    """`defenceless` where no number of miners is enough for f cheats; "" if there is none, or the ledger has asked for as many."""
    if f <= 0:
        return ""
    try:
        needed = vectors_needed(spec.rule.name, spec.rule.parameters, f)
    except UnknownNeed as error:
        return f"what its rule withstands is not known here: {error}"
    return defenceless if needed is None else ""
