"""A data set in chunks: cut, stored, listed, read back strictly, and put together for a training.

Rules:
- each chunk has exactly as many samples as the task says; what is left over at the end of the data is left out;
- a chunk is safetensors with `inputs` and `targets`, of types that it can hold (`tensors.TYPES`) and finite; the same samples are the same
  bytes, and no other bytes are read;
- chunks that are trained on together have samples of one type and shape;
- a list of chunks says of itself what the task says of it: workload, samples of a chunk, number of chunks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from google.protobuf.message import DecodeError
from quorumlearn_proto.artifact_pb2 import DataManifest
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import Recompute

from quorumlearn.learning import Samples
from quorumlearn.replay import tensors
from quorumlearn.replay.errors import ChunkError, StateError

MOST_CHUNK_BYTES = 1 << 30
MOST_CHUNKS = 1 << 16
_NAMES = ["inputs", "targets"]
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_A_REFERENCE = 96
_HEAD = 1024


def chunks_of(data: Samples, chunk_samples: int) -> Iterator[Samples]:
    """The data in chunks of so many samples, in their order; the rest is left out. ChunkError if there is not one chunk."""
    if not 1 <= chunk_samples <= len(data):
        raise ChunkError(
            f"chunks of {chunk_samples} samples from {len(data)}: a chunk has 1 at least, and there must be enough for one"
        )
    for start in range(0, len(data) - chunk_samples + 1, chunk_samples):
        yield data.take(np.arange(start, start + chunk_samples))


def to_bytes(chunk: Samples) -> bytes:
    """A chunk as it is stored. ChunkError for types that cannot be, numbers that are not finite, and more than MOST_CHUNK_BYTES."""
    try:
        data = tensors.to_bytes({"inputs": chunk.inputs, "targets": chunk.targets})
    except StateError as error:
        raise ChunkError(f"samples that cannot be stored: {error}") from error
    if len(data) > MOST_CHUNK_BYTES:
        raise ChunkError(
            f"a chunk of {len(data)} bytes; at most {MOST_CHUNK_BYTES} may be: put fewer samples into one"
        )
    return data


def from_bytes(data: bytes, chunk_samples: int) -> Samples:
    """The chunk in these bytes, which has exactly so many samples. ChunkError says what else it is."""
    if len(data) > MOST_CHUNK_BYTES:
        raise ChunkError(f"a chunk of {len(data)} bytes; at most {MOST_CHUNK_BYTES} are read")
    try:
        arrays = tensors.read(data)
    except StateError as error:
        raise ChunkError(f"not a chunk: {error}") from error
    if sorted(arrays) != _NAMES:
        raise ChunkError(f"a chunk holds {', '.join(_NAMES)}; this one {', '.join(sorted(arrays))[:200]}")
    for name, array in arrays.items():
        if array.shape[:1] != (chunk_samples,):
            raise ChunkError(
                f"{name} of shape {array.shape}; a chunk of this task has {chunk_samples} samples"
            )
    return Samples(arrays["inputs"], arrays["targets"])


def joined(chunks: Sequence[Samples]) -> Samples:
    """The samples of these chunks, one after the other. ChunkError if there are none, or they are not of one type and shape."""
    if not chunks:
        raise ChunkError("a training has one chunk at least")
    for at, chunk in enumerate(chunks):
        for name in _NAMES:
            first, this = getattr(chunks[0], name), getattr(chunk, name)
            if (this.dtype, this.shape[1:]) != (first.dtype, first.shape[1:]):
                raise ChunkError(
                    f"{name} of a training's chunk {at} are {this.dtype} {this.shape[1:]}, those of chunk 0 {first.dtype} {first.shape[1:]}"
                )
    return Samples(
        np.concatenate([one.inputs for one in chunks]), np.concatenate([one.targets for one in chunks])
    )


def manifest_of(
    workload: str, chunk_samples: int, chunks: Sequence[ArtifactRef], version: int = 1
) -> DataManifest:
    """The list of a data set's chunks. ChunkError if there are none, or more than MOST_CHUNKS."""
    if not 1 <= len(chunks) <= MOST_CHUNKS:
        raise ChunkError(f"a data set of {len(chunks)} chunks; it has 1 to {MOST_CHUNKS}")
    return DataManifest(workload=workload, chunk_samples=chunk_samples, chunks=chunks, version=version)


def most_manifest_bytes(asked: Recompute) -> int:
    """At least as many bytes as the list of this task's chunks has: a limit for what is read."""
    return _HEAD + _A_REFERENCE * asked.chunks


def check_manifest(data: bytes, asked: Recompute, workload: str) -> DataManifest:
    """The list in these bytes, whose digest the caller has compared. ChunkError if it is none, or another than the task describes."""
    if len(data) > most_manifest_bytes(asked):
        raise ChunkError(
            f"a list of chunks of {len(data)} bytes; at most {most_manifest_bytes(asked)} are expected of {asked.chunks}"
        )
    manifest = DataManifest()
    try:
        manifest.ParseFromString(data)
    except DecodeError as error:
        raise ChunkError("not a list of chunks") from error
    for what, found, wanted in (
        ("workload", manifest.workload, workload),
        ("chunk_samples", manifest.chunk_samples, asked.chunk_samples),
        ("number of chunks", len(manifest.chunks), asked.chunks),
    ):
        if found != wanted:
            raise ChunkError(f"the list of chunks says {what} {str(found)[:80]!r}; the task says {wanted!r}")
    if manifest.version < 1:
        raise ChunkError(f"a list of chunks of version {manifest.version}; versions begin with 1")
    for at, chunk in enumerate(manifest.chunks):
        if not _DIGEST.fullmatch(chunk.digest) or not 1 <= chunk.size <= MOST_CHUNK_BYTES:
            raise ChunkError(
                f"chunk {at} has digest {chunk.digest[:80]!r} and {chunk.size} bytes; it has 64, and up to {MOST_CHUNK_BYTES} bytes"
            )
    return manifest
