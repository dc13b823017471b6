"""What can go wrong in this room, one type for each thing that a caller can do about it."""

from __future__ import annotations


class ReplayError(Exception):
    """Base of all errors of this package."""


class StateError(ReplayError):
    """Bytes that are not the checkpoint, or the log of near ties, that they should be: do not use them."""


class TraceError(ReplayError):
    """A training whose trace cannot be made or opened: the sentence says what to change."""


class ChunkError(ReplayError):
    """A chunk, or a list of chunks, that is not what its task says; or data that cannot be cut into chunks."""


class SealError(ChunkError):
    """A sealed chunk that does not open: another key, another place, or altered bytes."""
