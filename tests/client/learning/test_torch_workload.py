"""Any module trains: it is built once, learns, repeats from its seed, and what it cannot do is said in a sentence."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import pydantic
import pytest
import torch
from quorumlearn.learning import (
    Definition,
    Part,
    Samples,
    TorchWorkload,
    TrainingConfig,
    WorkloadError,
    digest_of,
    get_workload,
    register,
    shapes_of,
    to_bytes,
)
from torch import Tensor, nn
from torch.nn import functional

from tests.client.learning.modules import FEATURES, Rich, net, table, workload

SECRET = 1 << 255 | 12345


def test_a_module_learns_and_leaves_its_input_alone() -> None:
    risk = workload(metric="auc", config={"epochs": 5})
    base = risk.initial_model(1)
    before = to_bytes(base)
    seen: list[tuple[int, int]] = []
    result = risk.train(base, table(), seed=1, on_step=lambda done, of: seen.append((done, of)))
    assert to_bytes(base) == before
    assert seen == [(one, 20) for one in range(1, 21)]
    assert (result.steps, result.samples, result.epsilon) == (20, 120, None)
    fresh = table(300, seed=2)
    start, end = risk.evaluate(base, fresh), risk.evaluate(result.model, fresh)
    assert end.samples == 300
    assert end.value > 0.95 > 0.8 > start.value
    assert end.loss < start.loss


def test_the_module_is_built_once_a_process() -> None:
    built: list[int] = []

    def counted() -> nn.Module:
        built.append(1)
        return Rich()

    definition = TorchWorkload("risk", counted)
    risk = definition.build(TrainingConfig())
    assert not built
    assert risk.shapes
    assert risk.fixed
    model = risk.initial_model(7)
    model = risk.train(model, table(), seed=1).model
    risk.evaluate(model, table())
    risk.initial_model(8)
    assert definition.build(TrainingConfig(epochs=2)).shapes == risk.shapes
    assert len(built) == 1


def test_a_module_that_draws_otherwise_than_its_layers_do_is_built_for_each_seed_it_begins_with() -> None:
    built: list[int] = []

    def drawn() -> nn.Module:
        built.append(1)
        made = net()
        nn.init.normal_(made.get_parameter("0.weight"))
        return made

    risk = workload(drawn)
    first, second = risk.initial_model(1), risk.initial_model(2)
    assert not np.array_equal(first["0.weight"], second["0.weight"])
    assert abs(first["0.weight"].std() - 1) < 0.4
    assert to_bytes(workload(drawn).initial_model(2)) == to_bytes(second)
    assert len(built) == 5


@pytest.mark.parametrize("model", [net, Rich])
def test_a_seed_begins_a_model_as_the_modules_own_code_does(model: Callable[[], nn.Module]) -> None:
    """Also where the layers were only reset: a function that resets nothing says what the code itself gives."""

    class Unresettable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model()

        def reset_parameters(self) -> None:
            raise RuntimeError("not this one")

        def forward(self, inputs: Tensor) -> Tensor:
            found: Tensor = self.inner(inputs)
            return found

    short, whole = workload(model), workload(Unresettable)
    for seed in (0, 1, SECRET):
        expected = {name.removeprefix("inner."): value for name, value in whole.initial_model(seed).items()}
        assert to_bytes(short.initial_model(seed)) == to_bytes(expected)
    assert to_bytes(short.initial_model(1)) != to_bytes(short.initial_model(2))


def test_a_module_that_draws_nothing_begins_alike_for_every_seed() -> None:
    def given() -> nn.Module:
        made = nn.Linear(FEATURES, 2, device="meta").to_empty(device="cpu")
        nn.init.constant_(made.weight, 0.25)
        nn.init.zeros_(made.bias)
        return made

    risk = workload(given)
    assert to_bytes(risk.initial_model(1)) == to_bytes(risk.initial_model(2))


class Drawing(nn.Module):
    """Draws from every global generator there is."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Rich()

    def forward(self, inputs: Tensor) -> Tensor:
        noise = float(np.random.normal()) + random.random() + torch.rand(1)
        found: Tensor = self.inner(inputs * (1 + noise))
        return found


