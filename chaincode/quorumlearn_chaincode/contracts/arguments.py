"""Arguments of contract functions: text from anybody, parsed strictly or refused.

Every parser names the argument, its value (shortened) and the limit. Nothing here reads the ledger.
"""

from __future__ import annotations

import re
from typing import TypeVar

from google.protobuf.message import Message
from quorumlearn_proto import canonical
from quorumlearn_proto.accounts import NAME_IN_WORDS, is_account
from quorumlearn_proto.common_pb2 import ArtifactRef

from .errors import Code, Refusal

MAX_AMOUNT = 10**15
"""Tokens in one amount."""
MAX_SUPPLY = 10**18
"""Tokens that may ever be minted; no balance can pass it, and it fits 64 bits."""
MAX_RECORD_BYTES = 256 * 1024
MAX_PAGE = 1000
MAX_ARTIFACT_BYTES = 1 << 40
MAX_TEXT = 200
MIN_SEALING_KEY = 32
MAX_SEALING_KEY = 4096

_DIGITS = re.compile(r"[0-9]{1,19}", re.ASCII)
_TASK = re.compile(r"[a-z0-9][a-z0-9-]{2,62}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{0,1024}", re.ASCII)
_BYTES = re.compile(rf"([0-9a-f]{{2}}){{0,{MAX_SEALING_KEY}}}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)

M = TypeVar("M", bound=Message)


def bad(sentence: str) -> Refusal:
    """A refusal of an argument."""
    return Refusal(Code.BAD_ARGUMENT, sentence)


def shown(text: str) -> str:
    """Foreign text for a message: quoted, escaped, shortened."""
    return ascii(text if len(text) <= 40 else text[:40] + "...")


def amount(text: str) -> int:
    """A positive number of tokens in plain decimal digits."""
    if not _DIGITS.fullmatch(text) or text.startswith("0") or int(text) > MAX_AMOUNT:
        raise Refusal(
            Code.BAD_AMOUNT,
            f"{shown(text)} is not an amount: digits only, from 1 to {MAX_AMOUNT}, no sign, no leading zero",
        )
    return int(text)


def whole(name: str, text: str, low: int, high: int) -> int:
    """A whole number in plain decimal digits, from `low` to `high`."""
    if (
        not _DIGITS.fullmatch(text)
        or (len(text) > 1 and text.startswith("0"))
        or not low <= int(text) <= high
    ):
        raise bad(f"{name} is {shown(text)}: give a whole number from {low} to {high}")
    return int(text)


def is_task_id(text: str) -> bool:
    return _TASK.fullmatch(text) is not None


def within(name: str, value: int, low: int, high: int) -> None:
    """Refuse a number of a record that is out of its bounds."""
    if not low <= value <= high:
        raise bad(f"{name} is {value}: {low} to {high}")


def task_id(text: str) -> str:
    if not is_task_id(text):
        raise bad(f"task {shown(text)} is not a task id: 3 to 63 of a-z 0-9 -, not beginning with -")
    return text


def identity(name: str, text: str) -> str:
    """`MSP/name`."""
    if not is_account(text):
        raise bad(f"{name} {shown(text)} is not an identity: MSP/name, each {NAME_IN_WORDS}")
    return text


def digest(name: str, text: str) -> str:
    """SHA-256, 64 lower-case hex digits."""
    if not _DIGEST.fullmatch(text):
        raise bad(f"{name} {shown(text)} is not a digest: 64 lower-case hex digits")
    return text


def secret_bytes(name: str, text: str) -> bytes:
    """32 bytes from lower-case hex."""
    if not _DIGEST.fullmatch(text):
        raise bad(f"{name} is not 32 bytes in lower-case hex")
    return bytes.fromhex(text)


def hex_bytes(name: str, text: str) -> bytes:
    """Bytes from lower-case hex."""
    if not _BYTES.fullmatch(text):
        raise bad(f"{name} {shown(text)} is not bytes in lower-case hex: at most {MAX_SEALING_KEY} of them")
    return bytes.fromhex(text)


def sealing_key(name: str, key: bytes) -> bytes:
    """A public or private HPKE key, by its size."""
    if not MIN_SEALING_KEY <= len(key) <= MAX_SEALING_KEY:
        raise bad(f"{name} has {len(key)} bytes: {MIN_SEALING_KEY} to {MAX_SEALING_KEY}")
    return key


def artifact(name: str, ref: ArtifactRef) -> ArtifactRef:
    """A reference with a digest and a positive size."""
    digest(f"{name}.digest", ref.digest)
    if not 1 <= ref.size <= MAX_ARTIFACT_BYTES:
        raise bad(f"{name}.size is {ref.size}: give 1 to {MAX_ARTIFACT_BYTES} bytes")
    return ref


def line(name: str, text: str, limit: int = MAX_TEXT) -> str:
    """A line of text for people."""
    if len(text) > limit:
        raise bad(f"{name} has {len(text)} characters: at most {limit}")
    if not text.isprintable():
        raise bad(f"{name} {shown(text)} holds characters that cannot be printed")
    return text


def record(kind: type[M], text: str, limit: int = MAX_RECORD_BYTES) -> M:
    """A message from its JSON."""
    try:
        return canonical.from_json(kind, text.encode(), limit)
    except (canonical.CanonicalError, OverflowError) as error:
        raise bad(f"{_first_line(error)}") from error


def page(size: str, bookmark: str) -> tuple[int, str]:
    """A page's size and the key where it begins; a bookmark is that key in hex, fit for a command line."""
    if not _HEX.fullmatch(bookmark):
        raise bad("the bookmark is not one that a page gave: pass the last page's bookmark, or nothing")
    try:
        start = bytes.fromhex(bookmark).decode()
    except ValueError as error:
        raise bad(
            "the bookmark is not one that a page gave: pass the last page's bookmark, or nothing"
        ) from error
    return whole("page_size", size, 1, MAX_PAGE), start


def _first_line(error: Exception) -> str:
    text = ascii(str(error).splitlines()[0])[1:-1] if str(error) else "not JSON"
    return text if len(text) <= 300 else text[:300] + "..."
