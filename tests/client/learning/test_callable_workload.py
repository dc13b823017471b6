"""Functions on numpy arrays are a workload like any other, without torch; scikit-learn's linear models are the example."""

from __future__ import annotations

import random as python_random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from quorumlearn.learning import (
    CallableWorkload,
    DataMissing,
    LearningError,
    ModelError,
    Part,
    Samples,
    SklearnLinear,
    TrainingConfig,
    TrainingError,
    WorkloadError,
    apply_update,
    difference,
    from_bytes,
    get_workload,
    register,
    scores,
    to_bytes,
)
from quorumlearn.learning.callable_workload import ConfiguredCallable
from sklearn.linear_model import SGDClassifier

from tests.client.learning.modules import FEATURES, table

SECRET = 1 << 255 | 3


def initial(settings: TrainingConfig, random: np.random.Generator) -> dict[str, Any]:
    return {"line.slope": random.normal(size=FEATURES), "line.height": 0.0}


def train(model: Any, samples: Samples, settings: TrainingConfig, random: np.random.Generator) -> Any:
    """One pass of least squares by stochastic gradient descent, in an order that every generator has a part in."""
    shift = np.random.randint(3) + python_random.randrange(3)
    for one in np.roll(random.permutation(len(samples)), shift):
        error = samples.inputs[one] @ model["line.slope"] + model["line.height"] - samples.targets[one]
        model["line.slope"] -= settings.learning_rate * error * samples.inputs[one]
        model["line.height"] -= settings.learning_rate * error
    return model, float(error**2)


def evaluate(model: Any, samples: Samples, settings: TrainingConfig) -> scores.Score:
    return scores.r2(samples.inputs @ model["line.slope"] + model["line.height"], samples.targets)


def line(**options: Any) -> ConfiguredCallable:
    functions: dict[str, Any] = {
        "initial": initial,
        "train": train,
        "evaluate": evaluate,
        "metric": scores.R2,
    } | options
    return CallableWorkload("line", **functions).build(TrainingConfig(learning_rate=0.02))


def test_functions_train_and_score() -> None:
    workload = line()
    assert workload.shapes == {"line.height": (), "line.slope": (FEATURES,)}
    assert (workload.blocks, workload.tensors("line"), workload.fixed) == (
        ("line",),
        ("line.height", "line.slope"),
        {},
    )
    base = workload.initial_model(1)
    before = to_bytes(base)
    seen: list[tuple[int, int]] = []
    result = workload.train(base, table(), seed=1, on_step=lambda done, of: seen.append((done, of)))
    assert to_bytes(base) == before
    assert seen == [(1, 1)]
    assert (result.steps, result.samples, result.epsilon) == (1, 120, None)
    assert (
        workload.evaluate(result.model, table(seed=2)).value
        > 0.4
        > workload.evaluate(base, table(seed=2)).value
    )
    assert from_bytes(to_bytes(result.model), workload.shapes).keys() == base.keys()


def test_the_seed_decides_the_bytes_whatever_the_functions_draw() -> None:
    workload, data = line(), table()
    base = workload.initial_model(1)
    assert to_bytes(base) == to_bytes(line().initial_model(1)) != to_bytes(workload.initial_model(2))
    first = workload.train(base, data, seed=SECRET)
    np.random.seed(1)
    assert to_bytes(workload.train(base, data, seed=SECRET).model) == to_bytes(first.model)
    for other in (SECRET ^ 1, SECRET ^ 1 << 254):
        assert to_bytes(workload.train(base, data, seed=other).model) != to_bytes(first.model)
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda _: to_bytes(workload.train(base, data, seed=SECRET).model), range(3)))
    assert together == [to_bytes(first.model)] * 3


def test_the_initial_model_is_made_once_for_a_seed() -> None:
    made: list[int] = []

    def counted(settings: TrainingConfig, random: np.random.Generator) -> dict[str, Any]:
        made.append(1)
        return initial(settings, random)

    workload = line(initial=counted)
    model = workload.initial_model(7)
    assert workload.shapes
    workload.evaluate(workload.train(model, table(), seed=1).model, table())
    workload.initial_model(7)["line.slope"][:] = 0
    assert to_bytes(workload.initial_model(7)) == to_bytes(model)
    assert len(made) == 1


