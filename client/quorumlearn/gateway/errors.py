"""What can go wrong between a client and its gateway peer: one type per step, each with what the peers said.

A chaincode's own refusal is not interpreted here: it is the `message` of a `PeerError`, as the peer passed
it on.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

import grpc
from fabric_protos.gateway import gateway_pb2
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

_DETAILS = "grpc-status-details-bin"
_NO_CONNECTION = (
    "failed to connect",
    "Failed to connect",
    "DNS resolution failed",
    "errors resolving",
    "empty address list",
)
_REASON = re.compile(
    r"last error: (?:[A-Z_]+: )?(?:ipv[46]:\S+: )?(?:Failed to connect to remote host: )?(.*)", re.DOTALL
)
_TLS = re.compile(r"\b(ssl|tls|tsi|certificate|verification|security handshaker)", re.IGNORECASE)
_CUT_OFF = "Unwrap failed"
"""A peer that misses the client's certificate says so in an alert, which gRPC cannot read."""
_DISAGREEMENT = "ProposalResponsePayloads do not match"
_REFUSAL = "chaincode response "
_HINTS = {
    "No metadata was found for chaincode": "no chaincode of that name is committed on the channel",
    "no combination of peers": "the peer knows of too few endorsers: are they up, and does each organisation have an anchor peer?",
    "creator org unknown": "the peer knows no such MSP id, or not the authority of this certificate as one of it",
    "could not get last config for channel": "the peer has not joined a channel of that name",
    "no peers available to evaluate": "is the chaincode committed on the channel, and installed on the peer?",
}
"""By words of a peer, what an operator can look at."""
_NO_ENDORSERS = "failed to find any endorsing peers for org(s): "


@dataclass(frozen=True)
class PeerError:
    """One peer's (or orderer's) own message."""

    address: str
    msp_id: str
    message: str

    def __str__(self) -> str:
        return f"{self.msp_id} at {self.address}: {self.message}"


E = TypeVar("E", bound="GatewayError")


class GatewayError(Exception):
    """Base of everything this package raises.

    `transaction_id` and `endpoint` are `""` and `status` is None where there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        transaction_id: str = "",
        status: grpc.StatusCode | None = None,
        details: Iterable[PeerError] = (),
        endpoint: str = "",
        unreachable: bool = False,
    ) -> None:
        super().__init__(message)
        self.transaction_id = transaction_id
        self.status = status
        self.details: tuple[PeerError, ...] = tuple(details)
        self.endpoint = endpoint
        self.unreachable = unreachable
        """Whether no peer answered at all (as opposed to one that answered with an error)."""

    @property
    def timed_out(self) -> bool:
        """Whether no answer came within the deadline.

        A peer keeps the call's deadline too, and may end it first: that reaches the client as CANCELLED.
        """
        return self.status in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)

    def diagnostics(self) -> str:
        """Several lines for a person: what failed, where, and each peer's own words."""
        lines = [str(self)]
        if self.endpoint:
            lines.append(f"  gateway peer: {self.endpoint}")
        if self.transaction_id:
            lines.append(f"  transaction:  {self.transaction_id}")
        if self.status is not None:
            lines.append(f"  gRPC status:  {self.status.name}")
        lines += [f"  {detail}" for detail in self.details]
        if self.unreachable:
            lines.append("  nothing answers at that address; is the peer running?")
        return "\n".join(lines)


class EvaluateError(GatewayError):
    """A query failed; nothing was sent to the orderer."""


class EndorseError(GatewayError):
    """The peers did not endorse; nothing was sent to the orderer."""

    @property
    def disagreement(self) -> bool:
        """Whether peers endorsed different results: one of them has yet to see a block that another has."""
        return any(detail.message.startswith(_DISAGREEMENT) for detail in self.details)

    def suspects(self, named: Collection[str]) -> frozenset[str]:
        """Those of the organisations named as endorsers that may be why: their peers gave no answer, are not known, or are
        behind, so that their result is another.

        A refusal is an answer. Of a call that timed out, and of two results, nobody can tell whose fault it was.
        """
        unlike = {one.msp_id for one in self.details if one.message.startswith(_DISAGREEMENT)}
        if self.timed_out or (unlike and len(unlike) >= len(named) - 1):  # all are unlike the first to answer
            return frozenset(named)
        unknown = str(self).partition(_NO_ENDORSERS)[2].split(", ")
        lost = {one.msp_id for one in self.details if not one.message.startswith(_REFUSAL)}
        return frozenset(named) & (lost | set(unknown))


