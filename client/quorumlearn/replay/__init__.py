"""Traces of exact training, their openings, and what replaying them finds. Knows learning and encryption, and no ledger and no store.

A miner:

    work = work_of(spec, round, me, steps, training=training, base=base, chunks=chunks)
    trace = train(work, journal)                                       # trace.root goes into the manifest
    values = steps_of(base, trace.last.weights, parameters, seed)      # what is encrypted, and its sketch claimed
    opening = trace.open(drawn, task_id=..., number=..., miner=..., salt=salt)

A seat, with the miner's submission and its own share of what was drawn:

    findings = check(data, submission, work, parameters, beacon, drawn=drawn, items=mine)
"""

from quorumlearn.replay.checking import Finding, Outcome, check, most_opening_bytes
from quorumlearn.replay.chunks import (
    MOST_CHUNK_BYTES,
    MOST_CHUNKS,
    check_manifest,
    chunks_of,
    from_bytes,
    joined,
    manifest_of,
    most_manifest_bytes,
    to_bytes,
)
from quorumlearn.replay.errors import ChunkError, ReplayError, SealError, StateError, TraceError
from quorumlearn.replay.sealed import KEY_BYTES, SEALED_MORE, Place, new_key, open_chunk, seal_chunk
from quorumlearn.replay.states import Checkpoint, checkpoint_of
from quorumlearn.replay.steadiness import steady
from quorumlearn.replay.trace import MOST_KEPT_BYTES, Committed, Keeping, Trace, train
from quorumlearn.replay.work import Work, steps_of, update_of, work_of

__all__ = [
    "KEY_BYTES",
    "MOST_CHUNKS",
    "MOST_CHUNK_BYTES",
    "MOST_KEPT_BYTES",
    "SEALED_MORE",
    "Checkpoint",
    "ChunkError",
    "Committed",
    "Finding",
    "Keeping",
    "Outcome",
    "Place",
    "ReplayError",
    "SealError",
    "StateError",
    "Trace",
    "TraceError",
    "Work",
    "check",
    "check_manifest",
    "checkpoint_of",
    "chunks_of",
    "from_bytes",
    "joined",
    "manifest_of",
    "most_manifest_bytes",
    "most_opening_bytes",
    "new_key",
    "open_chunk",
    "seal_chunk",
    "steady",
    "steps_of",
    "to_bytes",
    "train",
    "update_of",
    "work_of",
]
