"""Composite keys: several strings in one key, sorted so that a prefix of parts is a range.

A composite key is U+0000, then each part followed by U+0000; the first part is the object type. Simple keys
do not begin with U+0000, so the two never meet. Source: fabric-chaincode-go, `shim/stub.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from .errors import InvalidArgumentError

_SEPARATOR = "\x00"
_LAST = "\U0010ffff"
_FIRST_SIMPLE = "\x01"


def composite_key(object_type: str, attributes: Sequence[str]) -> str:
    """The key of these parts. Raises `InvalidArgumentError` as `ChaincodeStub.create_composite_key` says."""
    if not object_type:
        raise InvalidArgumentError("a composite key needs an object type, and this one is empty")
    for part in (object_type, *attributes):
        if _SEPARATOR in part or _LAST in part:
            raise InvalidArgumentError("a part of a composite key holds U+0000 or U+10FFFF: leave them out")
        check_text(part)
    return _SEPARATOR + "".join(part + _SEPARATOR for part in (object_type, *attributes))


def split_composite_key(key: str) -> tuple[str, list[str]]:
    """The parts of a composite key. Raises `InvalidArgumentError` if it is none."""
    if not (key.startswith(_SEPARATOR) and key.endswith(_SEPARATOR)) or len(key) < 3:
        raise InvalidArgumentError("not a composite key: it has to begin and end with U+0000")
    object_type, *attributes = key[1:-1].split(_SEPARATOR)
    if not object_type:
        raise InvalidArgumentError("not a composite key: its object type is empty")
    return object_type, attributes


def composite_range(object_type: str, attributes: Sequence[str]) -> tuple[str, str]:
    """The range of all composite keys that begin with these parts, the key of just these included."""
    start = composite_key(object_type, attributes)
    return start, start + _LAST


def simple_range(start: str, end: str) -> tuple[str, str]:
    """A range of simple keys, below by the first of them. Raises `InvalidArgumentError` for other bounds."""
    for bound in (start, end):
        if bound.startswith(_SEPARATOR):
            raise InvalidArgumentError(
                "a range's bound begins with U+0000: use a partial composite key instead"
            )
        check_text(bound)
    return start or _FIRST_SIMPLE, end


def check_key(key: str) -> str:
    """`key` itself. Raises `InvalidArgumentError` if it is empty or no valid text."""
    if not key:
        raise InvalidArgumentError("a key must not be empty")
    return check_text(key)


def check_text(text: str) -> str:
    """`text` itself. Raises `InvalidArgumentError` if it cannot be written as UTF-8 (a lone surrogate)."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(
            f"a key holds a lone surrogate at position {error.start}: not UTF-8"
        ) from None
    return text
