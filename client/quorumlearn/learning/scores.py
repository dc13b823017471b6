"""Scores: what a model is worth on a test set, by a metric with a direction, sample by sample.

Rules:
1. A score is the mean of one part for each sample, in the order of the data. So two models can be compared on the same samples, and what
   is chance between them follows from the differences d, as in quorumlearn_proto.gate: (max |d| + z sqrt(sum d^2)) / n.
2. Parts stay within LIMIT of 0. A model whose numbers are not finite has on every sample the worst part that its metric knows.
3. `millionths` rounds scores as the ledger keeps them, and rounding decides nothing: a fall is more than a whole number of millionths,
   or than chance, exactly where it was before.

Where the value is no mean of what each sample has alone, the parts are its influence function around it, so that the variance of their
mean is, to first order, that of the value: DeLong et al. (Biometrics 44, 1988) for the AUC, the delta method for perplexity.

    score, before = workload.evaluate(model, data), workload.evaluate(base, data)
    fell = before.value - score.value >= score.chance(before)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quorumlearn.learning.errors import ScoreError

Z_SQUARED = Fraction(191, 20)
"""9.55, one-sided at 1/1000; as in quorumlearn_proto.gate."""
MILLION = 1_000_000
LIMIT = 1e9
FEW = 12
"""Fewer samples that changed, or fewer of a class, never make a fall that is more than chance."""


@dataclass(frozen=True)
class Metric:
    """What scores count, by the name that tasks have for it. `worst`: the part of each sample where a model's numbers are not finite;
    by default LIMIT in the direction that is bad."""

    name: str
    lower_is_better: bool = False
    worst: float | None = None

    @property
    def worst_part(self) -> float:
        if self.worst is not None:
            return self.worst
        return LIMIT if self.lower_is_better else -LIMIT


ACCURACY = Metric("accuracy", worst=0.0)
AUC = Metric("auc", worst=0.0)
R2 = Metric("r2")
LOSS = Metric("loss", lower_is_better=True)
PERPLEXITY = Metric("perplexity", lower_is_better=True)


@dataclass(frozen=True, eq=False)
class Score:
    """`parts` float64 (n,): one for each sample; the value is their mean. `loss`: the mean loss, for logs. `few`: whether the value
    rests on so few samples of a kind that no change of it is more than chance. ScoreError without samples."""

    metric: Metric
    parts: NDArray[np.float64]
    loss: float
    few: bool = False

    def __post_init__(self) -> None:
        parts = np.asarray(self.parts, np.float64)
        if parts.ndim != 1 or not len(parts):
            raise ScoreError(
                f"a score of {parts.shape} parts; it takes one for each of the samples, and one sample at least"
            )
        worst = np.full(len(parts), self.metric.worst_part)
        kept = np.clip(parts, -LIMIT, LIMIT) if np.isfinite(parts).all() else worst
        object.__setattr__(self, "parts", kept)

    @property
    def value(self) -> float:
        return float(_sum(self.parts) / self.samples)

    @property
    def samples(self) -> int:
        return len(self.parts)

    def chance(self, before: Score) -> float:
        """The least change of the value since `before` that is more than chance. ValueError if that is no score of the same samples."""
        change = _Change.between(before, self)
        return (float(change.largest) + math.sqrt(Z_SQUARED * change.squares)) / self.samples


@dataclass(frozen=True)
class Millionths:
    """A score, that of the base, and the least fall between them that is more than chance, as a ballot has them."""

    score: int
    base_score: int
    chance: int


def millionths(score: Score, before: Score) -> Millionths:
    """Two scores of the same samples, rounded to numbers that decide as they do. ValueError if they do not compare."""
    change = _Change.between(before, score)
    a_sample = Fraction(MILLION, score.samples)
    sign = -1 if score.metric.lower_is_better else 1
    value = math.floor(sign * _sum(score.parts) * a_sample)
    fall = math.ceil(change.fall * a_sample)
    least = math.ceil(MILLION * score.chance(before))
    while not change.is_sure(least / a_sample):
        least += 1
    while least and change.is_sure((least - 1) / a_sample):
        least -= 1
    if fall >= least and not change.is_sure(change.fall):
        least = fall + 1
    return Millionths(sign * value, sign * (value + fall), least)


@dataclass(frozen=True)
class _Change:
    """By how much the parts of all samples together became worse, the largest change of one, and the sum of their squares."""

    fall: Fraction
    largest: Fraction
    squares: Fraction

    @classmethod
    def between(cls, before: Score, now: Score) -> Self:
        if (before.metric.name, before.samples) != (now.metric.name, now.samples):
            raise ValueError(
                f"{now.metric.name} of {now.samples} samples does not compare with {before.metric.name} of {before.samples}"
            )
        change = now.parts - before.parts
        fall = _sum(before.parts) - _sum(now.parts)
        largest = Fraction(float(np.abs(change).max()))
        return cls(
            -fall if now.metric.lower_is_better else fall,
            max(largest, abs(fall) + now.samples) if before.few or now.few else largest,
            Fraction(float(np.dot(change, change))),
        )

    def is_sure(self, fall: Fraction) -> bool:
        """Whether so large a fall of all samples together is more than chance."""
        beyond = fall - self.largest
        return beyond >= 0 and beyond * beyond >= Z_SQUARED * self.squares


def accuracy(right: ArrayLike, loss: float) -> Score:
    """The part of the samples that a model labels correctly: `right` (n,), true or false. One whose loss is NaN labels none."""
    parts = np.asarray(right, bool).astype(np.float64)
    return Score(ACCURACY, np.zeros_like(parts) if math.isnan(loss) else parts, loss)


def auc(scores: ArrayLike, labels: ArrayLike, loss: float) -> Score:
    """The area under the ROC curve: `scores` (n,) are higher where a model thinks `labels` (n,), 0 or 1, to be 1. Equal scores count half.

    The variance of the parts, by n, is DeLong's of the area. ScoreError unless there are samples of both classes.
    """
    given, positive = np.asarray(scores, np.float64), np.asarray(labels) == 1
    n = len(positive)
    ones = int(positive.sum())
    if given.shape != (n,):
        raise ScoreError(f"scores of shape {given.shape} for {n} labels; the AUC takes one for each")
    if not 0 < ones < n:
        raise ScoreError(
            f"{ones} of {n} samples are of class 1: the AUC compares two classes, and takes samples of both"
        )
    few = min(ones, n - ones) < FEW
    if not np.isfinite(given).all():
        return Score(AUC, np.full(n, np.nan), loss, few)
    above, below = np.sort(given[positive]), np.sort(given[~positive])
    placed = np.empty(n)
    placed[positive] = _halves(below, given[positive])
    placed[~positive] = 1 - _halves(above, given[~positive])
    area = float(placed[positive].mean())
    parts = np.empty(n)
    for of_class in (positive, ~positive):
        count = int(of_class.sum())
        parts[of_class] = area + (placed[of_class] - area) * n / math.sqrt(count * max(1, count - 1))
    return Score(AUC, parts, loss, few)


def r2(predicted: ArrayLike, true: ArrayLike) -> Score:
    """The coefficient of determination of predictions (n,) or (n, m), columns together: 1 - squared errors / squared deviations from the
    mean. ScoreError if all that is to be predicted is equal."""
    wanted = np.asarray(true, np.float64)
    given = np.asarray(predicted, np.float64)
    if given.shape != wanted.shape or not len(wanted):
        raise ScoreError(
            f"predictions of shape {given.shape} for values of shape {wanted.shape}, of one sample at least"
        )
    deviations = float(((wanted - wanted.mean(axis=0)) ** 2).sum())
    if not deviations > 0:
        raise ScoreError("all values to be predicted are equal: R2 says nothing of them; use the metric loss")
    with np.errstate(over="ignore", invalid="ignore"):
        errors = ((given - wanted) ** 2).reshape(len(wanted), -1).sum(axis=1)
        parts = 1 - errors * (len(wanted) / deviations)
    return Score(R2, parts, _mean(errors))


def mean_loss(losses: ArrayLike) -> Score:
    """The mean of the samples' losses (n,)."""
    given = np.asarray(losses, np.float64)
    return Score(LOSS, given, _mean(given))


def perplexity(losses: ArrayLike) -> Score:
    """exp of the mean of the samples' losses (n,), in nats."""
    given = np.asarray(losses, np.float64)
    mean = _mean(given)
    if not mean < math.log(LIMIT):
        return Score(PERPLEXITY, np.full(len(given), np.nan), mean)
    return Score(PERPLEXITY, math.exp(mean) * (1 + given - mean), mean)


def _mean(losses: NDArray[np.float64]) -> float:
    return float(losses.mean()) if len(losses) and np.isfinite(losses).all() else math.nan


def _halves(ordered: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each value the part of `ordered` that is below it; what equals it counts half."""
    left, right = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return np.asarray((left + right) / (2 * len(ordered)), np.float64)


def _sum(parts: NDArray[np.float64]) -> Fraction:
    return Fraction(math.fsum(parts.tolist()))
