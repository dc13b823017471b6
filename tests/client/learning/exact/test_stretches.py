"""Stretches of an exact training: they join to the byte, follow a log of near ties, and refuse one that lies."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from quorumlearn.learning import ModelError, Samples, TrainingError, get_workload
from quorumlearn.learning.exact import ExactTraining, NearTie, State, WrongTie, exact_training
from torch import Tensor, nn

from tests.client.learning.exact.modules import CLASSES, SEED, SIDE, Pictures, begun, pictures, workload
from tests.client.learning.exact.played import MIDDLES, play

TOTAL = 12


@pytest.fixture(params=["portable", "profile"])
def training(request: pytest.FixtureRequest) -> ExactTraining:
    of = workload(optimiser=torch.optim.Adam, config={"epochs": 2, "learning_rate": 0.003})
    return exact_training(of, portable=request.param == "portable", grid_bits=20)


@pytest.fixture
def first(training: ExactTraining) -> State:
    return training.begin(begun(workload()))


def test_a_training_in_parts_is_the_whole_one(training: ExactTraining, first: State) -> None:
    """Also within an epoch; a state is all that passes from one part to the next."""
    data, told = pictures(), list[int]()
    whole = training.run(
        first, data, seed=SEED, total=TOTAL, until=TOTAL, on_step=lambda done, _: told.append(done)
    )
    assert told == [*range(1, TOTAL + 1)]
    state = first
    ties: list[NearTie] = []
    for until in (1, 4, 5, TOTAL):
        part = training.run(state, data, seed=SEED, total=TOTAL, until=until)
        state, ties = part.end, [*ties, *part.ties]
    assert state == whole.end
    assert tuple(ties) == whole.ties


def test_a_run_changes_nothing_that_it_was_given(training: ExactTraining, first: State) -> None:
    data, before = pictures(), training.begin(begun(workload()))
    once = training.run(first, data, seed=SEED, total=TOTAL, until=2)
    again = training.run(first, data, seed=SEED, total=TOTAL, until=2)
    assert first == before
    assert once == again


@pytest.mark.parametrize("other", ["seed", "data", "weights", "optimiser"])
def test_whatever_differs_shows_in_end_and_receipt(other: str) -> None:
    of = workload(config={"momentum": 0.9})
    training = exact_training(of, portable=True, grid_bits=20)
    data = pictures()
    state = training.run(training.begin(begun(of)), data, seed=SEED, total=6, until=2).end
    honest = training.run(state, data, seed=SEED, total=6, until=4)
    seed = SEED
    if other == "seed":
        seed = bytes(32)
    elif other == "data":
        data = Samples(data.inputs ^ np.uint8(1), data.targets)
    elif other == "weights":
        name = "head.3.bias"
        changed = np.nextafter(state.weights[name], 1)
        state = replace(state, weights={**state.weights, name: changed})
    else:
        state = replace(state, optimiser={"momentum": state.optimiser["momentum"] + 2.0**-20})
    cheat = training.run(state, data, seed=seed, total=6, until=4)
    assert cheat.end != honest.end
    assert other in {"weights", "optimiser"} or cheat.receipt != honest.receipt


def test_a_replay_takes_the_logs_side_of_a_near_tie() -> None:
    honest = play("middles")
    turned = [replace(one, up=not one.up) for one in honest.ties]
    other = play("middles", turned)
    assert play("middles", honest.ties) == honest
    assert other.ties == tuple(turned)
    moved = np.abs(other.end.weights["weight"] - honest.end.weights["weight"])
    assert np.allclose(moved, 0.1 * 2.0**-20, rtol=1e-6)


def test_values_that_are_near_no_middle_may_not_be_in_a_log() -> None:
    log = play("middles").ties
    for step, coordinate in ((0, 0), (0, MIDDLES + 1), (0, -1), (1, 3), (-1, 3)):
        with pytest.raises(WrongTie):
            play("middles", sorted([*log[3:], NearTie(step, coordinate, True)]))
    with pytest.raises(WrongTie, match="near a middle"):
        play("sgd", [NearTie(3, 7, True)])


def test_a_log_is_in_order_and_names_none_twice() -> None:
    log = list(play("middles").ties)
    for wrong in ([log[1], log[0], *log[2:]], [log[0], *log], [log[0], replace(log[0], up=not log[0].up)]):
        with pytest.raises(WrongTie, match="in order"):
            play("middles", wrong)


def test_steps_and_states_that_cannot_be_are_refused(training: ExactTraining, first: State) -> None:
    data = pictures()

    def run(state: State, until: int = 2, total: int = TOTAL, data: Samples = data) -> None:
        training.run(state, data, seed=SEED, total=total, until=until)

    for until, total in ((0, TOTAL), (TOTAL + 1, TOTAL), (2, 11), (2, 1000)):
        with pytest.raises(TrainingError):
            run(first, until, total)
    with pytest.raises(TrainingError):
        run(first, data=data.take(np.arange(0)))
    name = "head.3.bias"
    for wrong in (
        replace(first, weights={one: first.weights[one] for one in first.weights if one != name}),
        replace(first, weights={**first.weights, name: first.weights[name].astype(np.float16)}),
        replace(first, weights={**first.weights, name: first.weights[name] + np.inf}),
        replace(first, weights={**first.weights, name: first.weights[name][:2]}),
        replace(first, optimiser={"first": np.zeros(3)}),
        replace(first, step=1),
    ):
        with pytest.raises(ModelError):
            run(wrong)
    with pytest.raises(ModelError):
        training.begin({})


def test_onednn_has_no_part_in_portable_training() -> None:
    """It computes in float32 and less, so nothing of the process has to be switched off."""
    with_it = play("sgd")
    with torch.backends.mkldnn.flags(enabled=False):
        assert play("sgd") == with_it


def test_trainings_side_by_side_do_not_disturb_each_other() -> None:
    alone = [play("sgd"), play("adam")]
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(play, ("sgd", "adam"))) == alone


@pytest.mark.parametrize("value", [-1.0, 1e30, 1e38])
def test_a_state_with_absurd_numbers_ends_in_an_error_or_a_state(
    training: ExactTraining, value: float
) -> None:
    """A checkpoint may come from anybody."""
    data = pictures()
    state = training.run(training.begin(begun(workload())), data, seed=SEED, total=TOTAL, until=1).end
    for kind in ("weights", "optimiser"):
        arrays = getattr(state, kind)
        for name in arrays:
            changed = {**arrays, name: np.full_like(arrays[name], value)}
            wrong = (
                replace(state, weights=changed) if kind == "weights" else replace(state, optimiser=changed)
            )
            try:
                end = training.run(wrong, data, seed=SEED, total=TOTAL, until=2).end
            except TrainingError:
                continue
            assert all(np.isfinite(one).all() for one in (*end.weights.values(), *end.optimiser.values()))


def test_shapes_of_a_state_are_told_beforehand(training: ExactTraining, first: State) -> None:
    end = training.run(first, pictures(), seed=SEED, total=TOTAL, until=1).end
    assert {name: one.shape for name, one in end.weights.items()} == dict(training.weights)
    assert {name: one.shape for name, one in end.optimiser.items()} == dict(training.optimiser)


class Shaken(Pictures):
    """Draws from the generators of numpy and Python, which are the same everywhere."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs * (1 + 0.1 * np.random.random()) + 0.1 * random.random())


