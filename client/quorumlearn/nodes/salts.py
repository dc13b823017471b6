"""The salt of a miner's claim: of one round, sealed to its seats, which pass it on to each other.

A claim stands on the ledger. Without a salt whoever guesses an update, or the data behind it, could confirm the guess there.

Rules:
- A miner draws it with its commit, whatever else repeats, seals it to each seat of the round and names the artifact in its manifest.
  It puts it into the store at once, long before it shows the update: who knows the salt alone knows nothing of that.
- Each seat passes on what it opened, in its sealed sketch payloads, and any salt that fits the claim counts
  (nodes.committee.openings). So a wrong salt sealed to one seat, or a seat that passes on none, harms no miner.
- What the store does not have is waited for as an update is, since others may have removed it.
- What no seat has, no sketch opens to: the claim counts as false.
"""

from __future__ import annotations

import secrets

import structlog
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import SealedSalts
from quorumlearn_proto.common_pb2 import ArtifactRef

from quorumlearn.artifacts import (
    ArtifactCorrupt,
    ArtifactStore,
    ArtifactTooLarge,
    BadReference,
)
from quorumlearn.nodes import exchange, sealing, steps

log = structlog.get_logger()

BYTES = 32
_BOX_BYTES = 2 * sealing.PUBLIC_KEY_BYTES
"""More than a sealed salt takes."""
_NONE = (ArtifactCorrupt, ArtifactTooLarge, BadReference, exchange.ExchangeError)


def most_bytes(seats: int) -> int:
    """How long an artifact of salts for so many seats may be."""
    return _BOX_BYTES * seats + exchange.OVERHEAD


def new() -> bytes:
    return secrets.token_bytes(BYTES)


def sealed(view: b.TaskView, me: str, salt: bytes) -> bytes:
    """The artifact in which a miner seals its salt to the seats of the round under way."""
    now = view.round
    parts = steps.contributions(view, now.number)
    keys = {seat: part.sealing_key for seat, part in parts.items() if seat in now.seats}
    boxes = exchange.seal_for(keys, dict.fromkeys(keys, salt), _context(now), me)
    record = SealedSalts(task_id=now.task_id, round=now.number, miner=me, boxes=boxes)
    return record.SerializeToString(deterministic=True)


def opened(
    store: ArtifactStore, now: b.Round, miner: str, ref: ArtifactRef, private: bytes, seat: int
) -> bytes:
    """The salt that a miner sealed to this seat; empty if there is none that opens. ArtifactMissing and StoreUnavailable pass."""
    try:
        record = exchange.get(
            store,
            SealedSalts,
            ref,
            _BOX_BYTES * len(now.seats),
            miner,
            (now.task_id, now.number),
            task_id=now.task_id,
            round=now.number,
            miner=miner,
        )
        salt = exchange.unseal_from(list(record.boxes), private, _context(now), miner, seat)
        if len(salt) != BYTES:
            raise exchange.ExchangeError(f"a salt has {BYTES} bytes, this one {len(salt)}")
    except _NONE as error:
        log.warning("no salt", task=now.task_id, round=now.number, seat=seat, miner=miner, why=str(error))
        return b""
    return salt


def _context(now: b.Round) -> str:
    return f"{now.task_id}/{now.number}/salt"