def ends(*_: object) -> Any:
    raise KeyError("lost")


def leaves(*_: object) -> Any:
    sys.exit(1)


@pytest.mark.parametrize(
    ("options", "says", "error"),
    [
        ({"initial": ends}, "initial raised KeyError: 'lost'", ModelError),
        ({"initial": lambda *_: [1]}, "initial gave a list; it must give arrays by name", ModelError),
        ({"initial": lambda *_: {}}, "initial gave a dict; it must give arrays by name", ModelError),
        ({"initial": lambda *_: {"a": "b"}}, "initial gave a as <U1; it must be numbers", ModelError),
        (
            {"initial": lambda *_: {"a": np.inf}},
            "initial gave a with numbers that are not finite",
            ModelError,
        ),
        ({"train": ends}, "train raised KeyError: 'lost'", TrainingError),
        ({"train": leaves}, r"train called sys.exit\(1\)", TrainingError),
        ({"train": lambda model, *_: None}, "train gave a NoneType", ModelError),
        (
            {"train": lambda model, *_: {"line.slope": 0}},
            "train gave tensors of other names or shapes",
            ModelError,
        ),
        (
            {"train": lambda model, *_: model | {"line.height": np.float64(1e300)}},
            "train gave line.height with numbers that are not finite in float32; lower learning_rate",
            TrainingError,
        ),
        ({"evaluate": ends}, "evaluate raised KeyError: 'lost'", TrainingError),
        ({"evaluate": lambda *_: 0.5}, "evaluate gave a float; it must give a Score", WorkloadError),
        (
            {"evaluate": lambda *_: scores.mean_loss([1.0])},
            "evaluate gave 1 parts for 30 samples",
            WorkloadError,
        ),
        (
            {"evaluate": lambda *_: scores.mean_loss([1.0] * 30)},
            "evaluate gave loss, and the metric is r2",
            WorkloadError,
        ),
    ],
)
def test_what_a_function_does_wrong_is_said(
    options: dict[str, Any], says: str, error: type[LearningError]
) -> None:
    def use() -> None:
        workload = line(**options)
        trained = workload.train(workload.initial_model(1), table(30), seed=1)
        workload.evaluate(trained.model, table(30))

    with pytest.raises(error, match=f"^line: {says}"):
        use()


def test_a_workload_that_is_described_wrongly_is_refused() -> None:
    for options, says in (
        ({"train": 3}, "train is a int; give a function"),
        ({"metric": "r2"}, "the metric is 'r2'; give a Metric"),
        ({"settings": dict}, "give a subclass of TrainingConfig"),
    ):
        with pytest.raises(WorkloadError, match=f"line: .*{says}"):
            line(**options)
    with pytest.raises(WorkloadError, match="line cannot be trained privately"):
        CallableWorkload("line", initial, train, evaluate, metric=scores.R2).build(
            TrainingConfig(dp_clip=1, dp_noise=1)
        )
    with pytest.raises(WorkloadError, match="no block 'middle'"):
        line().tensors("middle")
    with pytest.raises(DataMissing, match="line reads no data of its own"):
        line().load("data", Part("train"))


def linear(classes: int = 2, **config: Any) -> ConfiguredCallable:
    definition = SklearnLinear("linear-risk", features=FEATURES, classes=classes, metric="accuracy")
    return definition.build(definition.settings(**config))


def three(count: int, seed: int = 1) -> Samples:
    data = table(count, seed)
    return Samples(data.inputs, data.targets + (data.inputs[:, 2] > 0.5))


