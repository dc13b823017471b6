"""Artifacts: a content-addressed store under SHA-256, in a folder or in S3-compatible storage."""

from quorumlearn.artifacts.copies import Purpose
from quorumlearn.artifacts.errors import (
    ArtifactCorrupt,
    ArtifactError,
    ArtifactMissing,
    ArtifactTooLarge,
    BadReference,
    NotAllowed,
    StoreFull,
    StoreUnavailable,
)
from quorumlearn.artifacts.reference import checked, checked_digest, reference_of
from quorumlearn.artifacts.store import ArtifactStore
from quorumlearn.artifacts.whole import write_whole

__all__ = [
    "ArtifactCorrupt",
    "ArtifactError",
    "ArtifactMissing",
    "ArtifactStore",
    "ArtifactTooLarge",
    "BadReference",
    "NotAllowed",
    "Purpose",
    "StoreFull",
    "StoreUnavailable",
    "checked",
    "checked_digest",
    "reference_of",
    "write_whole",
]