class SubmitError(GatewayError):
    """The orderer did not take the transaction, or did not say that it did."""


class CommitStatusError(GatewayError):
    """The transaction was submitted, but whether it was committed could not be learnt."""


class CommitError(GatewayError):
    """The transaction is in a block and was found invalid: `code` says why, by Fabric's name of it."""

    def __init__(self, transaction_id: str, code: str, block: int, endpoint: str = "") -> None:
        super().__init__(
            f"transaction {transaction_id} was invalidated in block {block}: {code}",
            transaction_id=transaction_id,
            endpoint=endpoint,
        )
        self.code = code
        self.block = block


class SizeError(GatewayError):
    """The transaction is, or will be, larger than the orderer takes."""


class EventsError(GatewayError):
    """A stream of events or blocks ended with an error, or could not be resumed."""


class CheckpointError(GatewayError):
    """A checkpoint file that cannot be read or written."""


class CredentialError(GatewayError):
    """A certificate, key or connection profile that cannot be used."""


class ClosedError(GatewayError):
    """The gateway was closed."""


def from_rpc(kind: type[E], doing: str, error: grpc.RpcError, endpoint: str, transaction_id: str = "") -> E:
    """The `kind` of error for a failed RPC, with the peers' messages that Fabric's gateway attaches to it."""
    status, text, details = _read(error)
    apart = status is grpc.StatusCode.UNAVAILABLE and not details and text.startswith(_NO_CONNECTION)
    found = _REASON.search(text)
    reason = found[1] if found else text
    silent = apart and not _TLS.search(reason)
    if silent:
        message = f"{doing}: no peer answers at {endpoint} ({reason})"
    elif apart:
        way_out = (
            "it may want a TLS certificate of its clients: client_certificate and client_key"
            if _CUT_OFF in reason
            else "compare the TLS authority and the host name in the profile with the peer's certificate"
        )
        message = f"{doing}: no TLS connection to the peer at {endpoint} ({reason}); {way_out}"
    else:
        said = details[0].message if len(details) == 1 else text or status.name
        if len(details) > 1:
            said += " (" + "; ".join(str(detail) for detail in details) + ")"
        message = f"{doing}: {said}" + next(
            (f"; {hint}" for words, hint in _HINTS.items() if words in said), ""
        )
    return kind(
        message,
        transaction_id=transaction_id,
        status=status,
        details=details,
        endpoint=endpoint,
        unreachable=silent,
    )


def status_of(error: grpc.RpcError) -> grpc.StatusCode:
    """The status of a failed call; UNKNOWN if it carries none."""
    code = error.code() if isinstance(error, grpc.Call) else None
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def passing(error: grpc.RpcError) -> bool:
    """Whether the same call may succeed in a moment, at the same peer."""
    return status_of(error) is grpc.StatusCode.UNAVAILABLE and not _read(error)[1].startswith(_NO_ENDORSERS)


def _read(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, tuple[PeerError, ...]]:
    if not isinstance(error, grpc.Call):
        return grpc.StatusCode.UNKNOWN, str(error), ()
    details: list[PeerError] = []
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            details += _details(value)
    return status_of(error), str(error.details() or ""), tuple(details)


def _details(data: bytes) -> list[PeerError]:
    found = []
    try:
        for packed in status_pb2.Status.FromString(data).details:
            detail = gateway_pb2.ErrorDetail()
            if packed.Unpack(detail):
                found.append(PeerError(detail.address, detail.msp_id, detail.message))
    except DecodeError:  # the status itself still stands; details that cannot be read are none
        return []
    return found
