"""What trains travels and comes back as it was; what cannot travel is refused by its name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from quorumlearn.learning import ModelError, from_bytes, to_bytes
from torch import Tensor, nn

from tests.client.learning.modules import FEATURES, Rich, net, table, workload


def test_only_what_trains_and_running_statistics_travel() -> None:
    risk = workload(Rich)
    assert risk.blocks == ("scale", "body", "head")
    assert risk.tensors("body") == (
        "body.0.bias",
        "body.0.weight",
        "body.1.bias",
        "body.1.running_mean",
        "body.1.running_var",
        "body.1.weight",
    )
    assert risk.shapes["scale"] == ()
    base = risk.initial_model(1)
    model = risk.train(base, table(), seed=1).model
    assert from_bytes(to_bytes(model), risk.shapes).keys() == base.keys()
    moved = {name for name in model if not np.array_equal(model[name], base[name])}
    assert moved == set(model) - {"body.0.bias"}  # BatchNorm takes the mean off again


def test_scoring_uses_the_statistics_that_came_with_the_model() -> None:
    risk = workload(Rich)
    model = risk.train(risk.initial_model(1), table(), seed=1).model
    moved = model | {"body.1.running_mean": model["body.1.running_mean"] + 3}
    assert risk.evaluate(model, table()).loss != risk.evaluate(moved, table()).loss
    assert risk.evaluate(model, table()).loss == risk.evaluate(model, table()).loss


def test_a_variance_that_rounding_took_below_zero_is_read_as_zero() -> None:
    risk = workload(Rich, metric="loss")
    model = risk.initial_model(1)
    variance = model["body.1.running_var"]
    for place, worth in ((0, -0.25), (3, -1e-3)):
        variance[place] = worth
    zero = model | {"body.1.running_var": np.maximum(variance, 0)}
    assert risk.evaluate(model, table()).value == risk.evaluate(zero, table()).value < 1e3
    trained = risk.train(model, table(), seed=1).model
    assert to_bytes(trained) == to_bytes(risk.train(zero, table(), seed=1).model)
    assert trained["body.1.running_var"].min() > 0


def test_the_digest_of_what_is_frozen_tells_two_bases_apart() -> None:
    def based(value: float) -> Callable[[], nn.Module]:
        def made() -> nn.Module:
            module = Rich()
            nn.init.constant_(module.fixed.weight, value)
            return module

        return made

    digests = [workload(based(value)).fixed["frozen"] for value in (0.5, 0.5, 0.25)]
    assert digests[0] == digests[1] != digests[2]
    assert len(digests[0]) == 64
    assert workload(net).fixed == {}
    assert workload(lambda: nn.Sequential(nn.Linear(FEATURES, 2), nn.BatchNorm1d(2))).fixed == {}


def test_frozen_layers_that_are_drawn_are_the_same_in_every_process_and_for_every_seed() -> None:
    first, second = workload(Rich), workload(Rich)
    first.initial_model(7)
    assert first.fixed == second.fixed


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_travel_as_float32_and_train_in_their_own(dtype: torch.dtype) -> None:
    seen: list[torch.dtype] = []

    class Precise(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            seen.append(input.dtype)
            return super().forward(input)

    risk = workload(lambda: Precise(FEATURES, 2).to(dtype), metric="auc", config={"epochs": 5})
    base = risk.initial_model(1)
    model = risk.train(base, table(), seed=1).model
    assert set(seen) == {dtype}
    assert all(tensor.dtype == np.float32 for tensor in model.values())
    assert all(
        np.array_equal(tensor, torch.tensor(tensor).to(dtype).float().numpy()) for tensor in model.values()
    )
    assert risk.evaluate(model, table(seed=2)).value > 0.95


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(FEATURES, FEATURES)
        self.out = nn.Linear(FEATURES, FEATURES)
        self.out.weight = self.into.weight

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.out(torch.tanh(self.into(inputs)))
        return found


def test_tied_parameters_travel_once_and_stay_tied() -> None:
    risk = workload(Tied)
    assert list(risk.shapes) == ["into.bias", "into.weight", "out.bias"]
    base = risk.initial_model(1)
    ones = base | {"into.weight": np.eye(FEATURES, dtype=np.float32)}
    assert risk.evaluate(ones, table()).loss != risk.evaluate(base, table()).loss
    module = risk.built.copy(ones, "cpu")
    assert module.get_parameter("out.weight") is module.get_parameter("into.weight")


def shared_memory() -> nn.Module:
    module = Tied()
    module.out.weight = nn.Parameter(module.into.weight.data)
    return module


def with_buffer(buffer: Tensor, *, persistent: bool = True) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        module = nn.Linear(FEATURES, 2)
        module.register_buffer("extra", buffer, persistent=persistent)
        return module

    return made


def frozen() -> nn.Module:
    return nn.Linear(FEATURES, 2).requires_grad_(False)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (
            lambda: nn.Linear(FEATURES, 2, dtype=torch.complex64),
            "weight is torch.complex64, which has no form in float32",
        ),
        (lambda: nn.Linear(FEATURES, 2, device="meta"), "weight is without values"),
        (lambda: nn.LazyLinear(2), "weight has no shape yet; give the lazy module its sizes"),
        (lambda: nn.ParameterDict({"a": nn.Parameter(torch.eye(2).to_sparse())}), "a is sparse"),
        (with_buffer(torch.zeros(2, dtype=torch.complex64)), "extra is torch.complex64"),
        (
            with_buffer(torch.tensor([1.0, -torch.inf])),
            "extra holds numbers that are not finite.*persistent=False",
        ),
        (shared_memory, "out.weight and into.weight share their memory"),
        (frozen, "no parameter of the module requires a gradient"),
    ],
)
def test_what_cannot_travel_is_refused_by_name(model: Callable[[], nn.Module], says: str) -> None:
    with pytest.raises(ModelError, match=f"^risk: .*{says}"):
        _ = workload(model).shapes


def test_a_quantised_tensor_is_refused_by_name() -> None:
    quantised = torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8)
    with pytest.raises(ModelError, match=r"tensor extra is quantised torch\.qint8"):
        _ = workload(with_buffer(quantised)).shapes


def test_a_constant_that_is_not_persistent_stays() -> None:
    risk = workload(with_buffer(torch.tensor([-torch.inf]), persistent=False))
    assert list(risk.shapes) == ["bias", "weight"]
    assert risk.fixed == {}


def test_a_model_of_another_module_is_refused() -> None:
    risk, other = workload(), workload(Rich)
    for act in (
        lambda model: risk.train(model, table(), seed=1),
        lambda model: risk.evaluate(model, table()),
    ):
        for model in (other.initial_model(1), {}):
            with pytest.raises(ModelError, match="not the tensors of risk"):
                act(model)


def test_a_frozen_parameter_that_training_moves_is_an_error() -> None:
    def thaw(module: nn.Module, settings: object) -> None:
        nn.init.zeros_(module.get_parameter("fixed.weight"))

    risk = workload(Rich, before_round=thaw)
    with pytest.raises(ModelError, match=r"training changed fixed\.weight, which is frozen"):
        risk.train(risk.initial_model(1), table(), seed=1)
