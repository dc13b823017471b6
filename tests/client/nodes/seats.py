"""A verifier in its seat and a miner, and what they see of a round: for tests of what they send, and when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.attacks import make_behaviour
from quorumlearn.nodes.committee.keyholder import KeyHolder
from quorumlearn.nodes.committee.scoring import Scorer
from quorumlearn.nodes.committee.sending import GATHER_SECONDS, Sender
from quorumlearn.nodes.committee.validation import Validator
from quorumlearn.nodes.committee.verifier import Verifier
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Contract, Market
from quorumlearn.nodes.miner import Miner
from quorumlearn.nodes.models import workload_record
from quorumlearn.nodes.training import Trainer, Workshop
from quorumlearn.nodes.work.chunkcache import ChunkCache
from quorumlearn.nodes.work.chunks import ChunkReader
from quorumlearn.nodes.work.minerkey import MinerKey
from quorumlearn.nodes.work.tracing import Reader, Tracer
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

SEATS = (1, 2, 3)


class Ledger:
    """A contract that takes every transaction and remembers it."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, ...]] = []

    def evaluate(self, function: str, *args: str) -> bytes:
        raise AssertionError(function)

    def submit(self, function: str, *args: str) -> bytes:
        self.taken.append((function, *args))
        return b""


def view_of_seats(phase: b.Phase) -> b.TaskView:
    """Three seats in round 1, which have its key and have done nothing yet in this phase."""
    parameters = ckks.Parameters.choose(300, seats=len(SEATS), threshold=2)
    spec = t.TaskSpec(task_id="task", ckks=record_of(parameters))
    spec.committee.CopyFrom(t.Committee(msp_ids=[f"V{seat}" for seat in SEATS], threshold=2))
    view = b.TaskView(task=t.Task(spec=spec), state=t.TaskState(task_id="task", status=t.RUNNING, round=1))
    view.round.CopyFrom(b.Round(task_id="task", number=1, phase=phase, seats=SEATS))
    view.ceremonies.add(round=1, attempt=1, step=b.KEY_READY, seats=SEATS)
    for seat in SEATS:
        view.seats.add(seat=seat, verifier=f"V{seat}/v")
        view.contributions.add(round=1, attempt=1, seat=seat)
    return view


def no_chunks(_: object) -> Reader:
    raise AssertionError("nothing is replayed here")


def verifier_in_seat(
    number: int,
    folder: Path,
    market: object,
    clock: Callable[[], float] = time.time,
    gather_seconds: float = GATHER_SECONDS,
) -> Verifier:
    """The node of a seat that has its part of round 1's beacon."""
    me, store = f"V{number}/v", ArtifactStore((folder / "store").as_uri(), create=True)
    journal = Journal(folder / f"seat-{number}")
    journal.put("round-1/attempt-1/beacon", bytes(32))
    return Verifier(
        me=me,
        msp_id=f"V{number}",
        market=market,  # type: ignore[arg-type]
        store=store,
        journal=journal,
        sender=Sender(me, market, clock, gather_seconds),  # type: ignore[arg-type]
        validator=Validator(store, Scorer(no_test_set)),
        position=lambda _: (0, 0),
        workers=ckks.Workers(0),
        workshop=Workshop(threading.Semaphore(1), threading.Event()),
        reader=no_chunks,
        clock=clock,
    )


def keys_of(seat: Verifier) -> KeyHolder:
    """The other thread of the same seat: what it makes is carried by what the first sends."""
    return KeyHolder(
        me=seat.me,
        msp_id=seat.msp_id,
        store=seat.store,
        journal=seat.journal,
        sender=seat.sender,
        clock=seat.clock,
    )


def no_test_set(_: object = None) -> learning.Samples:
    raise AssertionError("nothing is scored here")


WORKLOAD = workload_record(learning.get_workload("mnist-cnn", {}), ["bottom", "top"])


def no_samples(_: object = None) -> learning.Samples:
    return learning.Samples(np.zeros((0, 1, 28, 28), np.float32), np.zeros(0, np.int64))


def miner_in(
    folder: Path,
    contract: Contract,
    shard: Callable[[learning.Workload], learning.Data] = no_samples,
    *,
    me: str = "M/a",
    behaviour: str = "honest",
    repeatable: bool = False,
) -> Miner:
    """The node of a miner as it comes up in this folder."""
    market, journal = Market(contract), Journal(folder / "journal")
    store = ArtifactStore(str(folder / "store"), create=True)
    workshop = Workshop(threading.Semaphore(1), threading.Event())
    trainer = Trainer(
        me=me,
        market=market,
        store=store,
        journal=journal,
        workshop=workshop,
        shard=shard,
        behaviour=make_behaviour(behaviour),
        repeatable=repeatable,
    )
    key = MinerKey(me, journal, market)
    reader = ChunkReader(me, store, ChunkCache(store, folder / "chunks", 1 << 20))
    tracer = Tracer(me, store, journal, workshop, reader, trainer.behaviour)
    return Miner(me, market, store, journal, trainer, tracer, key, trainer.behaviour, ckks.Workers(0))
