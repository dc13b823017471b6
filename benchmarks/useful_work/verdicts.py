"""Honest work under many seats: how many verdicts are wrong where miners and seats compute on different paths of the processor.

Each path is a process of its own. Its environment says which instructions torch, MKL and numpy's OpenBLAS may use: all that there are
(AVX-512 where the processor has it), AVX2, or SSE. In each, miners train. Then in each, seats read every miner's base, chunk, submission
and opening as bytes, and replay 5 drawn segments and the last checkpoint. A verdict is one seat's word on one training.

`different gradients` counts the digests of one step before its gradient comes onto the grid: 3 if all paths compute differently.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from quorumlearn import ckks, learning
from quorumlearn.learning.exact import ExactTraining
from quorumlearn.replay import Outcome, Work, check, from_bytes, steps_of, to_bytes, train
from quorumlearn_proto.block_pb2 import Manifest, Submission
from quorumlearn_proto.recompute import drawn_segments

from benchmarks.useful_work.networks import Network, networks
from benchmarks.useful_work.options import Options
from benchmarks.useful_work.paths import PATHS

SEGMENTS, SEGMENT_STEPS, DRAWN = 20, 2, 5


class Folder(dict[str, bytes]):
    """What a trace keeps, in memory."""

    def put(self, name: str, data: bytes) -> None:
        self[name] = data


@dataclass(frozen=True)
class Case:
    """One training: of a network, on a path, by number; all else is drawn from that."""

    network: Network
    path: str
    number: int
    seed: int

    @property
    def name(self) -> str:
        return f"{self.path.replace(' ', '-')}-{self.number}"

    @property
    def miner(self) -> str:
        return f"Org1MSP/{self.name}"

    @property
    def steps(self) -> int:
        return SEGMENTS * SEGMENT_STEPS

    def drawn(self) -> np.random.Generator:
        """Whole numbers only are drawn from it, which are the same on every path."""
        return np.random.default_rng((self.seed, list(PATHS).index(self.path), self.number))

    def train(self, training: ExactTraining, folder: Path) -> None:
        """What the miner leaves for the seats, as files."""
        drawn, p = self.drawn(), self.network.parameters
        beacon, seed, salt = drawn.bytes(32), drawn.bytes(32), drawn.bytes(32)
        base = self.network.base(self.number)
        chunk = to_bytes(self.network.samples(drawn, self.steps))
        work = Work(training, base, from_bytes(chunk, self.steps), seed, self.steps, SEGMENT_STEPS)
        trace = train(work, Folder())
        values = steps_of(base, trace.last.weights, p, seed)
        claim = ckks.claim(p, ckks.round_plan(p, beacon), values, self.miner, salt).hex()
        manifest = Manifest(trace_root=trace.root, steps=self.steps)
        submission = Submission(task_id="verdicts", round=1, miner=self.miner, manifest=manifest, claim=claim)
        items = self.items(beacon)
        opening = trace.open(items, task_id="verdicts", number=1, miner=self.miner, salt=salt)
        for what, data in (
            ("base", learning.to_bytes(base)),
            ("chunk", chunk),
            ("submission", submission.SerializeToString()),
            ("opening", opening.SerializeToString()),
        ):
            (folder / f"{self.name}.{what}").write_bytes(data)

    def judge(self, training: ExactTraining, folder: Path) -> str:
        """A seat's verdict: right, wrong or failed."""
        read = {
            what: (folder / f"{self.name}.{what}").read_bytes()
            for what in ("base", "chunk", "submission", "opening")
        }
        drawn = self.drawn()
        beacon, seed, _ = drawn.bytes(32), drawn.bytes(32), drawn.bytes(32)
        base = learning.from_bytes(read["base"], training.weights)
        data = from_bytes(read["chunk"], self.steps)
        work = Work(training, base, data, seed, self.steps, SEGMENT_STEPS)
        submission, items = Submission.FromString(read["submission"]), self.items(beacon)
        found = check(
            read["opening"], submission, work, self.network.parameters, beacon, drawn=items, items=items
        )
        outcomes = {one.outcome for one in found}
        order = (Outcome.WRONG, Outcome.FAILED, Outcome.RIGHT)
        return str(next(one.value for one in order if one in outcomes))

    def items(self, beacon: bytes) -> list[int]:
        return [*drawn_segments(beacon.hex(), self.miner, SEGMENTS, DRAWN), SEGMENTS + 1]


def measure(options: Options, chosen: Collection[str] | None = None) -> list[dict[str, object]]:
    """A row for each network, or for each whose name is chosen."""
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        paths = [stack.enter_context(_Path(name, folder, options.seed)) for name in PATHS]
        pool = stack.enter_context(ThreadPoolExecutor(options.processes))
        for at, network in enumerate(networks()):
            if chosen is not None and network.name not in chosen:
                continue
            share = len(PATHS) ** 2 if options.quick else options.verdicts * network.share
            trainings = math.ceil(share / len(PATHS) ** 2)
            probes = list(pool.map(lambda one, n=(at, trainings): one.ask("train", *n), paths))
            verdicts = list(pool.map(lambda one, n=(at, trainings): one.ask("judge", *n), paths))
            counts = [one for found in verdicts for one in found]
            rows.append(
                {
                    "model": network.name,
                    "trainings": trainings * len(PATHS),
                    "verdicts": len(counts),
                    **{outcome.value: counts.count(outcome.value) for outcome in Outcome},
                    "different gradients": len({one for found in probes for one in found}),
                }
            )
    return rows


class _Path:
    """A process that computes on one path, and does a part when it is asked to."""

    def __init__(self, name: str, folder: Path, seed: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.useful_work.verdicts", name, str(folder), str(seed)],
            env={**os.environ, **PATHS[name]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> _Path:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def ask(self, does: str, network: int, trainings: int) -> list[str]:
        """What the process answers. RuntimeError if it has ended."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{json.dumps([does, network, trainings])}\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise RuntimeError(f"a process that was to {does} ended with {process.wait()}")
        return [str(one) for one in json.loads(answer)]


def _cases(network: Network, path: str, trainings: int, seed: int) -> Iterator[Case]:
    return (Case(network, path, number, seed) for number in range(trainings))


def _serve(path: str, folder: str, seed: str) -> None:
    """One path's side: its miners' trainings, or its seats' verdicts on all, line by line. Trainings answer with a probe's digest."""
    known, where = networks(), Path(folder)
    for line in sys.stdin:
        does, at, trainings = json.loads(line)
        network = known[at]
        training = network.training(True)
        found = []
        if does == "train":
            for case in _cases(network, path, trainings, int(seed)):
                case.train(training, where)
            found.append(hashlib.sha256(network.raw().tobytes()).hexdigest())
        else:
            cases = (case for of in PATHS for case in _cases(network, of, trainings, int(seed)))
            found += [case.judge(training, where) for case in cases]
        sys.stdout.write(f"{json.dumps(found)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
