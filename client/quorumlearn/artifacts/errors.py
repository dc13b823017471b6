"""What can go wrong with artifacts, one type for each thing a caller can do about it.

No message holds an artifact's content, or a store's options or credentials.
"""

from __future__ import annotations


class ArtifactError(Exception):
    """Base of all errors of this package."""


class BadReference(ArtifactError):
    """A reference that can belong to no artifact: blame who gave it."""


class ArtifactMissing(ArtifactError):
    """The store works, and has nothing under this digest: wait, or treat it as withheld."""


class ArtifactCorrupt(ArtifactError):
    """What the store holds under this digest is something else: treat it as missing; a new put mends it."""


class ArtifactTooLarge(ArtifactError):
    """An artifact over the reader's limit: nothing was read."""


class StoreUnavailable(ArtifactError):
    """The store is gone, unreachable or not ours to use: try again later, or mend the configuration."""


class NotAllowed(StoreUnavailable):
    """The store is there and does not let this program do it: mend permissions or credentials."""


class StoreFull(ArtifactError):
    """There is no room for the artifact, in the store or in the temporary folder: make room and try again."""
