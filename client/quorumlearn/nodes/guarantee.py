"""Whether a task's rule withstands the cheats that the task allows for, with the miners that may come or that came.

A rule withstands f Byzantine updates only among enough (`robust.miners_needed`). A round with fewer goes on, with the largest f that
they allow, and says so. What is found by other means before the rule weighs counts neither as an update nor in f, as in `robust.select`.
All of it follows from the ledger, so everybody finds the same.
"""

from __future__ import annotations

from collections.abc import Callable

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import robust

WEIGHED = (b.CONTRIBUTES, b.NOT_SELECTED, b.OUTLIER)


def task_lacks(spec: TaskSpec) -> str:
    """What a task lacks for its rule to withstand its `byzantine` in every round, and the way out; empty if nothing."""
    name, f = spec.rule.name, spec.byzantine

    def too_few(needed: int) -> str:
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

    defenceless = f"{name} withstands no cheat, and byzantine is {f}: take a rule that does, as multi-krum, or count on none"
    return _lacks(spec, f, spec.min_miners, defenceless, too_few)


def round_lacks(spec: TaskSpec, selection: b.Selection) -> str:
    """What a round lacked for its rule to withstand the cheats that were not found otherwise; empty if nothing, or if nothing was
    selected yet."""
    name, reasons = spec.rule.name, [verdict.reason for verdict in selection.verdicts]
    if not reasons:
        return ""
    weighed = sum(reason in WEIGHED for reason in reasons)
    found = sum(reason not in (*WEIGHED, b.ABSENT) for reason in reasons)
    left = spec.byzantine - found
    head = f"its guarantee does not hold: {name}"
    return _lacks(
        spec,
        left,
        weighed,
        f"{head} withstands no cheat, and {left} of {weighed} might be one",
        lambda needed: f"{head} needs {needed} updates for f = {left}, and {weighed} were weighed",
    )


def _lacks(spec: TaskSpec, f: int, present: int, defenceless: str, too_few: Callable[[int], str]) -> str:
    """What the rule lacks to withstand f among as many as are present: what is said of a rule that never does, or of one that
    needs more; empty if nothing."""
    if f <= 0:
        return ""
    try:
        needed = _needed(spec, f)
    except robust.RuleError as error:
        return f"what its rule withstands is not known here: {error}"
    if needed is None:
        return defenceless
    return "" if needed <= present else too_few(needed)


def _needed(spec: TaskSpec, byzantine: int) -> int | None:
    return robust.miners_needed(spec.rule.name, dict(spec.rule.parameters), byzantine)
