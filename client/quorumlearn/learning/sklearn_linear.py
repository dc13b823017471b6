"""scikit-learn's linear classifiers by stochastic gradient descent: the example of a `CallableWorkload`.

The model is `linear.coef`, (1, features) for two classes and (classes, features) for more, and `linear.intercept`, (1,) or (classes,).
Its score of a class is x coef^T + intercept: for two classes, of class 1.

Source: https://scikit-learn.org/stable/modules/sgd.html
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pydantic
from numpy.typing import NDArray

from quorumlearn.learning.callable_workload import CallableWorkload
from quorumlearn.learning.data import Samples
from quorumlearn.learning.errors import TrainingError, WorkloadError
from quorumlearn.learning.loading import Load
from quorumlearn.learning.measures import Measure, OwnMetric
from quorumlearn.learning.model import Model
from quorumlearn.learning.scores import Score
from quorumlearn.learning.workload import TrainingConfig

_COEF, _INTERCEPT = "linear.coef", "linear.intercept"


class LinearSettings(TrainingConfig):
    """Settings of `SklearnLinear`: epochs and learning_rate, and `alpha`, the strength of the L2 penalty. A step takes one sample, and has
    no momentum."""

    batch_size: int = pydantic.Field(default=1, ge=1, le=1)
    learning_rate: float = pydantic.Field(default=0.01, gt=0, le=10)
    momentum: float = pydantic.Field(default=0, ge=0, le=0)
    alpha: float = pydantic.Field(default=0.0001, ge=0, le=100)


class SklearnLinear(CallableWorkload):
    """A linear classifier of tables: logistic regression by `SGDClassifier`."""

    def __init__(
        self,
        name: str,
        *,
        features: int,
        classes: int = 2,
        metric: str | OwnMetric = "accuracy",
        lower_is_better: bool = False,
        load: Load | None = None,
        version: str = "1",
    ) -> None:
        """features: the columns of the inputs (n, features); classes: targets are 0 to classes - 1; the rest as in `TorchWorkload`."""
        if features < 1 or classes < 2:
            raise WorkloadError(
                f"{name}: {features} features and {classes} classes; it takes a feature and two classes at least"
            )
        measure = Measure.of(name, metric, lower_is_better=lower_is_better)
        rows = 1 if classes == 2 else classes

        def initial(settings: LinearSettings, random: np.random.Generator) -> Model:
            del settings, random
            return {
                _COEF: np.zeros((rows, features), np.float32),
                _INTERCEPT: np.zeros(rows, np.float32),
            }

        def train(
            model: Model, samples: Samples, settings: LinearSettings, random: np.random.Generator
        ) -> tuple[Model, float]:
            _fit(name, samples, features, classes)
            inputs = samples.inputs.astype(np.float64)
            fitted = _estimator(model, settings, features, classes)
            for _ in range(settings.epochs):
                order = random.permutation(len(samples))
                fitted.partial_fit(inputs[order], samples.targets[order])
            trained = {
                _COEF: fitted.coef_.astype(np.float32),
                _INTERCEPT: fitted.intercept_.astype(np.float32),
            }
            outputs = _outputs(trained, samples)
            return trained, float(_losses(outputs, samples.targets).mean())

        def evaluate(model: Model, samples: Samples, settings: LinearSettings) -> Score:
            del settings
            _fit(name, samples, features, classes)
            outputs = _outputs(model, samples)
            return measure.score(name, outputs, samples.targets, _losses(outputs, samples.targets))

        super().__init__(
            name,
            initial,
            train,
            evaluate,
            metric=measure.metric,
            settings=LinearSettings,
            load=load,
            version=version,
        )


def _estimator(model: Model, settings: LinearSettings, features: int, classes: int) -> Any:
    """An SGDClassifier that goes on from the model. Its own shuffling has a seed of 32 bits, so it does none."""
    from sklearn.linear_model import SGDClassifier  # slow to import, and needed only to train

    found = SGDClassifier(
        loss="log_loss",
        alpha=settings.alpha,
        learning_rate="constant",
        eta0=settings.learning_rate,
        shuffle=False,
        random_state=0,
    )
    found.partial_fit(np.zeros((classes, features)), np.arange(classes), classes=np.arange(classes))
    found.coef_ = np.array(model[_COEF], np.float64)
    found.intercept_ = np.array(model[_INTERCEPT], np.float64)
    return found


def _outputs(model: Model, samples: Samples) -> NDArray[np.float64]:
    """(n,) for two classes, else (n, classes)."""
    found = samples.inputs.astype(np.float64) @ model[_COEF].astype(np.float64).T + model[_INTERCEPT]
    return np.asarray(found[:, 0] if found.shape[1] == 1 else found, np.float64)


def _losses(outputs: NDArray[np.float64], targets: NDArray[Any]) -> NDArray[np.float64]:
    """The log loss of each sample (n,); with more than two classes the sum over one-against-the-rest, as it is trained."""
    if outputs.ndim == 1:
        return np.logaddexp(0, np.where(targets == 1, -outputs, outputs))
    right = targets[:, np.newaxis] == np.arange(outputs.shape[1])
    return np.asarray(np.logaddexp(0, np.where(right, -outputs, outputs)).sum(axis=1), np.float64)


def _fit(name: str, samples: Samples, features: int, classes: int) -> None:
    if samples.inputs.shape[1:] != (features,):
        raise TrainingError(f"{name}: inputs of shape {samples.inputs.shape}; it takes (n, {features})")
    if samples.targets.ndim != 1 or not np.isin(samples.targets, np.arange(classes)).all():
        raise TrainingError(
            f"{name}: targets are not all classes from 0 to {classes - 1}; correct how the data are read"
        )
