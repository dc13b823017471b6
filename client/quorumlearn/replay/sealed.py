"""A chunk that only those read who are given its key: AES-256-GCM.

Rules:
- a key is 32 random bytes, of one chunk in one version of a data set. A rotation makes new keys, so that who had the old ones reads nothing
  that was sealed after;
- the nonce is 12 random bytes, before the ciphertext. A key seals one chunk, so no nonce meets its like;
- what is sealed is bound to its place: workload, samples of a chunk, number of the chunk, version. Moved to another, it does not open.

Source: NIST SP 800-38D, 8.2.2.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from quorumlearn_proto.artifact_pb2 import DataManifest
from quorumlearn_proto.draws import labelled

from quorumlearn.replay.errors import SealError

KEY_BYTES = 32
_NONCE_BYTES, _TAG_BYTES = 12, 16
_LABEL = b"quorumlearn/sealed-chunk/1"
SEALED_MORE = _NONCE_BYTES + _TAG_BYTES
"""So many bytes a sealed chunk is longer than what it holds."""


@dataclass(frozen=True)
class Place:
    """Where a chunk stands: number `index`, from 0, of a version of a data set."""

    workload: str
    chunk_samples: int
    index: int
    version: int

    @staticmethod
    def of(manifest: DataManifest, index: int) -> Place:
        """The place of a chunk in a list."""
        return Place(manifest.workload, manifest.chunk_samples, index, manifest.version)

    @property
    def bound(self) -> bytes:
        """What is authenticated with the chunk."""
        return labelled(_LABEL, self.workload, self.chunk_samples, self.index, self.version)


def new_key() -> bytes:
    """A key, 32 bytes, to be kept secret and used for one chunk."""
    return secrets.token_bytes(KEY_BYTES)


def seal_chunk(chunk: bytes, key: bytes, place: Place) -> bytes:
    """A chunk's bytes sealed under a key that has sealed nothing before. SealError if the key is none."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, chunk, place.bound)


def open_chunk(sealed: bytes, key: bytes, place: Place) -> bytes:
    """The chunk's bytes. SealError if it was altered, or sealed under another key or for another place."""
    if len(sealed) < SEALED_MORE:
        raise SealError(
            f"chunk {place.index}: {len(sealed)} bytes; a sealed chunk has {SEALED_MORE} at least"
        )
    try:
        return _cipher(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.bound)
    except InvalidTag:
        raise SealError(
            f"chunk {place.index} of version {place.version} does not open: another key, another place, or altered bytes"
        ) from None


def _cipher(key: bytes) -> AESGCM:
    if len(key) != KEY_BYTES:
        raise SealError(f"a chunk's key has {KEY_BYTES} bytes, this one {len(key)}")
    return AESGCM(key)
