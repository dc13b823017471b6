"""From what a model says of samples to a score, by a metric's name or a user's own function.

Classes are scored by what stands for a logit: outputs (n, classes), or (n,) and (n, 1) where there are two classes, above 0 for class 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorumlearn.learning import scores
from quorumlearn.learning.errors import ScoreError, WorkloadError
from quorumlearn.learning.own_code import own_code
from quorumlearn.learning.scores import Metric, Score

METRICS = {
    metric.name: metric for metric in (scores.ACCURACY, scores.AUC, scores.R2, scores.LOSS, scores.PERPLEXITY)
}

Array = NDArray[Any]
Losses = NDArray[np.float64]
OwnMetric = Callable[[Array, Array], object]
"""From outputs (n, ...) and targets (n, ...) to a Score, or to a number for each sample, (n,), of which the score is the mean."""


@dataclass(frozen=True)
class Measure:
    """A metric and how it is computed; `own` is None for those that `scores` has."""

    metric: Metric
    own: OwnMetric | None = None

    @classmethod
    def of(cls, workload: str, metric: str | OwnMetric, *, lower_is_better: bool) -> Measure:
        """Of a name or a user's function, whose own name is the metric's. WorkloadError if there is no such metric."""
        if isinstance(metric, str):
            if metric not in METRICS:
                raise WorkloadError(
                    f"{workload}: no metric {metric!r}; there are {', '.join(METRICS)}, or give a function"
                )
            return cls(METRICS[metric])
        name = getattr(metric, "__name__", "")
        if not callable(metric) or not name.isidentifier():
            raise WorkloadError(
                f"{workload}: the metric is a {type(metric).__name__}; it is one of {', '.join(METRICS)}, or a named function"
            )
        return cls(Metric(name, lower_is_better), metric)

    def score(self, workload: str, outputs: Array, targets: Array, losses: Losses) -> Score:
        """The score of these outputs. ScoreError if they do not fit the metric, WorkloadError if a user's function gives no score."""
        if self.own is not None:
            return self._own(workload, self.own, outputs, targets, losses)
        outputs, loss = _flat(outputs), float(losses.mean())
        match self.metric.name:
            case "accuracy":
                return scores.accuracy(_right(workload, outputs, targets), loss)
            case "auc":
                return scores.auc(_ranks(workload, outputs, targets), targets.astype(bool), loss)
            case "r2":
                if outputs.shape != targets.shape:
                    raise _misfit(workload, "r2", "outputs of the targets' shape", outputs, targets)
                return scores.r2(outputs, targets)
            case "loss":
                return scores.mean_loss(losses)
            case _:
                return scores.perplexity(losses)

    def _own(self, workload: str, own: OwnMetric, outputs: Array, targets: Array, losses: Losses) -> Score:
        what = f"the metric {self.metric.name}"
        with own_code(workload, what, "correct the metric", WorkloadError):
            found = own(outputs, targets)
        if isinstance(found, Score):
            if found.metric.lower_is_better != self.metric.lower_is_better:
                raise WorkloadError(
                    f"{workload}: {what} gave {found.metric.name}; set lower_is_better={found.metric.lower_is_better}"
                )
            parts = found.parts
        else:
            found = _plain(found)
            if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiub":
                raise WorkloadError(
                    f"{workload}: {what} gave a {type(found).__name__}; it must give a Score, or a number for each sample"
                )
            parts = found.astype(np.float64)
        if parts.shape != (len(targets),):
            raise WorkloadError(
                f"{workload}: {what} gave parts of shape {parts.shape} for {len(targets)} samples; it must give one for each"
            )
        if isinstance(found, Score):
            return replace(found, metric=self.metric, loss=float(losses.mean()))
        return Score(self.metric, parts, float(losses.mean()))


def _plain(found: object) -> object:
    """An array of a list or of a torch tensor, everything else as it is."""
    if isinstance(found, list | tuple) or hasattr(found, "detach"):
        try:
            return np.asarray(found)
        except (TypeError, ValueError, RuntimeError):
            return found
    return found


def _flat(outputs: Array) -> Array:
    return outputs[:, 0] if outputs.ndim == 2 and outputs.shape[1] == 1 else outputs


def _right(workload: str, outputs: Array, targets: Array) -> NDArray[np.bool_]:
    if targets.ndim != 1 or outputs.ndim > 2:
        raise _misfit(workload, "accuracy", "(n, classes) or (n,)", outputs, targets)
    said: NDArray[np.bool_] = outputs > 0 if outputs.ndim == 1 else outputs.argmax(axis=1)
    finite = np.isfinite(outputs).reshape(len(outputs), -1).all(axis=1)
    right: NDArray[np.bool_] = (said == targets) & finite
    return right


def _ranks(workload: str, outputs: Array, targets: Array) -> Array:
    classes = np.unique(targets)
    if not np.isin(classes, (0, 1)).all():
        raise ScoreError(f"{workload}: auc is of the classes 0 and 1, and the targets go up to {classes[-1]}")
    if targets.ndim != 1 or outputs.ndim > 2 or (outputs.ndim == 2 and outputs.shape[1] != 2):
        raise _misfit(workload, "auc", "(n, 2) or (n,)", outputs, targets)
    if len(classes) < 2:
        raise ScoreError(
            f"{workload}: all {len(targets)} samples are of class {int(classes[0])}, and auc needs both; "
            "test on other data, or with another metric"
        )
    with np.errstate(invalid="ignore"):  # the score of what is not finite is `scores`' own
        ranks: Array = outputs if outputs.ndim == 1 else outputs[:, 1] - outputs[:, 0]
    return ranks


def _misfit(workload: str, metric: str, wanted: str, outputs: Array, targets: Array) -> ScoreError:
    return ScoreError(
        f"{workload}: outputs of shape {outputs.shape} for targets of shape {targets.shape}; {metric} takes {wanted}"
    )