def test_the_seed_decides_the_bytes_whatever_the_module_draws() -> None:
    risk, data = workload(Drawing, config={"epochs": 2}), table()
    base = risk.initial_model(1)
    torch.manual_seed(1)
    first = risk.train(base, data, seed=SECRET)
    torch.manual_seed(2)
    random.seed(2)
    again = risk.train(base, data, seed=SECRET)
    assert to_bytes(first.model) == to_bytes(again.model)
    assert first.loss == again.loss
    for other in (SECRET ^ 1, SECRET ^ 1 << 40, SECRET ^ 1 << 254):
        assert to_bytes(risk.train(base, data, seed=other).model) != to_bytes(first.model)
    assert risk.evaluate(base, data).loss == risk.evaluate(base, data).loss


def test_trainings_side_by_side_give_the_same_bytes_as_alone() -> None:
    risk, data = workload(Drawing, config={"epochs": 2}), table()
    base = risk.initial_model(1)
    alone = [to_bytes(risk.train(base, data, seed=seed).model) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda seed: to_bytes(risk.train(base, data, seed=seed).model), range(3)))
    assert together == alone


_IN_ANOTHER_PROCESS = """
import hashlib
from quorumlearn.learning import to_bytes
from tests.client.learning.modules import Rich, table, workload
risk = workload(Rich)
result = risk.train(risk.initial_model(3), table(), seed=4)
print(hashlib.sha256(to_bytes(result.model)).hexdigest(), risk.fixed["frozen"])
"""


def test_another_process_with_other_threads_gives_the_same_bytes() -> None:
    risk = workload(Rich)
    result = risk.train(risk.initial_model(3), table(), seed=4)
    here = f"{hashlib.sha256(to_bytes(result.model)).hexdigest()} {risk.fixed['frozen']}\n"
    threads = {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", _IN_ANOTHER_PROCESS],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | threads | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == here, done.stderr


def test_global_generators_and_settings_are_as_before() -> None:
    risk = workload(Drawing)
    torch.manual_seed(3)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=False)
    risk.train(risk.initial_model(1), table(), seed=1)
    risk.evaluate(risk.initial_model(1), table())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    now = np.random.get_state(legacy=False)
    assert np.array_equal(now["state"]["key"], states[2]["state"]["key"])
    assert now["state"]["pos"] == states[2]["state"]["pos"]
    assert not torch.are_deterministic_algorithms_enabled()


