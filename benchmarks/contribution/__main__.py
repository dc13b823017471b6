"""Pay by contribution: what a miner that spoils its group's sum earns beside honest ones, and what many rounds' sums show of one miner.

Training, groups, Shapley values and medians are the system's own; chain and encryption are left out. Updates are averaged as they are, so
that nothing but the pay answers a cheat; three seats score coalitions on test sets of their own.

The reader knows the public sums of all rounds. It takes each miner to have something of its own in all its updates, beside what all have in
common, and solves for that by least squares. `read` is the mean cosine with what the miner's updates have of their own on average: of the
groups that each round's beacon draws, and of a division that stays as it was drawn first.

    python -m benchmarks.contribution [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from quorumlearn import learning, seeds
from quorumlearn_proto.block_pb2 import Ballot, BallotReason, Reason, Round, Selection, Verdict
from quorumlearn_proto.contribution import by_contribution, divided, group_parts, shapley, sums_of
from quorumlearn_proto.task_pb2 import Committee, RewardSplit, TaskSpec

WORKLOAD = "mnist-mlp"
CHEATS = ("honest", "noise", "label-flip", "sign-flip", "zero")
SEATS, TESTS, ALPHA, REWARD = 3, 500, 0.3, 10**9
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """samples: a miner's. rounds: of a task. read: after so many rounds sums are read. sizes: miners of a round, with groups of three."""

    samples: int
    rounds: int
    read: tuple[int, ...]
    sizes: tuple[int, ...]


WHOLE, QUICK = Scale(300, 20, (5, 20, 50), (8, 12)), Scale(40, 2, (2,), (6,))


@dataclass(frozen=True)
class Paid:
    """cheat: what the last miner does. groups: of a round. pay: the cheat's, in parts of the honest ones' mean. spread: the deviation of
    honest miners' pay over the task, in parts of their mean. accuracy: of the last model. by_weight: rounds that no ballots decided."""

    miners: int
    cheat: str
    groups: int
    pay: float
    spread: float
    accuracy: float
    by_weight: int


@dataclass(frozen=True)
class Read:
    """Mean cosines, by how the sums were divided."""

    division: str
    miners: int
    rounds: int
    drawn: float
    stays: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contribution", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few samples: to see that it runs")
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("QUORUMLEARN_DATA"),
        help="folder with MNIST's four IDX files; QUORUMLEARN_DATA if that is set",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    chosen = parser.parse_args()
    scale = QUICK if chosen.quick else WHOLE
    data = learning.load_digits(learning.DigitsSource(folder=chosen.data, download=False))
    paid = [asdict(one) for one in _paid(scale, data)]
    read = [asdict(one) for one in _read(scale, data)]
    if chosen.json:
        sys.stdout.write(json.dumps({**asdict(scale), "paid": paid, "read": read}) + "\n")
    else:
        sys.stdout.write(f"{_table(paid)}\n{_table(read)}")
    return 0


def _paid(scale: Scale, data: learning.Digits) -> Iterator[Paid]:
    for miners in scale.sizes:
        for cheat in CHEATS:
            yield _task(scale, data, miners, cheat)


def _task(scale: Scale, data: learning.Digits, miners: int, cheat: str) -> Paid:
    workload = learning.get_workload(WORKLOAD, {})
    names = [f"M/{number:02d}" for number in range(miners)]
    shards = _shards(data, "iid", miners, scale.samples)
    tests = [data.test.take(one[:TESTS]) for one in learning.iid(data.test.targets, SEATS, 5)]
    model = workload.initial_model(7)
    paid, undecided, groups = np.zeros(miners), 0, 0
    for number in range(scale.rounds):
        updates = [_taught(workload, model, one, number, place) for place, one in enumerate(shards)]
        updates[-1] = _cheated(cheat, workload, model, shards[-1], updates[-1], number)
        now = _round(_spec(), names, number)
        sums = [np.sum([updates[names.index(one)] for one in group], axis=0) for group in sums_of(now)]
        sizes, groups = [len(group) for group in sums_of(now)], len(sums)
        models = [
            learning.apply_update(model, _mean(sums, sizes, place)) if place else model
            for place in range(1 << len(sums))
        ]
        ballots = [_ballot(workload, models, test) for test in tests]
        parts = group_parts(_spec(), ballots)
        undecided += not parts
        given = by_contribution(REWARD, now, parts or sizes)
        paid += [dict(given)[name] for name in names]
        model = models[-1]
    honest = paid[:-1]
    return Paid(
        miners,
        cheat,
        groups,
        round(float(paid[-1] / honest.mean()), 2),
        round(float(honest.std() / honest.mean()), 2),
        round(workload.evaluate(model, data.test).value, 3),
        undecided,
    )


