"""Each published spoof deceives the verifier that it was made for, and is found here: so it is played as it was meant."""

from __future__ import annotations

import numpy as np
from quorumlearn.learning import Samples
from quorumlearn.learning.exact import State
from quorumlearn.replay import Work, spoofs
from quorumlearn.replay.cheats import Played, less, plus

from benchmarks.useful_work.crafting import crafted
from benchmarks.useful_work.linear import LinearTraining
from tests.client.replay.parties import parameters, work

P = parameters()


def distance(one: State, other: State) -> float:
    gap = less(one.weights, other.weights)
    return float(np.sqrt(sum((part**2).sum() for part in gap.values())))


def replayed(of: Work, played: Played, number: int, data: Samples) -> State:
    start, until = played.states[number - 1], of.step_of(number)
    return of.training.run(start, data, seed=of.seed, total=of.steps, until=until).end


def wanted() -> dict[str, np.ndarray]:
    """A model that was had otherwise."""
    return {name: one + np.array([0.3, -0.2, -0.1]) for name, one in work().begin.weights.items()}


def test_crafted_data_lead_where_they_should_and_are_what_a_verifier_is_handed_there() -> None:
    """A verifier who replays on the prover's data gets every byte, near a model that no training on the task's data went to."""
    handed: dict[int, Samples] = {}

    def craft(of: Work, start: State, target, number: int) -> Samples:  # type: ignore[no-untyped-def]
        handed[number] = crafted(of, start, target, number)
        return handed[number]

    played = spoofs.synthesised(work(), P, range(1, 7), wanted(), craft)
    assert sorted(handed) == [1, 2, 3, 4, 5, 6]
    for number, data in handed.items():
        assert replayed(work(), played, number, data) == played.states[number]
        assert distance(replayed(work(), played, number, work().data), played.states[number]) > 1e-3
    gap = played.states[-1].weights["top.weight"] - wanted()["top.weight"]
    assert np.abs(gap).max() < 0.03
    changed = handed[3].inputs - work().data.inputs
    assert 0 < np.abs(changed).max() < 3
    assert (changed == 0).all(axis=1).sum() > 40


def test_infinitesimal_updates_pass_within_a_tolerance_at_a_tiny_learning_rate() -> None:
    """A verifier who takes the prover's learning rate and allows 1e-4 of a usual step confirms each segment."""
    played = spoofs.infinitesimal(work(), P, range(1, 7), wanted(), 1e-6)
    usual = replayed(work(), played, 1, work().data)
    tolerance = 1e-4 * distance(usual, work().begin)
    named = work(training=LinearTraining(rate=1e-9))
    for number in range(1, 7):
        assert distance(replayed(named, played, number, work().data), played.states[number]) < tolerance
        assert distance(replayed(work(), played, number, work().data), played.states[number]) > tolerance


def test_the_largest_updates_of_a_blindfold_are_right() -> None:
    """A verifier who replays the Q largest updates confirms each of them, to the byte."""
    played = spoofs.blindfold(work(), P, 4, wanted(), 1e-4)
    sizes = {number: distance(played.states[number], played.states[number - 1]) for number in range(1, 7)}
    largest = sorted(sizes, key=lambda number: -sizes[number])[:4]
    assert sorted(largest) == [1, 2, 3, 4]
    for number in largest:
        assert replayed(work(), played, number, work().data) == played.states[number]


def test_no_step_is_lost_between_names() -> None:
    one = work().begin.weights
    moved = plus(one, one, 0.5)
    assert all((less(moved, one)[name] == one[name] * 0.5).all() for name in one)
