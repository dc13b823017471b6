"""Data sets in the artifact store: the list of their chunks, and chunks that are sealed.

Rules:
- what is read was fetched by digest within a limit that the task gives, and must fit the task (replay.chunks);
- a sealed chunk begins with a commitment to its key, SHA-256 of a label and the key, and only that key opens it. AES-GCM alone is none: who
  makes a ciphertext can have it open to two texts under two keys (Albertini et al., "How to Abuse and Fix Authenticated Encryption
  Without Key Commitment", USENIX Security 2022, https://ia.cr/2020/1456). An owner could then have a miner train on one and the seats
  replay the other, and honest work would be slashed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from google.protobuf.message import DecodeError
from quorumlearn_proto.artifact_pb2 import DataManifest
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import Recompute, TaskSpec

from quorumlearn.artifacts import ArtifactMissing, ArtifactStore, reference_of
from quorumlearn.replay import (
    KEY_BYTES,
    MOST_CHUNK_BYTES,
    Place,
    SealError,
    check_manifest,
    from_bytes,
    open_chunk,
    seal_chunk,
)
from quorumlearn.replay.chunks import most_manifest_bytes

MOST_LOOKED_AT = 16
MOST_LIST_BYTES = 128 << 20
_COMMITMENT = b"quorumlearn/chunk-key/1"
_COMMITMENT_BYTES = hashlib.sha256().digest_size
_FORM = 1
"""In a place's version: a chunk's key is fresh in each version of its list, and chunks that stay keep their ciphertext."""


def put_manifest(store: ArtifactStore, manifest: DataManifest) -> ArtifactRef:
    """Put a list of chunks into the store."""
    return store.put(manifest.SerializeToString(deterministic=True))


def reference_of_manifest(manifest: DataManifest) -> ArtifactRef:
    """What refers to a list of chunks once it is in the store."""
    return reference_of(manifest.SerializeToString(deterministic=True))


def read_manifest(
    store: ArtifactStore, ref: ArtifactRef, asked: Recompute, workload: str, author: str = ""
) -> DataManifest:
    """The list of chunks behind a reference; `author` put it, if that is known. replay.ChunkError if it is none, or another than the task
    describes; an ArtifactError if it cannot be had."""
    return check_manifest(store.get(ref, most_manifest_bytes(asked), author), asked, workload)


def manifest_of_task(
    store: ArtifactStore, spec: TaskSpec, ref: ArtifactRef, author: str = ""
) -> DataManifest:
    """The list of a task's chunks; errors as in `read_manifest`."""
    return read_manifest(store, ref, spec.recompute, spec.workload.name, author)


def listed(store: ArtifactStore, ref: ArtifactRef) -> set[str]:
    """The digests that a list of chunks names, whatever task it is of; none if it is not there or is no list."""
    try:
        return {one.digest for one in DataManifest.FromString(store.get(ref, MOST_LIST_BYTES)).chunks}
    except (ArtifactMissing, DecodeError):
        return set()


def missing_chunks(store: ArtifactStore, spec: TaskSpec, author: str = "") -> list[int]:
    """Which of a task's chunks the store does not have, their bytes unread; errors as in `read_manifest`. Of sealed data it looks at the
    first version of the list, of which chunks may have been replaced."""
    manifest = manifest_of_task(store, spec, spec.recompute.data, author)
    return [number for number, ref in enumerate(manifest.chunks) if not store.has(ref, author)]


def check_there(store: ArtifactStore, spec: TaskSpec) -> None:
    """Whether a task's data seem to be there, before anything is staked on it: their list fits, and of public data MOST_LOOKED_AT chunks,
    drawn by chance, lie in the store, one of which is read. Errors as in `read_manifest`."""
    manifest = manifest_of_task(store, spec, spec.recompute.data)
    if spec.recompute.sealed:
        return
    drawn = secrets.SystemRandom().sample(list(manifest.chunks), min(MOST_LOOKED_AT, len(manifest.chunks)))
    from_bytes(store.get(drawn[0], MOST_CHUNK_BYTES), spec.recompute.chunk_samples)
    for ref in drawn[1:]:
        if not store.has(ref):
            raise ArtifactMissing(f"chunk {ref.digest[:12]}… of {spec.task_id} is not in {store.shown}")


def sealed(plain: bytes, key: bytes, manifest: DataManifest, index: int) -> bytes:
    """Chunk `index` of this list, sealed under a key that has sealed nothing before."""
    return _commitment(key) + seal_chunk(plain, key, _place(manifest, index))


def unsealed(data: bytes, key: bytes, manifest: DataManifest, index: int) -> bytes:
    """What a sealed chunk holds. replay.SealError unless this is the key that it commits to, and it is unaltered and in its place."""
    if not opens(data, key):
        raise SealError(f"chunk {index} commits to another key than the one at hand")
    return open_chunk(data[_COMMITMENT_BYTES:], key, _place(manifest, index))


def opens(data: bytes, key: bytes) -> bool:
    """Whether a sealed chunk commits to this key."""
    return len(key) == KEY_BYTES and hmac.compare_digest(data[:_COMMITMENT_BYTES], _commitment(key))


def _commitment(key: bytes) -> bytes:
    return hashlib.sha256(_COMMITMENT + key).digest()


def _place(manifest: DataManifest, index: int) -> Place:
    return Place(manifest.workload, manifest.chunk_samples, index, _FORM)
