"""What can go wrong with encryption, one type for each thing a caller can do about it."""

from __future__ import annotations


class CkksError(Exception):
    """Base of every error this package raises on purpose."""


class ParameterError(CkksError):
    """The parameters do not fit together, or fall short of the wanted security: choose others."""


class QuantiseError(CkksError):
    """Own values cannot be put on the grid (not finite, wrong shape or type): look at the training."""


class MalformedCiphertext(CkksError):
    """Bytes are not a ciphertext container of these parameters: reject whoever sent them."""


class WorkerDied(CkksError):
    """A worker process ended while it worked on own data: the machine is out of memory or a library crashed."""


class WorkerFailed(CkksError):
    """A worker process could not do its work and says why: try again, or look at what it says."""


class MalformedKey(CkksError):
    """Bytes are not a public share or a collective key of these parameters: leave the sender out."""


class MalformedShare(CkksError):
    """Bytes are not a share, a partial decryption or a sketch share of these parameters."""


class BadPartial(CkksError):
    """Partial decryptions (or sketch shares) do not fit together.

    `seats` names the seats at fault where that can be told, and is empty where it cannot:
    then wait for one more partial decryption and try again.
    """

    def __init__(self, message: str, seats: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.seats = seats


class OutOfRange(CkksError):
    """A sketch has a value that no update inside the bound and on the grid reaches: reject the update."""
