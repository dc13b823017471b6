"""Artifacts that verifiers leave for each other, and miners for them: protobuf in the store, read back strictly.

Bytes from others are hostile. What is read here was fetched by digest and within a size limit; it must parse and must say
of itself what the ledger says of it (task, round, seat), or it counts as not there: `ExchangeError`.
"""

from __future__ import annotations

from typing import TypeVar

import structlog
from google.protobuf.message import DecodeError
from quorumlearn_proto.artifact_pb2 import (
    CollectiveKey,
    PartialDecryption,
    PublicShare,
    ReplayReport,
    SealedBox,
    SealedKeys,
    SealedOpening,
    SealedSalts,
    SealedShares,
    SketchShares,
)
from quorumlearn_proto.common_pb2 import ArtifactRef

from quorumlearn.artifacts import ArtifactStore, Purpose
from quorumlearn.nodes import sealing

Record = TypeVar(
    "Record",
    PublicShare,
    SealedShares,
    SketchShares,
    PartialDecryption,
    CollectiveKey,
    SealedSalts,
    SealedKeys,
    ReplayReport,
    SealedOpening,
)

log = structlog.get_logger()

OVERHEAD = 4096  # bytes of names and numbers in an artifact beside its payload


class ExchangeError(Exception):
    """An artifact of another verifier that is not what the ledger says it is."""


def put(store: ArtifactStore, record: Record, purpose: Purpose | None = None) -> ArtifactRef:
    return store.put(record.SerializeToString(deterministic=True), purpose)


def get(
    store: ArtifactStore,
    kind: type[Record],
    ref: ArtifactRef,
    limit: int,
    author: str = "",
    kept_for: Purpose | None = None,
    **expected: object,
) -> Record:
    """Fetch and parse; `author` put it if that is known, `expected` are fields that must have these values."""
    return parsed(kind, store.get(ref, limit + OVERHEAD, author, kept_for), ref, **expected)


def parsed(kind: type[Record], data: bytes, ref: ArtifactRef, **expected: object) -> Record:
    """The record in an artifact's bytes; ExchangeError if it is none, or another than was `expected`."""
    record = kind()
    try:
        record.ParseFromString(data)
    except DecodeError as error:
        raise ExchangeError(f"artifact {ref.digest[:12]} is no {kind.DESCRIPTOR.name}") from error
    for name, value in expected.items():
        if getattr(record, name) != value:
            raise ExchangeError(
                f"{kind.DESCRIPTOR.name} {ref.digest[:12]} has another {name} than its transaction"
            )
    return record


def seal_for(
    keys: dict[int, bytes], messages: dict[int, bytes], context: str, sender: int | str
) -> list[SealedBox]:
    """Seal each seat's message to its key, bound to the context, the sender (a seat, or a miner) and the recipient.

    A seat that registered something that is no key gets nothing: its own fault, and no reason for others to stop.
    """
    boxes = []
    for seat, message in sorted(messages.items()):
        try:
            sealed = sealing.seal(message, keys[seat], _bound(context, sender, seat))
        except sealing.SealError:
            log.warning("a seat registered no sealing key", seat=seat, context=context)
        else:
            boxes.append(SealedBox(recipient=seat, sealed=sealed))
    return boxes


def unseal_from(boxes: list[SealedBox], private: bytes, context: str, sender: int | str, me: int) -> bytes:
    """The message for `me`; ExchangeError if there is none or it does not open."""
    for box in boxes:
        if box.recipient == me:
            try:
                return sealing.unseal(box.sealed, private, _bound(context, sender, me))
            except sealing.SealError as error:
                raise ExchangeError(
                    f"{_named(sender)} sealed nothing that opens to seat {me} ({context})"
                ) from error
    raise ExchangeError(f"{_named(sender)} sealed nothing to seat {me} ({context})")


def _named(sender: int | str) -> str:
    return f"seat {sender}" if isinstance(sender, int) else sender


def _bound(context: str, sender: int | str, recipient: int) -> str:
    return f"{context}/{sender}->{recipient}"
