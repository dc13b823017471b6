"""When a candidate's score has fallen: what verifiers vote by and contracts hold their ballots against.

A ballot counts, on one test set, the samples that only the base labels correctly (`lost`) and those that only the candidate does
(gained: lost - fall). A score has fallen where both hold:
- the fall is more than the task's tolerance, in 1/10000 of the test set;
- it is more than chance. If the candidate is no worse, each sample that changed is lost with a probability of at most 1/2. McNemar's
  test (Psychometrika 12, 1947) with Edwards' correction for continuity (Psychometrika 13, 1948) finds a fall where
  (lost - gained - 1)^2 >= z^2 (lost + gained). One-sided, at 1/1000: z = 3.0902, z^2 = 9.55.

So one ballot calls a candidate that is no worse SCORE_FELL at most once in 1,000 times, however small its test set and whatever the
tolerance: with fewer than 12 samples that changed, never. Integers only, so that every endorser finds the same.

>>> score_fell(Ballot(correct=488, base_correct=500, total=1000, lost=12), tolerance_bp=0)
True
>>> score_fell(Ballot(correct=488, base_correct=500, total=1000, lost=40), tolerance_bp=0)
False
"""

from __future__ import annotations

from .block_pb2 import Ballot

WHOLE_BP = 10_000
Z_SQUARED = (191, 20)
"""9.55 as a fraction."""


def score_fell(ballot: Ballot, tolerance_bp: int) -> bool:
    """Whether the counts of a ballot, which contradict nothing, show a fall by more than the tolerance and by more than chance."""
    fall = ballot.base_correct - ballot.correct
    if fall * WHOLE_BP <= tolerance_bp * ballot.total or fall <= 0:
        return False
    changed = 2 * ballot.lost - fall
    above, below = Z_SQUARED
    return (fall - 1) ** 2 * below >= above * changed


def counts_fault(ballot: Ballot) -> str:
    """What contradicts itself in a ballot's counts, "" if nothing does."""
    if max(ballot.correct, ballot.base_correct) > ballot.total:
        return f"more are correct than its total of {ballot.total}"
    least = max(0, ballot.base_correct - ballot.correct)
    most = min(ballot.base_correct, ballot.total - ballot.correct)
    if not least <= ballot.lost <= most:
        return f"lost is {ballot.lost}: {least} to {most}, by the other counts"
    return ""
