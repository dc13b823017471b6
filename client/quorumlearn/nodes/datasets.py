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

from quorumlearn_proto.artifact_pb2 import DataManifest
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import Recompute, TaskSpec

from quorumlearn.artifacts import ArtifactStore
from quorumlearn.replay import KEY_BYTES, Place, SealError, check_manifest, open_chunk, seal_chunk
from quorumlearn.replay.chunks import most_manifest_bytes

_COMMITMENT = b"quorumlearn/chunk-key/1"
_COMMITMENT_BYTES = hashlib.sha256().digest_size
_FORM = 1
"""In a place's version: a chunk's key is fresh in each version of its list, and chunks that stay keep their ciphertext."""


def put_manifest(store: ArtifactStore, manifest: DataManifest) -> ArtifactRef:
    """Put a list of chunks into the store."""
    return store.put(manifest.SerializeToString(deterministic=True))


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