@pytest.mark.parametrize(("classes", "data"), [(2, table), (3, three)])
def test_linear_models_learn_in_rounds_of_averaging(classes: int, data: Callable[..., Samples]) -> None:
    workload = linear(classes, epochs=5)
    model = workload.initial_model(1)
    parts = [data(60, seed) for seed in range(3)]
    for number in range(4):
        updates = [
            difference(workload.train(model, part, seed=10 * number + at).model, model)
            for at, part in enumerate(parts)
        ]
        model = apply_update(model, np.mean(updates, axis=0))
    fresh = data(300, seed=9)
    assert workload.evaluate(model, fresh).value > (0.9 if classes == 2 else 0.7)
    assert workload.evaluate(model, fresh).loss < workload.evaluate(workload.initial_model(1), fresh).loss


@pytest.mark.parametrize(("classes", "data"), [(2, table), (3, three)])
def test_a_round_is_scikit_learns_own_pass_from_the_model(classes: int, data: Callable[..., Samples]) -> None:
    """An estimator of scikit-learn's that is handed the same coefficients, and the rows in the same order, is the oracle."""
    workload = linear(classes, epochs=1)
    model = workload.train(workload.initial_model(1), data(60), seed=1).model
    rows = data(1, seed=5)
    trained = workload.train(model, rows, seed=2).model
    oracle = SGDClassifier(
        loss="log_loss", learning_rate="constant", eta0=0.01, shuffle=False, max_iter=1, tol=None
    )
    oracle.partial_fit(np.zeros((classes, FEATURES)), np.arange(classes), classes=np.arange(classes))
    oracle.coef_[:] = model["linear.coef"]
    oracle.intercept_[:] = model["linear.intercept"]
    oracle.partial_fit(rows.inputs.astype(np.float64), rows.targets)
    assert trained["linear.coef"] == pytest.approx(oracle.coef_, rel=1e-5)
    assert trained["linear.intercept"] == pytest.approx(oracle.intercept_, rel=1e-5)
    fresh = data(50, seed=6)
    assert workload.evaluate(trained, fresh).value == pytest.approx(oracle.score(fresh.inputs, fresh.targets))


def test_data_that_do_not_fit_a_linear_model_are_refused() -> None:
    workload = linear()
    base = workload.initial_model(1)
    for data, says in (
        (Samples(table(3).inputs[:, 1:], table(3).targets), r"inputs of shape \(3, 4\); it takes \(n, 5\)"),
        (Samples(table(3).inputs, np.array([0, 1, 2])), "targets are not all classes from 0 to 1"),
        (
            Samples(np.full((2, FEATURES), np.nan), np.array([0, 1])),
            "sample 0 hold a number that is not finite",
        ),
        (table(0), "there are no samples"),
    ):
        for act in (lambda one: workload.train(base, one, seed=1), lambda one: workload.evaluate(base, one)):
            with pytest.raises(TrainingError, match=f"linear-risk: .*{says}"):
                act(data)
    with pytest.raises(WorkloadError, match="0 features and 2 classes"):
        SklearnLinear("linear-risk", features=0)


def test_settings_without_a_meaning_here_are_refused(tmp_path: Any) -> None:
    (tmp_path / "a_linear_risk.py").write_text(
        "from quorumlearn.learning import SklearnLinear\nRISK = SklearnLinear('risk-of-sklearn', features=5)\n"
    )
    register("risk-of-sklearn", "a_linear_risk:RISK", tmp_path)
    found = get_workload("risk-of-sklearn", {"epochs": "2", "alpha": "0.01"})
    assert get_workload("risk-of-sklearn", found.config.as_strings()).config == found.config
    for key, value in (("momentum", "0.5"), ("batch_size", "32")):
        with pytest.raises(WorkloadError, match=f"risk-of-sklearn: {key} = '{value}'"):
            get_workload("risk-of-sklearn", {key: value})


_WITHOUT_TORCH = """
import sys
import numpy as np
from quorumlearn.learning import Samples, SklearnLinear, readers
risk = SklearnLinear("risk", features=2)
workload = risk.build(risk.settings())
data = Samples(np.eye(2, dtype=np.float32), np.arange(2))
trained = workload.train(workload.initial_model(1), data, seed=1)
print(workload.evaluate(trained.model, data).value, "torch" in sys.modules)
"""


def test_no_torch_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", _WITHOUT_TORCH], capture_output=True, text=True, check=False)
    assert done.stdout == "1.0 False\n", done.stderr
