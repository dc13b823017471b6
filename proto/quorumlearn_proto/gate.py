"""When a candidate's score has fallen: what verifiers vote by and contracts hold their ballots against.

A ballot gives, of one test set of `total` samples, the candidate's score and the base's by the task's metric, and `chance`: the least fall
that is more than chance. All three count millionths. A fall leads away from what is better, down or, where less is better, up. A score has
fallen where both hold:
- the fall is more than the task's tolerance: in 1/10000 or, where less is better, in 1/10000 of what the base scores;
- it is not less than chance.

A score is the mean of one part for each sample, and d says how much worse each became. `chance` is (max |d| + z sqrt(sum d^2)) / total.
Where the metric is accuracy, d is 1 for a sample that only the base labels correctly (lost), -1 for one that only the candidate does
(gained), and the rule is McNemar's test (Psychometrika 12, 1947) with Edwards' correction for continuity (Psychometrika 13, 1948): a
fall where (lost - gained - 1)^2 >= z^2 (lost + gained). One-sided, at 1/1000: z = 3.0902, z^2 = 9.55.

So one ballot calls a candidate that is no worse SCORE_FELL about once in 1,000 times, however small its test set and whatever the
tolerance. With fewer than 12 samples none does: no d that adds up to the fall gives less than `least_chance`. Integers only, so that
every endorser finds the same.

>>> from .task_pb2 import TaskSpec
>>> twelve_of_a_thousand = Ballot(score=488_000, base_score=500_000, chance=11_705, total=1000)
>>> score_fell(twelve_of_a_thousand, TaskSpec())
True
>>> score_fell(twelve_of_a_thousand, TaskSpec(tolerance_bp=120))
False
>>> score_fault(Ballot(score=900_000, base_score=1_000_000, chance=50_000, total=10), TaskSpec())
'chance is 50000, and a fall of 100000 over 10 samples cannot be more than chance by less than 409030'
"""

from __future__ import annotations

from math import isqrt

from .block_pb2 import Ballot
from .task_pb2 import TaskSpec

MILLION = 1_000_000
WHOLE_BP = 10_000
Z_SQUARED = (191, 20)
"""9.55 as a fraction."""
ACCURACY = "accuracy"
BOUNDS: dict[str, tuple[int | None, int | None]] = {
    ACCURACY: (0, MILLION),
    "auc": (0, MILLION),
    "r2": (None, MILLION),
    "loss": (None, None),
    "perplexity": (0, None),
}
"""The metrics whose scores have bounds that are known, in millionths. Any other name may stand in a task."""
LOWER_IS_BETTER = ("loss", "perplexity")
"""Of the metrics in BOUNDS."""
MAX_SCORE = 10**15
"""Of a score, on either side of 0: a billion, in millionths."""
MAX_CHANCE = 10**16
MAX_TOTAL = 1 << 40


def metric_of(spec: TaskSpec) -> str:
    """The name of the metric that the task's scores are by."""
    return spec.workload.metric or ACCURACY


def score_fell(ballot: Ballot, spec: TaskSpec) -> bool:
    """Whether the numbers of a ballot, which contradict nothing, show a fall by more than the tolerance and by more than chance."""
    fall = ballot.base_score - ballot.score
    scale = MILLION
    if spec.workload.lower_is_better:
        fall, scale = -fall, abs(ballot.base_score)
    return fall > 0 and fall * WHOLE_BP > spec.tolerance_bp * scale and fall >= ballot.chance


def score_fault(ballot: Ballot, spec: TaskSpec) -> str:
    """What is out of bounds in a ballot's numbers or contradicts itself, "" if nothing is."""
    metric = metric_of(spec)
    low, high = BOUNDS.get(metric, (None, None))
    low, high = (-MAX_SCORE if low is None else low), (MAX_SCORE if high is None else high)
    for field, value in (("score", ballot.score), ("base_score", ballot.base_score)):
        if not low <= value <= high:
            return f"{field} is {value}: {low} to {high} millionths of {metric}"
    if ballot.total > MAX_TOTAL:
        return f"total is {ballot.total}: at most {MAX_TOTAL}"
    if not 0 <= ballot.chance <= MAX_CHANCE:
        return f"chance is {ballot.chance}: 0 to {MAX_CHANCE}"
    if not ballot.total:
        given = [name for name in ("score", "base_score", "chance") if getattr(ballot, name)]
        return f"{given[0]} is given, and total is 0" if given else ""
    if metric == ACCURACY:
        return _counts_fault(ballot)
    fall = abs(ballot.base_score - ballot.score)
    least = least_chance(fall, ballot.total)
    return _too_little(ballot, fall, least) if ballot.chance < least else ""


def least_chance(fall: int, total: int) -> int:
    """The least that is more than chance, in millionths, where the mean of so many samples changed by `fall`: all of them by as much.
    The fall may be one millionth less than it seems, by rounding."""
    sure = max(0, fall - 1)
    above, below = Z_SQUARED
    return sure // total + isqrt(sure * sure * above // (below * total))


def _counts_fault(ballot: Ballot) -> str:
    """As `score_fault` of an accuracy, whose score is a number of right samples of `total`."""
    total = ballot.total
    correct, base_correct = (
        (score * total + MILLION // 2) // MILLION for score in (ballot.score, ballot.base_score)
    )
    for field, count in (("score", correct), ("base_score", base_correct)):
        if abs(getattr(ballot, field) * total - count * MILLION) >= total:
            return f"{field} is {getattr(ballot, field)}, which no number of right samples of {total} gives"
    fall = base_correct - correct
    unsure = total // (MILLION // 2)  # samples that a millionth does not tell apart
    least = _chance_of(max(0, abs(fall) - 2 * unsure), total)
    if ballot.chance < least:
        return _too_little(ballot, abs(ballot.base_score - ballot.score), least)
    most_changed = 2 * min(base_correct, total - correct) - fall + 2 * unsure
    most = _chance_of(most_changed, total) + 3
    return f"chance is {ballot.chance}: with these scores at most {most}" if ballot.chance > most else ""


def _chance_of(changed: int, total: int) -> int:
    """McNemar's, in millionths and rounded down, where so many samples changed."""
    above, below = Z_SQUARED
    return (MILLION + isqrt(MILLION * MILLION * changed * above // below)) // total if changed else 0


def _too_little(ballot: Ballot, fall: int, least: int) -> str:
    return (
        f"chance is {ballot.chance}, and a fall of {fall} over {ballot.total} samples "
        f"cannot be more than chance by less than {least}"
    )
