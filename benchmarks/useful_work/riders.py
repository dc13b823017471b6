"""What free riders earn in a robust task, and where training is replayed: the same two of eight miners, by the same noises.

The robust side is `benchmarks.free_riding`, as it is, with its rule against riders. On the other side every miner's training is checked as
seats do, on the functions of `quorumlearn.replay`, without chain and encryption: a start beacon fixes each training's data and seed, riders
put checkpoints on a line to the update that they send, a beacon draws DRAWN segments, and whose items are all right is paid alike. One
drawn segment is the least that a task can ask for.

Pay is in parts of the mean of the others. `caught` counts trainings of riders, `rejected` those of honest miners.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from quorumlearn import ckks, learning, robust, seeds
from quorumlearn.attacks import Sight, make_behaviour
from quorumlearn.learning.exact import ExactTraining, exact_training
from quorumlearn.replay import Outcome, Work, cheats, check
from quorumlearn.replay.cheats import Played
from quorumlearn_proto.block_pb2 import Manifest, Submission
from quorumlearn_proto.recompute import drawn_segments

from benchmarks.free_riding.play import Setting, Size, play
from benchmarks.useful_work.options import Options, Row

NOISES = ("0.2", "0.5", "1", "1.5", "2.3", "4")
QUICK_NOISES = ("0.2",)
QUICK = Size(miners=5, byzantine=1, rounds=2, samples=64)
SEGMENT_STEPS, DRAWN, GRID_BITS, BOUND = 2, 1, 20, 0.5
NAME = "riders"


def measure(options: Options) -> list[Row]:
    """A row for each thing that riders do."""
    data = None if options.data is None else str(options.data)
    size = Size(**{**(vars(QUICK) if options.quick else vars(Size())), "data": data})
    if options.rounds is not None:
        size = Size(**{**vars(size), "rounds": options.rounds})
    noises = QUICK_NOISES if options.quick else NOISES
    return [_row(size, does) for does in (*(f"free-rider:{noise}" for noise in noises), "one-batch")]


def _row(size: Size, does: str) -> Row:
    first = size.miners - size.byzantine
    riders = dict.fromkeys(range(first, size.miners), does)
    ruled = play(size, Setting("riders"), riders, robust.LEAST_NEW)
    replayed = Recomputed(size).play(riders)
    return {
        "riders": does,
        "pay, robust": _pay(ruled.shares, first),
        "accuracy, robust": round(ruled.accuracy[-1], 3),
        "pay, recompute": _pay(replayed.paid, first),
        "accuracy, recompute": round(replayed.accuracy, 3),
        "caught": f"{replayed.caught} of {size.byzantine * size.rounds}",
        "rejected": f"{replayed.rejected} of {first * size.rounds}",
    }


def _pay(shares: NDArray[np.float64], first: int) -> float:
    return round(float(shares[first:].mean() / shares[:first].mean()), 2)


@dataclass(frozen=True)
class Outcomes:
    """paid: rounds in which each miner was. caught and rejected: trainings of riders and of others that were found wrong."""

    paid: NDArray[np.float64]
    accuracy: float
    caught: int
    rejected: int


class Recomputed:
    """The rounds of a task whose trainings are replayed, on the data of the robust one."""

    def __init__(self, size: Size) -> None:
        source = learning.DigitsSource(folder=None if size.data is None else Path(size.data))
        digits = learning.load_digits(source)
        self.size = size
        self.workload = learning.get_workload("mnist-cnn", {})
        self.training: ExactTraining = exact_training(self.workload, portable=True, grid_bits=GRID_BITS)
        wanted = size.miners * size.samples
        order = np.random.default_rng(1).permutation(len(digits.train))[:wanted]
        self.chunks = [digits.train.take(order[at :: size.miners]) for at in range(size.miners)]
        self.tests = digits.test.take(np.arange(min(1000, len(digits.test))))
        self.base = self.workload.initial_model(1)
        self.parameters = ckks.Parameters.choose(
            learning.size_of(learning.shapes_of(self.base)),
            seats=3,
            threshold=2,
            bound=BOUND,
            max_weight_sum=size.miners,
        )

    def play(self, riders: Mapping[int, str]) -> Outcomes:
        """Train, check and average for all rounds."""
        base, steps = self.base, [np.zeros(self.parameters.update_size)]
        paid, caught, rejected = np.zeros(self.size.miners), 0, 0
        for number in range(1, self.size.rounds + 1):
            works = self._works(base, number)
            submitted = [
                self._submitted(work, number, miner, riders.get(miner), steps[-1] if number > 1 else None)
                for miner, work in enumerate(works)
            ]
            stands = [
                self._stands(one, work, number, miner)
                for miner, (one, work) in enumerate(zip(submitted, works, strict=True))
            ]
            caught += sum(not stands[miner] for miner in riders)
            rejected += sum(not well for miner, well in enumerate(stands) if miner not in riders)
            paid += stands
            total = np.zeros(self.parameters.update_size, dtype=np.int64)
            for one, well in zip(submitted, stands, strict=True):
                total += one.values if well else 0
            model = learning.apply_update(base, ckks.dequantise(total, sum(stands), self.parameters))
            steps.append(learning.difference(model, base))
            base = model
        score = self.workload.evaluate(base, self.tests).value
        return Outcomes(paid, score, caught, rejected)

    def _works(self, base: learning.Model, number: int) -> list[Work]:
        """What each miner is to do in a round: other chunks and another seed than in the last."""
        beacon = hashlib.sha256(b"start %d" % number).digest()
        order = np.random.default_rng([*beacon]).permutation(self.size.miners)
        steps = self.workload.config.steps(self.size.samples)
        return [
            Work(
                self.training,
                base,
                self.chunks[chunk],
                hashlib.sha256(beacon + bytes([miner])).digest(),
                steps,
                SEGMENT_STEPS,
            )
            for miner, chunk in enumerate(order.tolist())
        ]

    def _submitted(
        self, work: Work, number: int, miner: int, does: str | None, moved: NDArray[np.float64] | None
    ) -> Played:
        drawn = np.random.default_rng([number, miner])
        if does is None:
            return cheats.honest(work, self.parameters)
        if does == "one-batch":
            few = cheats.fewer_samples(work.data, self.workload.config.batch_size)
            return cheats.other_work(
                work,
                self.parameters,
                Work(work.training, work.base, few, work.seed, work.steps, work.segment_steps),
            )
        seed = seeds.derive("free riding", miner, number)
        sight = Sight(size=self.parameters.update_size, seed=seed, moved=moved)
        return cheats.public_step(work, self.parameters, make_behaviour(does).form(sight), 0.0, drawn)

    def _stands(self, played: Played, work: Work, number: int, miner: int) -> bool:
        """What the committee finds of a training, by the items that the beacon draws."""
        beacon, salt, name = (
            hashlib.sha256(b"beacon %d" % number).digest(),
            bytes(32),
            f"MinersMSP/miner{miner}",
        )
        items = [*drawn_segments(beacon.hex(), name, work.segments, DRAWN), work.last_item]
        plan = ckks.round_plan(self.parameters, beacon)
        submission = Submission(
            task_id=NAME,
            round=number,
            miner=name,
            manifest=Manifest(trace_root=played.root, steps=work.steps),
            claim=ckks.claim(self.parameters, plan, played.values, name, salt).hex(),
        )
        opening = played.open(items, task_id=NAME, number=number, miner=name, salt=salt).SerializeToString()
        findings = check(opening, submission, work, self.parameters, beacon, drawn=items, items=items)
        return all(one.outcome is Outcome.RIGHT for one in findings)
