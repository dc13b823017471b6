"""A miner and a seat around one small training, without ledger or store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

from quorumlearn import ckks
from quorumlearn.learning import OnStep
from quorumlearn.replay import Finding, Trace, Work, check, steps_of, train
from quorumlearn_proto.artifact_pb2 import TraceOpening
from quorumlearn_proto.block_pb2 import Manifest, Submission

from benchmarks.useful_work.linear import LinearTraining

TASK, ROUND, MINER = "quick", 3, "Org1MSP/miner-1"
SALT, BEACON = bytes(range(32)), bytes(32)
STEPS, K = 22, 4


@lru_cache(maxsize=1)
def parameters() -> ckks.Parameters:
    return ckks.Parameters.choose(15, seats=3, threshold=2, minimum_security_bits=0, sketch_size=64)


class Folder(dict[str, bytes]):
    """What a trace keeps, in memory."""

    def put(self, name: str, data: bytes) -> None:
        self[name] = data


def work(**changes: Any) -> Work:
    training = LinearTraining()
    usual = Work(training, training.base(1), training.samples(64, 2), bytes(31) + b"\1", STEPS, K)
    return replace(usual, **changes)


@dataclass
class Party:
    """A miner that has trained, and what the ledger says of it."""

    work: Work = field(default_factory=work)
    folder: Folder = field(default_factory=Folder)

    @cached_property
    def trace(self) -> Trace:
        return train(self.work, self.folder)

    @property
    def everything(self) -> list[int]:
        return list(range(1, self.work.last_item + 1))

    def submission(self) -> Submission:
        p = parameters()
        values = steps_of(self.work.base, self.trace.last.weights, p, self.work.seed)
        claim = ckks.claim(p, ckks.round_plan(p, BEACON), values, MINER, SALT).hex()
        manifest = Manifest(trace_root=self.trace.root, steps=self.work.steps)
        return Submission(task_id=TASK, round=ROUND, miner=MINER, manifest=manifest, claim=claim)

    def opening(self, drawn: Sequence[int] | None = None) -> TraceOpening:
        return self.trace.open(drawn or self.everything, task_id=TASK, number=ROUND, miner=MINER, salt=SALT)


def checked(
    opening: TraceOpening | bytes,
    submission: Submission,
    seats: Work,
    drawn: Sequence[int] | None = None,
    items: Sequence[int] | None = None,
    on_step: OnStep | None = None,
) -> list[Finding]:
    data = opening if isinstance(opening, bytes) else opening.SerializeToString(deterministic=True)
    drawn = drawn or list(range(1, seats.last_item + 1))
    return check(
        data, submission, seats, parameters(), BEACON, drawn=drawn, items=items or drawn, on_step=on_step
    )