def test_training_can_be_stopped_from_a_step() -> None:
    risk = workload()

    def stop(done: int, of: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        risk.train(risk.initial_model(1), table(), seed=1, on_step=stop)
    assert not torch.are_deterministic_algorithms_enabled()


def test_what_a_module_keeps_beside_its_tensors_begins_alike_in_each_training() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(FEATURES, 2)
            self.calls = 0

        def forward(self, inputs: Tensor) -> Tensor:
            self.calls += 1
            found: Tensor = self.layer(inputs) * self.calls
            return found

    risk = workload(Counting)
    base = risk.initial_model(1)
    first = risk.train(base, table(), seed=1).model
    risk.evaluate(first, table())
    assert to_bytes(risk.train(base, table(), seed=1).model) == to_bytes(first)


def test_an_epoch_is_even_batches_of_every_sample() -> None:
    sizes: list[int] = []

    class Watching(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            sizes.append(len(input))
            return super().forward(input)

    risk = workload(lambda: Watching(FEATURES, 2), config={"batch_size": 32, "epochs": 2})
    assert risk.train(risk.initial_model(1), table(33), seed=1).steps == 4
    assert sorted(sizes) == [16, 16, 17, 17]


class Own(TrainingConfig):
    width: int = pydantic.Field(default=8, ge=1)
    activation: Literal["relu", "tanh"] = "relu"
    bias: bool = True
    widths: tuple[int, ...] = (4, 2)
    note: str | None = None
    marks: tuple[str, ...] = ("a",)


def test_settings_of_ones_own_reach_the_module_and_travel_as_text() -> None:
    def sized(settings: Own) -> nn.Module:
        return nn.Sequential(
            nn.Linear(FEATURES, settings.width), nn.Linear(settings.width, 2, bias=settings.bias)
        )

    risk = workload(sized, settings=Own, config={"width": 3, "bias": False})
    assert shapes_of(risk.initial_model(1)) == {"0.bias": (3,), "0.weight": (3, 5), "1.weight": (2, 3)}
    strings = risk.config.as_strings()
    assert all(isinstance(value, str) for value in strings.values())
    assert (strings["width"], strings["bias"], strings["activation"]) == ("3", "false", "relu")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {
            "width": 3,
            "activation": "tanh",
            "bias": False,
            "widths": (1, 2, 3),
            "note": "12",
            "marks": ("1", "b"),
        },
        {"note": "null", "late_rounds": 2, "dp_delta": 1e-6},
        {"dp_clip": 1, "dp_noise": 0.5, "learning_rate": 0.1 + 0.2},
    ],
)
def test_every_setting_reads_back_the_same(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "own_settings_risk.py").write_text(
        "from quorumlearn.learning import TorchWorkload\n"
        "from tests.client.learning.test_torch_workload import Own\n"
        "from tests.client.learning.modules import net\n"
        "RISK = TorchWorkload('risk-of-own-settings', net, settings=Own)\n"
    )
    register("risk-of-own-settings", "own_settings_risk:RISK", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = Own(**config)
    assert get_workload("risk-of-own-settings", asked.as_strings()).config.model_dump() == asked.model_dump()


@pytest.mark.parametrize(
    "optimiser",
    [
        torch.optim.Adam,
        torch.optim.SGD,
        lambda parameters, settings: torch.optim.RMSprop(parameters, lr=settings.learning_rate / 10),
    ],
)
def test_any_optimiser_trains(optimiser: Any) -> None:
    risk = workload(metric="auc", optimiser=optimiser, config={"epochs": 8, "learning_rate": 0.05})
    model = risk.train(risk.initial_model(1), table(), seed=1).model
    assert risk.evaluate(model, table(seed=2)).value > 0.9


def test_torchs_sgd_by_its_class_is_the_default() -> None:
    base = workload().initial_model(1)
    models = [workload(optimiser=one).train(base, table(), seed=1).model for one in (None, torch.optim.SGD)]
    assert to_bytes(models[0]) == to_bytes(models[1])


def one_output() -> nn.Module:
    return nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, 1))


@pytest.mark.parametrize(
    ("loss", "metric", "least"),
    [
        (functional.binary_cross_entropy_with_logits, "auc", 0.95),
        (nn.BCEWithLogitsLoss(), "accuracy", 0.85),
        (functional.mse_loss, "r2", 0.4),
        (lambda outputs, targets: (outputs - targets) ** 2, "r2", 0.4),
        (nn.SmoothL1Loss(), "r2", 0.4),
    ],
)
def test_a_module_of_one_output_meets_targets_of_one_dimension(loss: Any, metric: str, least: float) -> None:
    """Torch itself would broadcast (n, 1) beside (n,) to (n, n)."""
    risk = workload(one_output, loss=loss, metric=metric, config={"epochs": 10, "batch_size": 10})
    model = risk.train(risk.initial_model(1), table(), seed=1).model
    score = risk.evaluate(model, table(seed=2))
    assert score.value > least
    assert score.parts.shape == (120,)


@pytest.mark.parametrize("name", ["loss", "perplexity"])
def test_metrics_of_which_less_is_better_have_the_samples_losses(name: str) -> None:
    risk = workload(metric=name)
    assert risk.metric.lower_is_better
    base, data = risk.initial_model(1), table()
    score = risk.evaluate(base, data)
    assert score.value == pytest.approx(score.loss if name == "loss" else np.exp(score.loss))
    trained = risk.evaluate(risk.train(base, data, seed=1).model, data)
    assert trained.value < score.value


def test_the_loss_of_a_sample_is_the_loss_on_it_alone() -> None:
    data = table(20)
    plain = workload(metric="loss").evaluate(workload().initial_model(1), data)
    slow = workload(metric="loss", loss=nn.CrossEntropyLoss()).evaluate(workload().initial_model(1), data)
    assert plain.parts == pytest.approx(slow.parts, rel=1e-5)