def _spec() -> TaskSpec:
    return TaskSpec(
        byzantine=1,
        committee=Committee(msp_ids=["A", "B", "C"], threshold=2),
        reward=RewardSplit(by_contribution=True),
    )


def _round(spec: TaskSpec, names: Sequence[str], number: int) -> Round:
    """A round in which all contribute alike, divided by a beacon of its own."""
    beacon = f"{seeds.derive('contribution', 'beacon', number):064x}"
    groups = divided(spec, beacon, [], dict.fromkeys(names, 1))
    verdicts = [Verdict(miner=name, weight=1, reason=Reason.CONTRIBUTES) for name in names]
    return Round(
        miners=names, selection=Selection(verdicts=verdicts), groups=[groups[name] for name in names]
    )


def _mean(sums: Sequence[Floats], sizes: Sequence[int], place: int) -> Floats:
    inside = [group for group in range(len(sums)) if place >> group & 1]
    total: Floats = np.sum([sums[group] for group in inside], axis=0) / sum(sizes[group] for group in inside)
    return total


def _ballot(workload: learning.Workload, models: Sequence[learning.Model], test: learning.Samples) -> Ballot:
    scores = [round(workload.evaluate(one, test).value * 1_000_000) for one in models]
    return Ballot(
        reason=BallotReason.GOOD, score=scores[-1], base_score=scores[0], contributions=shapley(scores)
    )


def _shards(data: learning.Digits, division: str, miners: int, samples: int) -> list[learning.Samples]:
    labels = data.train.targets[: 2 * miners * samples]
    parts = (
        learning.iid(labels, miners, 1) if division == "iid" else learning.dirichlet(labels, miners, ALPHA, 1)
    )
    return [data.train.take(part[:samples]) for part in parts]


def _taught(
    workload: learning.Workload, base: learning.Model, data: learning.Samples, *place: int | str
) -> Floats:
    trained = workload.train(base, data, seed=seeds.derive("contribution", *place)).model
    return np.asarray(learning.difference(trained, base), np.float64)


def _cheated(
    cheat: str,
    workload: learning.Workload,
    base: learning.Model,
    data: learning.Samples,
    own: Floats,
    number: int,
) -> Floats:
    """What the last miner sends; noise is as long as what it has learned."""
    if cheat == "noise":
        noise = np.random.default_rng(number).normal(size=own.shape)
        return np.asarray(noise * np.linalg.norm(own) / np.linalg.norm(noise))
    if cheat == "label-flip":
        return _taught(workload, base, learning.Samples(data.inputs, 9 - data.targets), number, "flipped")
    return {"honest": own, "sign-flip": -own, "zero": np.zeros_like(own)}[cheat]


def _read(scale: Scale, data: learning.Digits) -> Iterator[Read]:
    for division in ("iid", f"Dirichlet {ALPHA}"):
        for miners in scale.sizes:
            workload = learning.get_workload(WORKLOAD, {})
            shards = _shards(data, division, miners, scale.samples)
            model = workload.initial_model(7)
            drawn, stays = _Reader(miners, stays=False), _Reader(miners, stays=True)
            own: Floats | float = 0.0
            for number in range(max(scale.read)):
                updates = np.stack(
                    [_taught(workload, model, one, number, place) for place, one in enumerate(shards)]
                )
                model = learning.apply_update(model, updates.mean(axis=0))
                own = own + updates - updates.mean(axis=0)
                for reader in (drawn, stays):
                    reader.see(updates, number)
                if number + 1 in scale.read:
                    found = (_cosine(reader.solved(), own) for reader in (drawn, stays))
                    yield Read(division, miners, number + 1, *found)


class _Reader:
    """Solves for each miner's own part by least squares, from the normal equations of all groups' sums that it has seen."""

    def __init__(self, miners: int, *, stays: bool) -> None:
        self.names = [f"M/{number:02d}" for number in range(miners)]
        self.stays = stays
        self._square = np.zeros((miners, miners))
        self._right: Floats | float = 0.0

    def see(self, updates: Floats, number: int) -> None:
        """The sums of a round's groups, beside what one sum of all would show."""
        for group in sums_of(_round(_spec(), self.names, 0 if self.stays else number)):
            row = np.array([float(name in group) for name in self.names])
            self._square += np.outer(row, row)
            self._right = self._right + np.outer(row, row @ updates - row.sum() * updates.mean(axis=0))

    def solved(self) -> Floats:
        """Each miner's own part, (miners, d)."""
        return np.asarray(np.linalg.pinv(self._square) @ self._right)


def _cosine(found: Floats, true: Floats | float) -> float:
    true = np.asarray(true)
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(true, axis=1)
    return round(float(((found * true).sum(axis=1) / np.maximum(lengths, 1e-12)).mean()), 2)


def _table(rows: Sequence[dict[str, object]]) -> str:
    lines: list[list[object]] = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(f"| {' | '.join(str(cell).replace('_', ' ') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