def test_what_a_module_draws_from_numpy_and_python_is_the_steps_own() -> None:
    of = workload(Shaken)
    training, data = exact_training(of, portable=True, grid_bits=20), pictures()
    first = training.begin(begun(of))
    whole = training.run(first, data, seed=SEED, total=4, until=4)
    half = training.run(first, data, seed=SEED, total=4, until=2)
    random.seed(1)
    np.random.seed(1)
    assert training.run(half.end, data, seed=SEED, total=4, until=4).end == whole.end
    assert training.run(first, data, seed=bytes(32), total=4, until=4).end != whole.end


def test_a_running_variance_below_zero_begins_at_zero(training: ExactTraining) -> None:
    base = begun(workload())
    name = "body.1.running_var"
    base[name] = np.array([-1, 0, 1, 2, 3, 4], np.float32)
    assert training.begin(base).weights[name].tolist() == [0, 0, 1, 2, 3, 4]


def test_running_statistics_of_unscaled_values_are_kept() -> None:
    """Their grid is as coarse as they are large, and joins like any other."""

    def net() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(SIDE * SIDE), nn.Linear(SIDE * SIDE, CLASSES))

    of, data = workload(net), pictures()
    large = Samples(data.inputs.astype(np.float32) * 3e4, data.targets)
    training = exact_training(of, portable=True, grid_bits=20)
    first = training.begin(begun(of))
    whole = training.run(first, large, seed=SEED, total=4, until=4)
    half = training.run(first, large, seed=SEED, total=4, until=2)
    assert training.run(half.end, large, seed=SEED, total=4, until=4).end == whole.end
    variance = whole.end.weights["1.running_var"]
    assert variance.max() > 2**40
    assert np.array_equal(variance, np.round(variance))


def test_gradients_too_large_for_the_grid_are_refused_with_the_way_out() -> None:
    of = workload(loss=lambda outputs, targets: 1e9 * torch.nn.functional.cross_entropy(outputs, targets))
    training = exact_training(of, portable=True, grid_bits=20)
    with pytest.raises(TrainingError, match="fewer grid_bits"):
        training.run(training.begin(begun(of)), pictures(), seed=SEED, total=4, until=4)


def test_the_networks_on_digits_learn_as_in_float32() -> None:
    of = get_workload("mnist-mlp", {"learning_rate": "0.1", "batch_size": "16"})
    drawn = np.random.Generator(np.random.PCG64(2))
    bars = drawn.integers(0, 60, (160, 28, 28), dtype=np.uint8)
    classes = np.arange(160) % 10
    for picture, of_class in zip(bars, classes, strict=True):
        picture[:, 2 * of_class + 2 : 2 * of_class + 4] = 220
    data = Samples(bars, classes.astype(np.int64))
    base = of.initial_model(1)
    losses = []
    for portable in (True, False):
        training = exact_training(of, portable=portable, grid_bits=20)
        losses.append(training.run(training.begin(base), data, seed=SEED, total=10, until=10).loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
