"""Our own optimisers, convolutions and draws beside torch's, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from quorumlearn.learning.exact.operations import PortableOperations
from quorumlearn.learning.exact.rules import rules_of
from quorumlearn.learning.exact.streams import words
from torch import Tensor, nn
from torch.nn import functional

SEED = bytes(32)
STREAM = ["0xcf971a6440ecc784", "0x6ff4f026a5c730c9"]


@pytest.mark.parametrize(
    ("optimiser", "options"),
    [
        (torch.optim.SGD, {}),
        (torch.optim.SGD, {"momentum": 0.9}),
        (torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
        (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "maximize": True}),
        (torch.optim.Adam, {}),
        (torch.optim.Adam, {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
        (torch.optim.Adam, {"amsgrad": True}),
        (torch.optim.AdamW, {"weight_decay": 0.1}),
    ],
)
def test_rules_move_as_torchs_optimisers_do(
    optimiser: type[torch.optim.Optimizer], options: dict[str, Any]
) -> None:
    random = np.random.default_rng(1)
    theirs = nn.Parameter(torch.from_numpy(random.normal(size=50)))
    ours = theirs.detach().numpy().copy()
    judged = optimiser([theirs], lr=0.05, **options)  # type: ignore[call-arg]
    rule = rules_of("w", judged, {"p": theirs})["p"]
    assert rule is not None
    moments = {name: np.zeros(50) for name in rule.moments}
    for step in range(40):
        gradient = random.normal(size=50) / (step + 1)
        theirs.grad = torch.from_numpy(gradient.copy())
        judged.step()
        rule.move(ours, gradient, moments, step, (np.empty(50), np.empty(50)))
        assert np.allclose(ours, theirs.detach().numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("channels", "size", "kernel", "options"),
    [
        (1, (28, 28), (5, 5), {"stride": 2, "padding": 2}),
        (16, (14, 14), (5, 5), {"stride": 2, "padding": 2}),
        (3, (9, 7), (3, 5), {"padding": "same"}),
        (3, (9, 7), (3, 2), {"padding": "valid", "stride": (2, 3)}),
        (2, (6, 11), (3, 3), {"padding": (5, 1), "dilation": (1, 2), "bias": False}),
        (2, (11, 11), (3, 3), {"dilation": 2}),
        (4, (8, 8), (3, 3), {"groups": 2, "padding": 1}),
        (4, (8, 8), (1, 1), {"stride": 3}),
        (64, (40, 40), (3, 3), {"padding": 1}),
    ],
)
def test_convolutions_are_torchs(
    channels: int, size: tuple[int, int], kernel: tuple[int, int], options: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(channels, 8, kernel, **options).double()
    images = torch.randn(5, channels, *size, dtype=torch.float64, requires_grad=True)
    expected = layer(images)
    with PortableOperations("w", SEED).at(0):
        found = layer(images)
    assert found.is_contiguous()  # as torch gives it, so that a module may take a view
    towards = torch.randn_like(expected)
    wanted = [images, *layer.parameters()]
    for one, other in zip(
        (found, *torch.autograd.grad(found, wanted, towards)),
        (expected, *torch.autograd.grad(expected, wanted, towards)),
        strict=True,
    ):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"padding": "same", "dilation": 2}])
def test_convolutions_of_rows_are_torchs(options: dict[str, Any]) -> None:
    layer = nn.Conv1d(3, 5, 3, **options).double()
    rows = torch.randn(4, 3, 20, dtype=torch.float64)
    with PortableOperations("w", SEED).at(0):
        found = layer(rows)
    assert torch.allclose(found, layer(rows))


def lent(draw: Any, step: int = 0) -> Tensor:
    with PortableOperations("w", SEED).at(step):
        found: Tensor = draw()
    return found


ONES = torch.ones(20_000, 2, 2, dtype=torch.float64)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
@pytest.mark.parametrize(
    ("drop", "features"),
    [
        (functional.dropout, False),
        (functional.dropout2d, True),
        (lambda ones, rate: nn.Dropout(rate)(ones), False),
        (lambda ones, rate: nn.Dropout2d(rate)(ones), True),
    ],
)
def test_dropout_keeps_what_it_should_and_its_mean(drop: Any, features: bool, rate: float) -> None:
    found = lent(lambda: drop(ONES, rate))
    assert set(found.flatten().tolist()) == {0.0, 1 / (1 - rate)}
    assert float(found.mean()) == pytest.approx(1, abs=0.06)
    whole = bool((found.flatten(2).amin(2) == found.flatten(2).amax(2)).all())
    assert whole == features


def test_alpha_dropout_keeps_mean_and_spread() -> None:
    drawn = lent(lambda: torch.randn(200_000, dtype=torch.float64))
    found = lent(lambda: functional.alpha_dropout(drawn, 0.3, training=True))
    assert float(found.mean()) == pytest.approx(0, abs=0.02)
    assert float(found.std()) == pytest.approx(1, abs=0.02)


def test_noise_is_spread_as_it_should_be() -> None:
    even, normal = lent(lambda: torch.rand(100_000)), lent(lambda: torch.randn((400, 250)))
    assert (even.dtype, normal.dtype, tuple(normal.shape)) == (torch.float32, torch.float32, (400, 250))
    assert float(even.min()) >= 0
    assert float(even.max()) < 1
    assert float(even.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(normal.mean()) == pytest.approx(0, abs=0.02)
    assert float(normal.std()) == pytest.approx(1, abs=0.02)
    share = lent(lambda: torch.bernoulli(torch.full((100_000,), 0.2, dtype=torch.float64)))
    assert float(share.mean()) == pytest.approx(0.2, abs=0.01)


def test_draws_repeat_within_a_step_and_differ_between_draws_and_steps() -> None:
    def twice() -> Tensor:
        return torch.stack([torch.rand(100), torch.rand(100)])

    first = lent(twice)
    assert torch.equal(first, lent(twice))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, lent(twice, step=1))


def test_the_stream_is_this_one_everywhere() -> None:
    assert [hex(one) for one in words(SEED, "order of batches", 0, 2).tolist()] == STREAM
