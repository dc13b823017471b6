"""A cheat puts a checkpoint on an edge, where processors differ and each is right. Seats of one kind would find its work right and those of
another wrong: t of the one kind would have honest seats of the other slashed for false reports, and honest miners too, if an owner
puts its initial model there. So nobody is judged by such a segment."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from quorumlearn.learning.exact import exact_training
from quorumlearn.replay import Outcome, Work, check, steady
from quorumlearn.replay.cheats import Played, Way, honest, skipping
from quorumlearn_proto.block_pb2 import Manifest, Submission

from tests.client.learning.exact import played as trainings
from tests.client.learning.exact.modules import SEED, begun
from tests.client.learning.exact.test_paths import PATHS, ROOT
from tests.client.replay.edges import parameters, played, work
from tests.client.replay.parties import BEACON, MINER, ROUND, SALT, TASK


def on_path(path: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.client.replay.edges"],
        cwd=ROOT,
        env={**os.environ, **PATHS[path], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


class Seat:
    """A seat's look at all items of what a miner has played."""

    def __init__(self, of: Work, by: Played) -> None:
        self.work = of
        self.drawn = list(range(1, of.last_item + 1))
        manifest = Manifest(trace_root=by.root, steps=of.steps)
        self.submission = Submission(task_id=TASK, round=ROUND, miner=MINER, manifest=manifest)
        opening = by.open(self.drawn, task_id=TASK, number=ROUND, miner=MINER, salt=SALT)
        self.opening = opening.SerializeToString(deterministic=True)

    def outcome(self, item: int) -> Outcome:
        (found,) = check(
            self.opening,
            self.submission,
            self.work,
            parameters(self.work),
            BEACON,
            drawn=self.drawn,
            items=[item],
        )
        return found.outcome

    def steady(self, item: int, **changes: bytes) -> bool:
        opening = changes.get("opening", self.opening)
        return steady(opening, self.submission, self.work, BEACON, drawn=self.drawn, item=item)


@pytest.fixture(scope="module")
def cheat() -> Seat:
    of = work()
    return Seat(of, played(of))


def test_what_starts_on_an_edge_differs_between_processors() -> None:
    """The play: where the machine has a path besides the default one at all."""
    mine, other = on_path("as it is"), on_path("default")
    if trainings_path() == "DEFAULT":
        pytest.skip("this machine has the path DEFAULT only")
    assert mine != other


def trainings_path() -> str:
    import torch

    return torch.backends.cpu.get_cpu_capability()


def test_on_its_own_processor_the_cheat_is_found_right_but_for_what_it_made_up(cheat: Seat) -> None:
    assert [cheat.outcome(item) for item in cheat.drawn[:3]] == [
        Outcome.WRONG,
        Outcome.RIGHT,
        Outcome.RIGHT,
    ]


def test_what_starts_on_an_edge_is_not_steady_and_what_was_made_up_is(cheat: Seat) -> None:
    """Segment 1 starts from the base, and is wrong everywhere."""
    assert [cheat.steady(item) for item in cheat.drawn[:2]] == [True, False]


def test_an_opening_that_is_none_is_no_matter_of_arithmetic(cheat: Seat) -> None:
    assert cheat.steady(2, opening=b"\xff")
    assert cheat.steady(cheat.work.last_item)


@pytest.mark.parametrize("name", ["sgd", "adam", "mnist", "middles"])
def test_honest_segments_are_steady(name: str) -> None:
    """Convolutions, BatchNorm, dropout, pooling, and gradients in the middle between grid points."""
    of, data, steps = trainings.trainings()[name]
    base = of.initial_model(1) if name == "mnist" else begun(of)  # type: ignore[arg-type]
    done = Work(exact_training(of, portable=True, grid_bits=20), base, data, SEED, steps, max(1, steps // 3))
    seat = Seat(done, honest(done, parameters(done)))
    assert all(seat.steady(item) for item in seat.drawn)


@pytest.mark.parametrize("way", Way)
def test_skipped_segments_are_steady_and_wrong(way: Way) -> None:
    done = work()
    seat = Seat(done, skipping(done, parameters(done), (2, 3), way))
    assert [seat.steady(item) for item in (2, 3)] == [True, True]
    assert [seat.outcome(item) for item in (2, 3)] == [Outcome.WRONG, Outcome.WRONG]
