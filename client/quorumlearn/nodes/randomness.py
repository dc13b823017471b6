"""Where what a node draws comes from: the system, unless a run is to be repeated.

Rules:
- A run repeats only where the task asks for it *and* the node was started with `--repeatable`. Then training and beacons follow from the
  task's seed, and anybody can do them again: for demos and experiments, never for data that is anybody's.
- Where training is replayed, what it draws from follows from the round's start beacon (quorumlearn_proto.recompute), in every run.
- Otherwise a miner trains and rounds from a secret of the round, and a seat's part of the beacon is the system's. The secret stays in
  the journal until the round's entries are erased: restarted, a miner learns the same update.
- Keys, encryption and the salts of claims are the system's in every run.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import seeds
from quorumlearn.nodes.journal import Journal


@dataclass(frozen=True)
class Training:
    """What one training draws from: `seed` its order and its noise, `rounding` (32 bytes) how its update comes onto the grid."""

    seed: int
    rounding: bytes


def training(spec: TaskSpec, now: b.Round, me: str, journal: Journal, *, repeatable: bool) -> Training:
    """Of this miner in this round and from this base; `repeatable` is the node's word."""
    if spec.repeatable and repeatable:
        key = seeds.public(spec.seed, "training", spec.task_id)
    else:
        key = _kept(journal, f"round-{now.number}/randomness")
    place = (now.task_id, me, now.number, now.base.digest)
    return Training(
        int.from_bytes(seeds.secret(key, "training", *place)), seeds.secret(key, "rounding", *place)
    )


def public_beacon(spec: TaskSpec, number: int, me: str, *, repeatable: bool) -> bytes | None:
    """A seat's part of the beacon in a run that repeats, 32 bytes; None in every other, whose parts are the system's."""
    if spec.repeatable and repeatable:
        return seeds.public(spec.seed, "beacon", spec.task_id, me, number)
    return None


def public_start(spec: TaskSpec, number: int, me: str, *, repeatable: bool) -> bytes | None:
    """The same for the round's start beacon, from which trainings draw that others are to replay."""
    if spec.repeatable and repeatable:
        return seeds.public(spec.seed, "start-beacon", spec.task_id, me, number)
    return None


def warning(spec: TaskSpec) -> str:
    """What an owner is to know of a task that asks for repeatable runs; "" of every other."""
    if not spec.repeatable:
        return ""
    return (
        "the task asks for repeatable runs: of a node that was started with --repeatable anybody can repeat the training and confirm "
        "guesses of its data; leave `repeatable` out for real data"
    )


def _kept(journal: Journal, name: str) -> bytes:
    """The secret of this name, drawn and written down if there is none."""
    known = journal.get(name)
    if known is None:
        known = secrets.token_bytes(32)
        journal.put(name, known)
    return known
