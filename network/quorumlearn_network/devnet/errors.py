"""What can go wrong in the devnet, by what a caller can do about it.

None of these messages contains a key, a value of the state or a payload.
"""

from __future__ import annotations


class DevnetError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(DevnetError):
    """The configuration, or a file that it names, cannot be used: correct it and start again."""


class LedgerError(DevnetError):
    """The ledger file cannot be opened, is damaged, or belongs to another network."""


class LedgerUnavailableError(DevnetError):
    """The store refused a read or a write (disk full, file gone): nothing more is ordered, and the devnet ends."""


class IdentityError(DevnetError):
    """A certificate or signature that this channel does not accept."""


class PolicyError(DevnetError):
    """A policy that cannot be parsed, or one that a set of signatures does not satisfy."""


class SimulationError(DevnetError):
    """A chaincode asked the ledger for something it may not have; the text goes back to the chaincode."""


class ProposalError(DevnetError):
    """A proposal that a peer refuses before it runs the chaincode."""


class UnauthorisedError(DevnetError):
    """A request that a peer does not even look at: an expired certificate, or a clock that is far off."""


class ExecutionError(DevnetError):
    """The chaincode could not be run, ended its stream, timed out, or answered with an ERROR message."""


class NotFoundError(DevnetError):
    """No such block or transaction on the ledger."""


class OrderError(DevnetError):
    """The orderer refuses an envelope. `status` is Fabric's common.Status number, the text its info."""

    def __init__(self, status: int, info: str) -> None:
        super().__init__(info)
        self.status = status
        self.info = info
