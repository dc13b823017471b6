"""Whether a task's rule withstands the cheats that the task allows for, with the miners that may come or that came.

A rule withstands f Byzantine updates only among enough (`robust.miners_needed`). A round with fewer goes on, with the largest f that
they allow, and says so. What is found by other means before the rule weighs counts neither as an update nor in f, as in `robust.select`.
All of it follows from the ledger, so everybody finds the same.
"""

from __future__ import annotations

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import robust

WEIGHED = (b.CONTRIBUTES, b.NOT_SELECTED, b.OUTLIER)


def task_lacks(spec: TaskSpec) -> str:
    """What a task lacks for its rule to withstand its `byzantine` in every round, and the way out; empty if nothing."""
    name, f = spec.rule.name, spec.byzantine
    if f == 0:
        return ""
    try:
        needed = _needed(spec, f)
    except robust.RuleError as error:
        return f"what its rule withstands is not known here: {error}"
    if needed is None:
        return f"{name} withstands no cheat, and byzantine is {f}: take a rule that does, as multi-krum, or count on none"
    if needed <= spec.min_miners:
        return ""
    fewer = max(lower for lower in range(f) if (_needed(spec, lower) or 0) <= spec.min_miners)
    head = f"{name} needs {needed} miners to withstand byzantine: {f}"
    if needed > spec.max_miners:
        return (
            f"{head}, and at most {spec.max_miners} may come: no round has its guarantee; "
            f"raise miners.minimum and maximum, or lower byzantine to {fewer}"
        )
    return (
        f"{head}, and {spec.min_miners} are enough for a round: with fewer than {needed} it has no guarantee; "
        f"raise miners.minimum to {needed}, or lower byzantine to {fewer}"
    )


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
    except robust.RuleError as error:
        return f"what its rule withstands is not known here: {error}"
    if needed is None:
        return f"its guarantee does not hold: {spec.rule.name} withstands no cheat, and {left} of {weighed} might be one"
    if needed <= weighed:
        return ""
    return (
        f"its guarantee does not hold: {spec.rule.name} needs {needed} updates for f = {left}, "
        f"and {weighed} were weighed"
    )


def _needed(spec: TaskSpec, byzantine: int) -> int | None:
    return robust.miners_needed(spec.rule.name, dict(spec.rule.parameters), byzantine)
