"""The same training without a market: a process for each miner organisation, and plain averaging.

Rules:
- each process trains its organisation's miners one after the other, by the same workload, shards and number of steps
  as the market's nodes; the model goes out and comes back through pipes, and is the mean of all;
- timed is from the first round's model to the last average. Importing torch, reading the data and one short training,
  so that nothing is loaded late, come before it;
- nobody scores the model in between: what the market's verifiers do is all its own.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from quorumlearn import learning, seeds

WARM_SAMPLES = 64


@dataclass(frozen=True)
class Training:
    """What miners train: the workload, each miner's shard, by organisation, and the folder of the data."""

    workload: str
    config: Mapping[str, str]
    shards: Sequence[Sequence[str]]
    data: Path | None
    seed: int


@dataclass(frozen=True)
class PlainRun:
    """Seconds of each round."""

    rounds: tuple[float, ...]

    @property
    def seconds(self) -> float:
        return sum(self.rounds)


def train_plainly(training: Training, rounds: int) -> PlainRun:
    """Trains for so many rounds. EOFError if a process ended by itself; its traceback is on standard error."""
    spawn = multiprocessing.get_context("spawn")
    model = learning.get_workload(training.workload, training.config).initial_model(training.seed)
    pipes, processes = [], []
    for index in range(len(training.shards)):
        here, there = spawn.Pipe()
        process = spawn.Process(target=_miners, args=(there, training, index), daemon=True)
        process.start()
        there.close()  # so that a process that ends is seen to have ended
        pipes.append(here)
        processes.append(process)
    try:
        for pipe in pipes:
            pipe.recv()
        seconds = []
        for number in range(rounds):
            began = time.perf_counter()
            for pipe in pipes:
                pipe.send((number, model))
            trained = [one for pipe in pipes for one in pipe.recv()]
            model = {name: np.mean([one[name] for one in trained], axis=0) for name in model}
            seconds.append(time.perf_counter() - began)
        for pipe in pipes:
            pipe.send(None)
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.kill()
    return PlainRun(tuple(seconds))


def _miners(pipe: Connection, training: Training, index: int) -> None:
    """One organisation's process."""
    workload = learning.get_workload(training.workload, training.config)
    data = learning.load_digits(learning.DigitsSource(folder=training.data)).train
    shards = [
        data.take(learning.ShardSpec.parse(text).indices(data.targets)) for text in training.shards[index]
    ]
    few = learning.Samples(shards[0].inputs[:WARM_SAMPLES], shards[0].targets[:WARM_SAMPLES])
    workload.train(workload.initial_model(0), few, seed=0)
    pipe.send("ready")
    while (told := pipe.recv()) is not None:
        number, model = told
        pipe.send(
            [
                workload.train(model, shard, seed=seeds.derive("plain", index, i, number)).model
                for i, shard in enumerate(shards)
            ]
        )
