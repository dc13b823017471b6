"""Whether a task's rule withstands the cheats that the task allows for.

The ledger takes no task whose rounds could have fewer miners than its rule needs for them (`quorumlearn_proto.rules`), and what is
found by other means before the rule weighs counts neither as an update nor in f. So what is left to say is which rules withstand nobody,
and which are not known. All of it follows from the ledger, so everybody finds the same.
"""

from __future__ import annotations

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.rules import UnknownNeed, vectors_needed
from quorumlearn_proto.task_pb2 import TaskSpec

WEIGHED = (b.CONTRIBUTES, b.NOT_SELECTED, b.OUTLIER)


def task_lacks(spec: TaskSpec) -> str:
    """What a task lacks for its rule to withstand its `byzantine` in every round, and the way out; empty if nothing."""
    name, f = spec.rule.name, spec.byzantine
    if f == 0:
        return ""
    try:
        needed = _needed(spec, f)
    except UnknownNeed as error:
        return f"what its rule withstands is not known here: {error}"
    if needed is None:
        return f"{name} withstands no cheat, and byzantine is {f}: take a rule that does, as multi-krum, or count on none"
    return ""


def round_lacks(spec: TaskSpec, selection: b.Selection) -> str:
    """What a round lacked for its rule to withstand the cheats that were not found otherwise; empty if nothing, or if nothing was
    selected yet."""
    reasons = [verdict.reason for verdict in selection.verdicts]
    weighed = sum(reason in WEIGHED for reason in reasons)
    found = sum(reason not in (*WEIGHED, b.ABSENT) for reason in reasons)
    left = spec.byzantine - found
    if not reasons or left <= 0:
        return ""
    try:
        needed = _needed(spec, left)
    except UnknownNeed as error:
        return f"what its rule withstands is not known here: {error}"
    if needed is None:
        return f"its guarantee does not hold: {spec.rule.name} withstands no cheat, and {left} of {weighed} might be one"
    return ""


def _needed(spec: TaskSpec, byzantine: int) -> int | None:
    return vectors_needed(spec.rule.name, spec.rule.parameters, byzantine)