def test_a_metric_of_ones_own_is_called_as_its_function() -> None:
    def brier(outputs: np.ndarray[Any, Any], targets: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        chances = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
        return (chances[:, 1] - targets) ** 2

    risk = workload(metric=brier, lower_is_better=True)
    assert (risk.metric.name, risk.metric.lower_is_better) == ("brier", True)
    data = table()
    base = risk.initial_model(1)
    trained = risk.train(base, data, seed=1).model
    assert 0 < risk.evaluate(trained, data).value < risk.evaluate(base, data).value < 1


def test_hooks_are_called_with_the_module_and_the_settings() -> None:
    told: list[tuple[str, bool, int]] = []

    def before(module: nn.Module, settings: TrainingConfig) -> None:
        told.append(("before", module.training, settings.epochs))
        nn.init.zeros_(module.get_parameter("0.weight"))

    def after(module: nn.Module, settings: TrainingConfig) -> None:
        told.append(("after", module.training, settings.epochs))
        nn.init.ones_(module.get_parameter("2.bias"))

    risk = workload(before_round=before, after_round=after, config={"epochs": 2})
    base = risk.initial_model(1)
    model = risk.train(base, table(), seed=1).model
    assert told == [("before", True, 2), ("after", True, 2)]
    assert np.array_equal(model["2.bias"], np.ones(2, np.float32))
    assert np.abs(model["0.weight"]).max() < np.abs(base["0.weight"]).max()


def test_what_before_round_freezes_does_not_train() -> None:
    def freeze(module: nn.Module, settings: TrainingConfig) -> None:
        module.get_parameter("0.weight").requires_grad = False

    risk = workload(before_round=freeze)
    base = risk.initial_model(1)
    model = risk.train(base, table(), seed=1).model
    assert np.array_equal(model["0.weight"], base["0.weight"])
    assert not np.array_equal(model["2.weight"], base["2.weight"])


def test_bytes_are_pixels_and_whole_numbers_tokens() -> None:
    seen: list[Tensor] = []

    class Looking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            seen.append(inputs)
            found: Tensor = self.layer(inputs.float().flatten(1))
            return found

    risk = workload(Looking)
    labels = np.array([0, 1], np.uint8)
    model = risk.initial_model(1)
    risk.evaluate(model, Samples(np.full((2, 1, 2, 2), 51, np.uint8), labels))
    risk.evaluate(model, Samples(np.full((2, 4), 51, np.int16), labels))
    risk.evaluate(model, Samples(np.full((2, 4), 51.5, ">f8"), labels))
    assert [one.dtype for one in seen] == [torch.float32, torch.int64, torch.float32]
    assert [round(float(one.flatten()[0]), 6) for one in seen] == [0.2, 51, 51.5]


def test_it_is_what_a_file_names(tmp_path: Any) -> None:
    (tmp_path / "a_clinics_risk.py").write_text(
        "from torch import nn\n"
        "from quorumlearn.learning import TorchWorkload\n"
        "RISK = TorchWorkload('risk-of-a-clinic', lambda: nn.Linear(5, 2), metric='auc', version='3')\n"
    )
    register("risk-of-a-clinic", "a_clinics_risk:RISK", tmp_path)
    found = get_workload("risk-of-a-clinic", {"epochs": "2"})
    assert (found.name, found.version, found.config.epochs) == ("risk-of-a-clinic", "3", 2)
    assert found.blocks == ("weight", "bias")
    assert len(digest_of(found, ["weight", "bias"])) == 64
    definition: Definition = TorchWorkload("risk-of-a-clinic", net)
    assert definition.settings is TrainingConfig
    with pytest.raises(WorkloadError, match="no block 'middle'"):
        found.tensors("middle")


def test_data_come_from_the_workloads_own_reader() -> None:
    asked: list[tuple[str | None, Part]] = []

    def load(source: str | None, part: Part) -> Samples:
        asked.append((source, part))
        return table(7)

    part = Part("train", "north", "OrgMSP/miner1")
    assert len(workload(load=load).load("data/risk", part)) == 7
    assert asked == [("data/risk", part)]
