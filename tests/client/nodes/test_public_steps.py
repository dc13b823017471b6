"""How the public model moved: read from the chain of blocks, sketched while miners reveal, and who sends it again is not paid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactMissing
from quorumlearn.nodes.committee.round_part import RoundPart
from quorumlearn.nodes.models import workload_record
from quorumlearn.nodes.public_steps import MOST, Chain, known_steps, steps_before
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.common_pb2 import Head

from tests.client.nodes.committee import Committee
from tests.client.nodes.played_round import SEATS, Played

PUBLIC = ["bottom"]
WORKLOAD = learning.get_workload("mnist-cnn", {})
SIZE = learning.size_of(learning.public_shapes(WORKLOAD.shapes, PUBLIC))
RIDER, WORKERS = "M/a", ("M/b", "M/c")


def step(number: int) -> np.ndarray:
    """Grid steps (d,) of which float32 models lose nothing."""
    return np.random.default_rng(number).integers(-900, 901, SIZE)


class Chained(Played):
    """A round on block 6 of a chain: block h moved the model by step(h), and block 4 was reverted and built anew at height 5."""

    def __init__(self, folder: Path) -> None:
        committee = Committee(3, 2, 3, sketch_size=64, security=128, size=SIZE)
        noise = np.random.default_rng(9).integers(-90, 91, SIZE)
        committee.values[RIDER] = step(6) + noise
        super().__init__(folder, committee)
        self.spec.workload.CopyFrom(workload_record(WORKLOAD, PUBLIC))
        self.spec.rule.name = "mean"
        p, models = committee.parameters, {}
        models[0] = {
            name: np.zeros(shape, dtype=np.float32)
            for name, shape in learning.public_shapes(WORKLOAD.shapes, PUBLIC).items()
        }
        for height, before in ((1, 0), (2, 1), (3, 2), (4, 3), (5, 3), (6, 5)):
            models[height] = learning.apply_update(models[before], ckks.dequantise(step(height), 1, p))
            self.add(height, before, models[height])
        self.add(0, None, models[0])
        self.blocks[4].status = b.REVERTED
        now = self.view.round
        now.base.CopyFrom(self.head(6))

    def add(self, height: int, before: int | None, model: learning.Model) -> None:
        previous = "specification" if before is None else f"digest {before}"
        core = b.BlockCore(height=height, previous=previous, model=self.store.put(learning.to_bytes(model)))
        self.blocks[height] = b.Block(core=core, digest=f"digest {height}", status=b.GOOD_BLOCK)

    def head(self, height: int) -> Head:
        return Head(height=height, digest=f"digest {height}", model=self.blocks[height].core.model)

    def known(self, height: int) -> list[int]:
        """The heights of the steps that a round on this block knows, newest first."""
        steps = known_steps(self.store, self.spec, self.head(height), Chain(self.blocks.__getitem__))
        return [next(h for h in range(1, 7) if np.array_equal(one, step(h))) for one in steps]

    def forget(self, height: int) -> None:
        digest = self.blocks[height].core.model.digest
        next((self.folder / "store").rglob(digest)).unlink()

    def ready(self) -> None:
        self.screened()
        self.shown(*SEATS)


@pytest.fixture
def chained(tmp_path: Path) -> Chained:
    return Chained(tmp_path)


def found(selection: b.Selection) -> dict[str, tuple[int, int]]:
    return {one.miner: (one.weight, one.reason) for one in selection.verdicts}


def test_the_last_steps_are_those_of_the_blocks_that_the_base_was_built_on(chained: Chained) -> None:
    assert [chained.known(height) for height in (0, 1, 2, 3)] == [[], [1], [2, 1], [3, 2, 1]]
    assert chained.known(6) == [6, 5, 3]  # block 4 was reverted
    assert len(chained.known(6)) == MOST


def test_a_task_that_takes_late_updates_knows_what_was_known_when_they_were_learned(chained: Chained) -> None:
    chained.spec.workload.config["late_rounds"] = "1"
    assert [chained.known(height) for height in (1, 3, 6)] == [[], [2, 1], [5, 3, 2]]


def test_a_block_is_asked_for_once_and_one_that_was_built_anew_is_found(chained: Chained) -> None:
    asked: list[int] = []

    def block(height: int) -> b.Block:
        asked.append(height)
        return chained.blocks[height]

    chain = Chain(block)
    assert [core.height for core in chain.back_from(chained.head(5))] == [5, 3, 2, 1, 0]
    assert sorted(asked) == [0, 1, 2, 3, 4, 5]
    asked.clear()
    assert [core.height for core in chain.back_from(chained.head(6))] == [6, 5, 3, 2, 1, 0]
    assert asked == [6]
    anew = b.Block(core=chained.blocks[6].core, digest="digest of another")
    anew.core.previous = "digest 3"
    chained.blocks[6].CopyFrom(anew)
    base = Head(height=6, digest=anew.digest, model=anew.core.model)
    assert [core.height for core in chain.back_from(base)] == [6, 3, 2, 1, 0]
    assert asked == [6, 6]


def test_a_rider_knows_the_last_step(chained: Chained) -> None:
    (last,) = steps_before(
        chained.store, chained.spec, chained.head(6), Chain(chained.blocks.__getitem__), slice(0, 1)
    )
    np.testing.assert_array_equal(last, step(6))


def test_every_seat_gives_no_weight_to_who_sends_the_last_step_again(chained: Chained) -> None:
    chained.ready()
    votes = [chained.seat(seat).vote(chained.view, grace_over=False)[0] for seat in SEATS]
    assert all(vote == votes[0] for vote in votes)
    assert found(votes[0]) == {RIDER: (0, b.NOTHING_NEW)} | dict.fromkeys(WORKERS, (1, b.CONTRIBUTES))


def test_the_task_says_how_much_must_be_new(chained: Chained) -> None:
    chained.spec.rule.parameters["least_new"] = "0.01"
    chained.ready()
    verdicts = found(chained.seat(1).vote(chained.view, grace_over=False)[0])
    assert verdicts[RIDER] == (1, b.CONTRIBUTES)


def test_the_steps_are_sketched_before_the_vote_which_needs_the_old_models_no_more(chained: Chained) -> None:
    chained.ready()
    early, late = chained.seat(1), chained.seat(2)
    early.prepare(chained.view)
    chained.forget(3)
    assert found(early.vote(chained.view, grace_over=False)[0])[RIDER] == (0, b.NOTHING_NEW)
    with pytest.raises(
        ArtifactMissing
    ):  # a seat that does not know all steps does not vote as if there were fewer
        late.vote(chained.view, grace_over=False)


def test_a_first_round_asks_for_nothing_new(chained: Chained) -> None:
    chained.view.round.base.CopyFrom(chained.head(0))
    chained.ready()
    part: RoundPart = chained.seat(1)
    assert {reason for _, reason in found(part.vote(chained.view, grace_over=False)[0]).values()} == {
        b.CONTRIBUTES
    }
