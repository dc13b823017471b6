"""Of each cheat exactly that is found wrong which it did not do: with everything drawn, nothing is missed and nothing else is blamed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from quorumlearn import ckks
from quorumlearn.replay import Outcome, Work, cheats, spoofs, steps_of
from quorumlearn.replay.cheats import Played, Way
from quorumlearn_proto.block_pb2 import Manifest, Submission

from benchmarks.useful_work.crafting import crafted
from benchmarks.useful_work.linear import LinearTraining
from tests.client.replay.parties import BEACON, MINER, ROUND, SALT, TASK, Party, checked, parameters, work

SEGMENTS = frozenset(range(1, 7))
P = parameters()


def drawn() -> np.random.Generator:
    return np.random.default_rng(7)


def other(**changes: object) -> Work:
    return work(**changes)


def wanted() -> dict[str, np.ndarray]:
    return {name: one + np.array([0.3, -0.2, -0.1]) for name, one in work().begin.weights.items()}


def a_step_off() -> Played:
    """The smallest lie about an update: one value, one grid step."""
    played = cheats.honest(work(), P)
    values = played.values.copy()
    values[3] += 1
    return cheats.other_update(played, values)


PLAYED: dict[str, tuple[Callable[[], Played], frozenset[int]]] = {
    "honest": (lambda: cheats.honest(work(), P), frozenset()),
    **{
        f"skips {sorted(skipped)}, {way.name}": (
            partial(cheats.skipping, work(), P, frozenset(skipped), way),
            frozenset(skipped),
        )
        for way in Way
        for skipped in ({3}, {1}, {6}, {2, 3, 5}, SEGMENTS)
    },
    "leaves out a step of each segment": (lambda: cheats.thinning(work(), P, 1), SEGMENTS),
    "leaves out all steps but one": (lambda: cheats.thinning(work(), P, 9), SEGMENTS),
    "other data": (
        lambda: cheats.other_work(work(), P, other(data=LinearTraining().samples(64, 9))),
        SEGMENTS,
    ),
    "fewer samples": (
        lambda: cheats.other_work(work(), P, other(data=cheats.fewer_samples(work().data, 32))),
        SEGMENTS,
    ),
    "another seed": (lambda: cheats.other_work(work(), P, other(seed=bytes(32))), SEGMENTS),
    "another learning rate": (
        lambda: cheats.other_work(work(), P, other(training=LinearTraining(rate=0.05))),
        SEGMENTS,
    ),
    "a copied trace": (lambda: cheats.copied(work(), P, cheats.honest(other(seed=bytes(32)), P)), SEGMENTS),
    "the last public step": (
        lambda: cheats.public_step(work(), P, np.full(15, 0.1), 0.1, drawn()),
        SEGMENTS,
    ),
    "another update": (
        lambda: cheats.other_update(cheats.honest(work(), P), np.ones(15, dtype=np.int64)),
        frozenset({7}),
    ),
    "an update that is a step off": (a_step_off, frozenset({7})),
    "synthesised data": (
        lambda: spoofs.synthesised(work(), P, {2, 4, 5}, wanted(), crafted),
        frozenset({2, 4, 5}),
    ),
    "infinitesimal updates": (
        lambda: spoofs.infinitesimal(work(), P, {2, 4, 5}, wanted(), 1e-12),
        frozenset({2, 4, 5}),
    ),
    "blindfold": (lambda: spoofs.blindfold(work(), P, 4, wanted(), 1e-6), frozenset({5, 6})),
}


def submission(played: Played) -> Submission:
    claim = ckks.claim(P, ckks.round_plan(P, BEACON), played.values, MINER, SALT).hex()
    manifest = Manifest(trace_root=played.root, steps=work().steps)
    return Submission(task_id=TASK, round=ROUND, miner=MINER, manifest=manifest, claim=claim)


def outcomes(played: Played) -> list[Outcome]:
    opening = played.open(range(1, 8), task_id=TASK, number=ROUND, miner=MINER, salt=SALT)
    return [one.outcome for one in checked(opening, submission(played), work())]


@pytest.mark.parametrize("name", PLAYED)
def test_exactly_what_was_not_done_is_found_wrong(name: str) -> None:
    play, false = PLAYED[name]
    played = play()
    assert played.false == false
    found = outcomes(played)
    assert Outcome.FAILED not in found
    assert {at for at, one in enumerate(found, 1) if one is Outcome.WRONG} == false


def test_float32_passed_off_as_exact_is_wrong_wherever_its_bytes_differ() -> None:
    cheap = LinearTraining(arithmetic=np.float32)
    played = cheats.other_work(work(), P, other(training=cheap))
    assert played.false
    found = outcomes(played)
    assert {at for at, one in enumerate(found, 1) if one is Outcome.WRONG} == played.false
    assert found[6] is Outcome.RIGHT


def test_an_honest_cheat_is_the_honest_miner() -> None:
    assert cheats.honest(work(), P).root == Party().trace.root


def test_a_copied_trace_with_an_honest_update_of_ones_own_is_found_twice() -> None:
    copied = cheats.copied(work(), P, cheats.honest(other(seed=bytes(32)), P))
    own = steps_of(work().base, Party().trace.last.weights, P, work().seed)
    both = cheats.other_update(copied, own)
    assert both.false == SEGMENTS | {7}
    assert outcomes(both) == [Outcome.WRONG] * 7


def test_a_copied_update_is_found_by_the_copiers_own_seed() -> None:
    """The other's last checkpoint, brought onto the grid by the copier's seed, is not what the other encrypted."""
    theirs = cheats.honest(other(seed=bytes(32)), P)
    copied = cheats.other_update(cheats.copied(work(), P, theirs), theirs.values)
    assert outcomes(copied)[6] is Outcome.WRONG
