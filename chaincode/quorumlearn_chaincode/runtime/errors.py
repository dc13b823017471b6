"""What can go wrong in a transaction, as the contract and its caller see it.

Rules: a `ChaincodeError` that leaves a contract ends its transaction with the error's status and its
message, word for word, so the message must hold nothing secret. Any other exception ends it with "internal
error" and the stack in the service's own log. Nothing is written to the ledger in either case.
"""

from __future__ import annotations


class ChaincodeError(Exception):
    """A refusal that the caller of the transaction is meant to read.

    `status` is the response's status, 400 to 599: a peer endorses nothing with a status of 400 or more.
    """

    def __init__(self, message: str, status: int = 500) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"status {status} is not an error: give one from 400 to 599")
        super().__init__(message)
        self.status = status


class InvalidArgumentError(ChaincodeError):
    """A key, an argument or a page size that Fabric cannot take; the caller has to send another one."""


class IdentityError(ChaincodeError):
    """The submitter's certificate cannot be read as an X.509 identity with one common name."""


class PeerError(ChaincodeError):
    """The peer refused a request of this transaction, in its own words, or answered it with nonsense."""


class PeerLostError(PeerError):
    """The peer went away, or did not answer in time; this transaction can ask it nothing more."""


class ServiceError(ChaincodeError):
    """The chaincode service cannot start: its address, package id or TLS files are wrong."""
