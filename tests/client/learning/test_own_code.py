"""Whatever a user's code does wrong is one sentence that names the workload, and costs a training or scoring: the next one works."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from quorumlearn.learning import (
    DataCorrupt,
    DataMissing,
    LearningError,
    ModelError,
    Part,
    Samples,
    ScoreError,
    TorchWorkload,
    TrainingError,
    WorkloadError,
    to_bytes,
)
from torch import Tensor, nn

from tests.client.learning.modules import FEATURES, net, table, workload


class Sometimes(nn.Module):
    """Works, except while `wrong` is set."""

    wrong: Callable[[Tensor], object] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(FEATURES, 2)

    def forward(self, inputs: Tensor) -> object:
        return self.layer(inputs) if Sometimes.wrong is None else Sometimes.wrong(inputs)


def raising(inputs: Tensor) -> object:
    raise ValueError("no such\n   thing")


def leaving(inputs: Tensor) -> object:
    sys.exit(3)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            raising,
            r"the module raised ValueError: no such thing \(test_own_code.py, line \d+\); it was given inputs of shape \(30, 5\)",
        ),
        (leaving, r"the module called sys.exit\(3\).*; raise an exception instead"),
        (lambda inputs: None, "the module gave a NoneType for 30 samples"),
        (lambda inputs: {"logits": inputs}, "the module gave a dict"),
        (lambda inputs: inputs.sum(), r"a tensor of shape \(\) for 30 samples"),
        (lambda inputs: inputs[1:], r"a tensor of shape \(29, 5\) for 30 samples"),
        (
            lambda inputs: inputs @ torch.zeros(3, 2),
            "the module raised RuntimeError: .*shapes cannot be multiplied",
        ),
        (lambda inputs: inputs[:, :2], "does not depend on any parameter that trains"),
        (lambda inputs: inputs[:, :1].repeat(1, 2) * torch.nan, "the loss is nan: lower learning_rate, 0.1"),
        (lambda inputs: torch.zeros(len(inputs)), "outputs of shape .* for cross-entropy"),
    ],
)
def test_a_module_that_fails_costs_a_training_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[[Tensor], object], says: str
) -> None:
    risk, data = workload(Sometimes), table(30)
    base = risk.initial_model(1)
    good = to_bytes(risk.train(base, data, seed=1).model)
    state = torch.get_rng_state()
    monkeypatch.setattr(Sometimes, "wrong", staticmethod(wrong))
    with pytest.raises(TrainingError, match=f"^risk: .*{says}"):
        risk.train(base, data, seed=1)
    monkeypatch.undo()
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()
    assert to_bytes(risk.train(base, data, seed=1).model) == good


@pytest.mark.parametrize("wrong", [raising, leaving, lambda inputs: None])
def test_a_module_that_fails_costs_a_scoring(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[[Tensor], object]
) -> None:
    risk = workload(Sometimes)
    base = risk.initial_model(1)
    monkeypatch.setattr(Sometimes, "wrong", staticmethod(wrong))
    with pytest.raises(TrainingError, match=r"^risk: the module"):
        risk.evaluate(base, table(30))


def test_a_model_whose_outputs_are_no_numbers_has_the_worst_score_and_ends_nothing() -> None:
    """A proposer may show a model of huge weights: a verifier must be able to vote against it."""
    for metric in ("accuracy", "auc", "loss", "perplexity"):
        risk = workload(metric=metric)
        huge = {name: np.full(shape, 3e38, np.float32) for name, shape in risk.shapes.items()}
        good, bad = risk.evaluate(risk.initial_model(1), table()), risk.evaluate(huge, table())
        assert (bad.value > good.value) == risk.metric.lower_is_better, metric
        assert bad.value in {0.0, 1e9}


def test_a_module_that_changes_its_shapes_is_refused() -> None:
    def widen(module: nn.Module, settings: object) -> None:
        assert isinstance(module, nn.Sequential)
        module[0] = nn.Linear(FEATURES, 9)

    def rename(module: nn.Module, settings: object) -> None:
        assert isinstance(module, nn.Sequential)
        del module[2]

    for hook, says in ((widen, r"0\.bias is of shape \(9,\), and was \(8,\)"), (rename, r"2\.bias is gone")):
        risk = workload(after_round=hook)
        with pytest.raises(ModelError, match=f"^risk: {says}.*; a module must keep its tensors"):
            risk.train(risk.initial_model(1), table(), seed=1)


def test_a_module_that_is_made_otherwise_each_time_is_refused() -> None:
    sizes = iter((4, 5, 6))

    def growing() -> nn.Module:
        module = nn.Linear(FEATURES, next(sizes))
        nn.init.normal_(module.weight)
        return module

    risk = workload(growing)
    assert risk.shapes["bias"] == (4,)
    with pytest.raises(ModelError, match="risk: the model gave other tensors when it was made again"):
        risk.initial_model(5)


def ends(*_: object) -> Any:
    raise KeyError("lost")


@pytest.mark.parametrize(
    ("options", "says", "error"),
    [
        ({"loss": ends}, "the loss raised KeyError: 'lost'", TrainingError),
        ({"loss": lambda outputs, targets: 3.0}, "the loss gave a float", TrainingError),
        (
            {"loss": lambda outputs, targets: outputs},
            r"the loss gave a tensor of shape \(30, 2\)",
            TrainingError,
        ),
        ({"optimiser": ends}, "making the optimiser raised KeyError", TrainingError),
        ({"optimiser": lambda parameters, settings: None}, "the optimiser is a NoneType", TrainingError),
        ({"before_round": ends}, "before_round raised KeyError", TrainingError),
        ({"after_round": ends}, "after_round raised KeyError", TrainingError),
        ({"optimiser": torch.optim.LBFGS}, "the optimiser raised TypeError: .*closure", TrainingError),
    ],
)
def test_what_belongs_to_a_training_is_named_when_it_fails(
    options: dict[str, Any], says: str, error: type[LearningError]
) -> None:
    risk = workload(**options)
    with pytest.raises(error, match=f"^risk: {says}"):
        risk.train(risk.initial_model(1), table(30), seed=1)


def too_few(outputs: Any, targets: Any) -> Any:
    return np.zeros(len(targets) - 1)


def words(outputs: Any, targets: Any) -> Any:
    return ["good"] * len(targets)


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        (ends, "the metric ends raised KeyError: 'lost'"),
        (too_few, r"the metric too_few gave parts of shape \(29,\) for 30 samples"),
        (words, "the metric words gave a ndarray; it must give a Score"),
        (lambda outputs, targets: 1.0, None),
    ],
)
def test_a_metric_that_gives_no_score_is_refused(metric: Any, says: str | None) -> None:
    if says is None:
        with pytest.raises(WorkloadError, match="the metric is a function; it is one of accuracy, auc"):
            workload(metric=metric)
        return
    risk = workload(metric=metric)
    with pytest.raises(WorkloadError, match=f"^risk: {says}"):
        risk.evaluate(risk.initial_model(1), table(30))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda: ends(1), "making the module raised KeyError"),
        (lambda: None, "the model gave a NoneType, and no nn.Module"),
        (lambda: sys.exit("gone"), "making the module called sys.exit"),
    ],
)
def test_a_module_that_cannot_be_made_is_refused(model: Any, says: str) -> None:
    with pytest.raises(ModelError, match=f"^risk: {says}"):
        _ = TorchWorkload("risk", model).build(workload().config).shapes


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        (net(), {}, "the model is a Sequential; give the class, or a function"),
        (nn.Linear, {}, "the model takes in_features, out_features; it may take the settings"),
        (net, {"metric": "auk"}, "no metric 'auk'; there are accuracy, auc, r2, loss, perplexity"),
        (net, {"metric": 3}, "the metric is a int"),
        (net, {"device": "tpu"}, "no device 'tpu'; there are cpu, cuda, mps"),
        (net, {"loss": nn.CrossEntropyLoss}, "give a function, or a module that is made"),
        (net, {"settings": dict}, "give a subclass of TrainingConfig"),
        (net, {"optimiser": 0.1}, "the optimiser is a float; give its class"),
    ],
)
def test_a_workload_that_is_described_wrongly_is_refused(
    model: Any, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(WorkloadError, match=f"^risk: .*{says}"):
        TorchWorkload("risk", model, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_a_device_that_is_not_there_is_named() -> None:
    risk = workload(device="cuda")
    with pytest.raises(WorkloadError, match="risk: there is no device 'cuda' here; choose one of cpu"):
        risk.train(risk.initial_model(1), table(), seed=1)


HOLED = table(30).inputs.copy()
HOLED[17, 3] = np.nan


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (Samples(np.zeros((0, FEATURES), np.float32), np.zeros(0, np.int64)), "there are no samples"),
        (Samples(HOLED, table(30).targets), "the inputs of sample 17 hold a number that is not finite"),
        (Samples(table(3).inputs, np.array([0, np.inf, 1])), "the targets of sample 1 hold a number"),
        (
            Samples(table(2).inputs, np.array(["ill", "well"])),
            "the targets are of type <U4; they must be numbers",
        ),
        (Samples(table(3).inputs[:, 1:], table(3).targets), r"inputs of shape \(3, 4\)"),
        (
            Samples(table(3).inputs, np.array([0, 1, 2])),
            "targets from 0 to 2, and the module has outputs for classes 0 to 1",
        ),
        (Samples(table(3).inputs, np.array([0, -1, 1])), "targets from -1 to 1"),
        (Samples(table(3).inputs, np.array([0, 0.5, 1])), "the loss raised RuntimeError"),
    ],
)
def test_data_that_do_not_fit_are_refused(data: Samples, says: str) -> None:
    risk = workload()
    base = risk.initial_model(1)
    for act in (lambda: risk.train(base, data, seed=1), lambda: risk.evaluate(base, data)):
        with pytest.raises(TrainingError, match=f"^risk: .*{says}"):
            act()


def test_one_class_trains_but_is_no_test_of_auc() -> None:
    risk = workload(metric="auc")
    healthy = Samples(table(20).inputs, np.zeros(20, np.int64))
    model = risk.train(risk.initial_model(1), healthy, seed=1).model
    with pytest.raises(ScoreError, match=r"^risk: all 20 samples are of class 0, and auc needs both"):
        risk.evaluate(model, healthy)
    for metric, targets, says in (
        ("auc", np.arange(20) % 3, "auc is of the classes 0 and 1, and the targets go up to 2"),
        ("r2", np.arange(20) % 2, "r2 takes outputs of the targets' shape"),
    ):
        with pytest.raises(ScoreError, match=says):
            workload(lambda: nn.Linear(FEATURES, 3), metric=metric).evaluate(
                workload(lambda: nn.Linear(FEATURES, 3)).initial_model(1), Samples(table(20).inputs, targets)
            )


def missing(source: str | None, part: Part) -> Samples:
    return Samples(np.loadtxt(Path(source or "") / "nowhere.csv"), np.zeros(3))


def absent(source: str | None, part: Part) -> Samples:
    with (Path(source or "") / "nowhere.csv").open() as file:
        return Samples(np.array(file.readlines()), np.zeros(3))


@pytest.mark.parametrize(
    ("load", "says", "error"),
    [
        (None, "risk reads no data of its own; give it load=", DataMissing),
        (ends, "risk: reading the data raised KeyError: 'lost'", DataCorrupt),
        (absent, "risk: there is no file .*nowhere.csv; name what is there under `data`", DataMissing),
        (missing, "risk: .*nowhere.csv", LearningError),
        (lambda source, part: [1, 2], "risk: the reader gave a list; it must give Samples", DataCorrupt),
        (lambda source: table(), "risk: reading the data raised TypeError", DataCorrupt),
    ],
)
def test_a_reader_that_fails_is_named(load: Any, says: str, error: type[LearningError]) -> None:
    with pytest.raises(error, match=says):
        workload(load=load).load("data", Part("train"))
