"""Canonical JSON of protobuf messages: one message, one sequence of bytes.

Rules: protobuf's JSON mapping with the field names of the .proto files, enums by name, 64-bit integers as
strings, bytes in base64; fields with their default value left out; keys sorted; no white space; UTF-8.
Reading is strict: unknown fields, wrong types, duplicate keys and sizes over the limit are refused.

>>> from quorumlearn_proto.common_pb2 import ArtifactRef
>>> to_json(ArtifactRef(digest="ab", size=3))
b'{"digest":"ab","size":"3"}'
"""

from __future__ import annotations

import hashlib
import json
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

MAX_JSON_BYTES = 1 << 20

M = TypeVar("M", bound=Message)


class CanonicalError(ValueError):
    """Bytes that are not the JSON of the message they should be."""


def to_json(message: Message) -> bytes:
    """The canonical JSON of `message`."""
    fields = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def from_json(kind: type[M], data: bytes, limit: int = MAX_JSON_BYTES) -> M:
    """Parse JSON bytes strictly into a message of type `kind`; CanonicalError says what is wrong."""
    name = kind.DESCRIPTOR.name
    if len(data) > limit:
        raise CanonicalError(f"{name} of {len(data)} bytes is over the limit of {limit}")
    try:
        fields = json.loads(data.decode(), object_pairs_hook=_no_duplicates)
        return json_format.ParseDict(fields, kind())
    except (json_format.ParseError, ValueError, RecursionError, TypeError, AttributeError) as error:
        raise CanonicalError(f"not the JSON of a {name}: {error}") from error


def digest(message: Message) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(to_json(message)).hexdigest()


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key appears twice")
    return fields
