"""What a scenario observes, in a form that two networks can be compared by.

A case is a function of a network that returns JSON: codes, messages, counts, shapes. What no two runs share
(transaction ids, addresses, certificates) is replaced by what it stands for, and where Fabric chooses peers
by chance, only what they said is kept. Facts that cryptography decides (hashes, signatures) are asserted
inside a case and not recorded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType

import grpc
from fabric_protos.gateway import gateway_pb2
from google.rpc import status_pb2

from tests.conformance.network import Network
from tests.network.devnet.raw_gateway import trailing_metadata

Observation = None | bool | int | str | list["Observation"] | dict[str, "Observation"]
Observe = Callable[[Network], Observation]


@dataclass(frozen=True)
class Case:
    """One thing to try, and what comes of it."""

    group: str
    title: str
    observe: Observe

    @property
    def name(self) -> str:
        return f"{self.group}: {self.title}"


def case(title: str) -> Callable[[Observe], Observe]:
    """Mark a function of a scenario module as a case."""

    def mark(function: Observe) -> Observe:
        function.__dict__["title"] = title
        return function

    return mark


def cases_of(modules: Iterable[ModuleType]) -> list[Case]:
    """The cases of modules, each module a group called as its first docstring line says, in their order."""
    found = []
    for module in modules:
        group = (module.__doc__ or "").splitlines()[0].rstrip(".")
        for value in vars(module).values():
            if callable(value) and "title" in getattr(value, "__dict__", {}):
                found.append(Case(group, value.__dict__["title"], value))
    return found


def outcome(network: Network, call: Callable[[], Observation | bytes]) -> Observation:
    """What a call gives, or how it is refused: code, message, and what each peer said."""
    try:
        found = call()
    except grpc.RpcError as error:
        return refusal(network, error)
    return plain(network, found.decode(errors="replace")) if isinstance(found, bytes) else found


def refusal(network: Network, error: grpc.RpcError) -> Observation:
    """An error of gRPC: its code, message and details."""
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED or "RST_STREAM" in (error.details() or ""):
        return {"code": "DEADLINE_EXCEEDED"}  # by the client's own clock, or the peer's, which may come first
    found: dict[str, Observation] = {
        "code": error.code().name,
        "message": plain(network, error.details() or ""),
    }
    details = sorted(set(_details(network, error)))
    if details:
        found["details"] = list(details)
    return found


def plain(network: Network, text: str) -> str:
    """A message without what differs from run to run."""
    for one in network.spec.organisations:
        text = text.replace(one.peer.address, f"<peer of {one.msp_id}>")
    text = text.replace("\xa0", " ")  # protobuf for Go writes one kind of space or the other by chance
    text = re.sub(r"\b[0-9a-f]{128,}\b", "<creator>", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "<transaction>", text)
    text = re.sub(r"\bkv_1\.0:<transaction>", "<package>", text)
    text = re.sub(r"127\.0\.0\.1:[0-9]+", "<address>", text)
    text = re.sub(r"\b20[0-9-]{8}T[0-9:]{8}Z", "<time>", text)
    return re.sub(r"payload is [0-9]+ bytes", "payload is <n> bytes", text)


def _details(network: Network, error: grpc.RpcError) -> Iterable[str]:
    for key, value in trailing_metadata(error):
        if key != "grpc-status-details-bin":
            continue
        status = status_pb2.Status.FromString(value)
        assert status.code == error.code().value[0]
        assert status.message == error.details()
        for packed in status.details:
            detail = gateway_pb2.ErrorDetail()
            assert packed.Unpack(detail), "a detail that is no gateway.ErrorDetail"
            msp_ids = [one.msp_id for one in network.spec.organisations]
            if detail.msp_id in msp_ids:
                assert detail.address == network.address(detail.msp_id)
            who = detail.msp_id if detail.msp_id not in msp_ids[1:] else "a verifier"
            yield f"{who}: {plain(network, detail.message)}"
