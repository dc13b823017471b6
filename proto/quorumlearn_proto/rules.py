"""How many miners a robust rule needs, so that contracts and nodes ask for the same. What the rules are, `quorumlearn.robust` says.

To withstand f Byzantine vectors a rule needs so many; * marks a breakdown point, at which a bound on the harm ends, where the source
proves no more of weights:

| rule | vectors | from |
| --- | --- | --- |
| `multi-krum` | 2 f + 3 | Blanchard et al. 2017: n > 2 f + 2 |
| `geometric-median` | 2 f + 1 | Pillutla et al. 2019: f < n / 2 |
| `centred-clipping`, `clustering`, `agreement` | 2 f + 1 * | what is usual is a median or a majority, which half of all turn |
| `trust-scores` | f + 1 | Cao et al. 2020: any f, with one honest vector to move along |
| `mean`, `l-nearest`, `norm-clipping` | | one vector turns the mean or the sum, and a clipped one still points anywhere: none is enough |
| `nnm` before a rule | the rule's, at least 2 f + 1 | Allouah et al. 2023: f < n / 2 |
| `bucketing` before a rule | s (m - 1) + 1 | f vectors spoil f buckets of s, and the rule needs m of those |

A round needs more, whatever its rule: 2 f + 2 miners, so that f + 2 can be added up although f were kept out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from .task_pb2 import TaskSpec

NEEDED: Mapping[str, Callable[[int], int | None]] = {
    "mean": lambda f: None,
    "multi-krum": lambda f: 2 * f + 3,
    "l-nearest": lambda f: None,
    "norm-clipping": lambda f: None,
    "centred-clipping": lambda f: 2 * f + 1,
    "geometric-median": lambda f: 2 * f + 1,
    "trust-scores": lambda f: f + 1,
    "clustering": lambda f: 2 * f + 1,
    "agreement": lambda f: 2 * f + 1,
}
BUCKET_SIZE = 2
"""Of `bucketing`, where the task names none."""
_WHOLE = re.compile(r"0*[1-9][0-9]{0,8}", re.ASCII)


class UnknownNeed(ValueError):
    """A rule that is not in the table, or a bucket size that is none: nobody can say how many vectors it takes."""


def vectors_needed(name: str, parameters: Mapping[str, str], byzantine: int) -> int | None:
    """The fewest vectors among which a rule withstands `byzantine` Byzantine ones, see the table; None if no number is enough.

    UnknownNeed for a part that the table has not.
    """
    *before, last = name.split("+")
    unknown = next((part for part in before if part not in ("nnm", "bucketing")), None)
    if last not in NEEDED or unknown is not None:
        raise UnknownNeed(f"nobody knows how many miners {unknown or last!r} needs")
    if byzantine == 0:
        return 1
    needed = NEEDED[last](byzantine)
    for part in reversed(before):
        if needed is None:
            return None
        size = _bucket_size(parameters) if part == "bucketing" else 1
        needed = max(size * (needed - 1) + 1, 2 * byzantine + 1)
    return needed


def least_miners(spec: TaskSpec) -> int:
    """The fewest miners that a round of this task may have: what its rule needs for the task's f, and 2 f + 2 at least.

    A rule that withstands nobody needs no more than 2 f + 2: more miners would not help it. Of a rule that the table does not know
    as many are asked as of the most demanding that it knows, since nothing speaks for less.
    """
    f = spec.byzantine
    try:
        needed = vectors_needed(spec.rule.name, spec.rule.parameters, f)
    except UnknownNeed:
        needed = max(rule(f) or 0 for rule in NEEDED.values()) if f else 1
    return max(needed or 0, 2 * f + 2)


def _bucket_size(parameters: Mapping[str, str]) -> int:
    text = parameters.get("bucket_size", str(BUCKET_SIZE))
    if not _WHOLE.fullmatch(text):
        raise UnknownNeed(f"bucket_size = {text!r}; it must be a whole number of at least 1")
    return int(text)
