"""References to artifacts, which come from others and are trusted in nothing."""

from __future__ import annotations

import hashlib
import re

from quorumlearn_proto.common_pb2 import ArtifactRef

from quorumlearn.artifacts.errors import ArtifactTooLarge, BadReference

_ORGANISATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def reference_of(data: bytes) -> ArtifactRef:
    """What refers to `data`, wherever it is kept."""
    return ArtifactRef(digest=hashlib.sha256(data).hexdigest(), size=len(data))


def checked_digest(digest: str) -> str:
    """`digest` if it is a SHA-256 in 64 lower-case hex digits; BadReference if not."""
    if not is_digest(digest):
        raise BadReference(f"the digest {digest[:80]!r} is not 64 lower-case hex digits")
    return digest


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None


def checked(ref: ArtifactRef, limit: int | None = None) -> ArtifactRef:
    """`ref` if it can name an artifact of at most `limit` bytes; BadReference or ArtifactTooLarge if not."""
    checked_digest(ref.digest)
    if ref.size < 0:
        raise BadReference(f"artifact {ref.digest[:12]}… is said to have {ref.size} bytes")
    if limit is not None and ref.size > limit:
        raise ArtifactTooLarge(
            f"artifact {ref.digest[:12]}… has {ref.size} bytes; at most {limit} are read here"
        )
    return ref


def checked_organisation(name: str) -> str:
    """`name` if a store can keep artifacts below it; BadReference if not."""
    if not is_organisation(name):
        raise BadReference(
            f"{name[:80]!r} cannot name an organisation's part of a store: letters, digits, dots, - and _ can"
        )
    return name


def is_organisation(name: str) -> bool:
    return _ORGANISATION.fullmatch(name) is not None


def path_of(organisation: str, digest: str) -> str:
    """Where an organisation's artifact lies below the store's root: `Org1MSP/ab/abcdef…`."""
    return f"{organisation}/{checked_digest(digest)[:2]}/{digest}"
