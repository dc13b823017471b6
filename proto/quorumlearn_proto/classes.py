"""Weighting by data, where a task wants it: what contracts and nodes derive alike from shares and classes.

- A task's `sample_classes` are thresholds. A miner with fewer samples than the first is of class 1, and of one class more for each that
  it has reached. It claims its class in its manifest, and nobody can check the claim. The number itself it keeps to itself.
- The rule weighs updates without regard to classes: that is a verdict's `share`. Its `weight` in the aggregate is share x class.
- A class that fewer than `least_aggregate` of those have who have the same share, and whom all sums on the base weigh alike, is
  lowered to the next below that enough have together with it; so levels of weight stay shared. Where too few are left in
  the lowest, those of the level above are lowered to it.
- Miners are paid by share. So a class brings nobody a token, true or not. Where trainings are replayed there are no classes.
- A liar has the weight of the top class at most. So a task must have as many miners as its rule needs where each Byzantine one counts
  as often as the top class says (`least_miners_by_class`).

>>> shared_classes([3, 3, 3, 2, 1, 1, 1], least=3)
[3, 3, 3, 1, 1, 1, 1]
>>> shared_classes([3, 3, 2, 1, 1], least=3)
[1, 1, 1, 1, 1]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from .block_pb2 import Verdict
from .derived import least_aggregate, top_class
from .recompute import recomputes
from .rules import least_miners
from .task_pb2 import TaskSpec

MAX_CLASS = 4
MAX_SAMPLES = 1 << 40


def class_of(spec: TaskSpec, samples: int) -> int:
    """What a miner with so many samples claims; 0 where all weigh alike."""
    return 1 + sum(samples >= least for least in spec.sample_classes) if spec.sample_classes else 0


def shared_classes(classes: Sequence[int], least: int) -> list[int]:
    """These classes, lowered until each has at least `least` members; all the lowest one if that cannot be."""
    count = Counter(classes)
    levels: list[int] = []
    members = 0
    for one in sorted(count, reverse=True):
        members += count[one]
        if members >= least:
            levels.append(one)
            members = 0
    if members:
        levels = [*levels[:-1], min(count)]
    return [max(level for level in levels if level <= one) for one in classes]


def weights_by_class(
    spec: TaskSpec,
    groups: Iterable[Sequence[str]],
    shares: Mapping[str, int],
    classes: Mapping[str, int],
) -> dict[str, int]:
    """The weight of each miner with a share, both by miner. `groups` are `derived.weighed_alike` by the sums opened on the base, before
    this one or with it: that changes nothing."""
    group_of = {miner: number for number, group in enumerate(groups, 1) for miner in group}
    alike: dict[tuple[int, int], list[str]] = {}
    for miner in sorted(miner for miner, share in shares.items() if share):
        alike.setdefault((group_of.get(miner, 0), shares[miner]), []).append(miner)
    weights: dict[str, int] = {}
    for (_, share), miners in alike.items():
        lowered = shared_classes([classes[miner] for miner in miners], least_aggregate(spec))
        weights.update((miner, share * one) for miner, one in zip(miners, lowered, strict=True))
    return weights


def share_of(verdict: Verdict) -> int:
    """By what a verdict is paid."""
    return verdict.share or verdict.weight


def shares_of(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """The shares above zero, by miner."""
    return {one.miner: share for one in verdicts if (share := share_of(one))}


def classes_fault(
    spec: TaskSpec, groups: Iterable[Sequence[str]], verdicts: Sequence[Verdict], classes: Mapping[str, int]
) -> str:
    """Which weight is not what shares and claimed classes give, "" if none is."""
    if recomputes(spec):
        return ""  # shares are of work there: quorumlearn_proto.work
    if not spec.sample_classes:
        odd = next((one for one in verdicts if one.share), None)
        return f"{odd.miner} has a share of {odd.share}, and all weigh alike in this task" if odd else ""
    for one in verdicts:
        if (one.share > 0) != (one.weight > 0):
            return f"{one.miner} has weight {one.weight} and a share of {one.share}: both, or neither"
    wanted = weights_by_class(spec, groups, shares_of(verdicts), classes)
    for one in verdicts:
        if one.weight != wanted.get(one.miner, 0):
            return f"{one.miner} has weight {one.weight}: {wanted[one.miner]}, by its share and the classes that are shared"
    return ""


def least_miners_by_class(spec: TaskSpec) -> int:
    """As `rules.least_miners`, where each Byzantine miner of a round is in it as often as the top class says, and each other once."""
    f, top = spec.byzantine, top_class(spec)
    more = TaskSpec(rule=spec.rule, byzantine=f * top)
    return least_miners(more) - f * (top - 1) if f else least_miners(spec)
