"""The content keys of a sealed data set, in a file of its owner's, and who was given them.

Rules:
- the file is its owner's alone: mode 0600, written whole or not at all, flushed to the disk; one that others may read is refused;
- a key of 32 random bytes is of one chunk in one version. A version that is left behind is forgotten, its keys too;
- no key stands in a log, an error, an artifact or what a command prints. Errors name the file and the place in it;
- one process at a time changes the file: a node that gives keys, or a command that renews them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pydantic
from quorumlearn_proto.common_pb2 import ArtifactRef

from quorumlearn.artifacts import write_whole
from quorumlearn.replay import new_key

_HEX_KEY = r"^[0-9a-f]{64}$"
_FORMAT = 1
_MODE = 0o600


class DataKeysError(Exception):
    """A file of content keys that cannot be used; the message names the file and what is wrong, and no key."""


@dataclass(frozen=True)
class ChunkKey:
    """Of one chunk: its content key, who was given it, `TASK MSP/name`, and in which rounds, `TASK NUMBER`."""

    key: bytes = field(repr=False)
    readers: frozenset[str] = frozenset()
    rounds: frozenset[str] = frozenset()

    @classmethod
    def new(cls) -> ChunkKey:
        return cls(new_key())

    def given(self, task: str, number: int, accounts: Iterable[str]) -> ChunkKey:
        """After a round in which these accounts were given it."""
        had = {f"{task} {account}" for account in accounts}
        return replace(self, readers=self.readers | had, rounds=self.rounds | {f"{task} {number}"})

    def had_by(self, task: str) -> set[str]:
        """The accounts that were given it in a task."""
        return {account for of, _, account in (one.partition(" ") for one in self.readers) if of == task}

    def was_given_to(self, account: str) -> bool:
        """Whether an account was given it, in whatever task."""
        return any(one.partition(" ")[2] == account for one in self.readers)

    def only_in(self, task: str) -> bool:
        """Whether nobody was given it in another task."""
        return all(one.startswith(f"{task} ") for one in self.readers)


@dataclass(frozen=True)
class DataKeys:
    """A data set's keys by chunk, of the version that `manifests` names last; the earlier ones are those of its earlier versions."""

    manifests: tuple[ArtifactRef, ...]
    chunks: tuple[ChunkKey, ...]
    revoked: frozenset[str] = frozenset()
    """Accounts, MSP/name, that are given no key any more."""

    @property
    def manifest(self) -> ArtifactRef:
        return self.manifests[-1]

    def of(self, data: ArtifactRef) -> bool:
        """Whether this is a version of the data set, its first one or a later."""
        return any(one.digest == data.digest for one in self.manifests)

    def without(self, account: str) -> DataKeys:
        """With an account that is given no key any more."""
        return replace(self, revoked=self.revoked | {account})

    def renewed(self, manifest: ArtifactRef, chunks: Sequence[ChunkKey]) -> DataKeys:
        """With another version and its keys."""
        return replace(self, manifests=(*self.manifests, manifest), chunks=tuple(chunks))


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Ref(_Strict):
    digest: str = pydantic.Field(pattern=_HEX_KEY)
    size: int = pydantic.Field(ge=1)


class _Chunk(_Strict):
    key: str = pydantic.Field(pattern=_HEX_KEY)
    readers: tuple[str, ...] = ()
    rounds: tuple[str, ...] = ()


class _File(_Strict):
    format: int
    manifests: tuple[_Ref, ...] = pydantic.Field(min_length=1)
    chunks: tuple[_Chunk, ...] = pydantic.Field(min_length=1)
    revoked: tuple[str, ...] = ()


def load(path: Path) -> DataKeys:
    """The keys in a file. DataKeysError if it is not there, is open to others, or is no such file."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & 0o077:
                raise DataKeysError(
                    f"{path} holds content keys and its mode is {mode & 0o777:04o}: chmod 600, and renew the keys with "
                    "`quorumlearn data rotate` if others may have read it"
                )
            text = file.read()
    except OSError as error:
        raise DataKeysError(f"cannot read the content keys in {path}: {error.strerror}") from error
    try:
        found = _File.model_validate_json(text)
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataKeysError(f"{path} is no file of content keys: {place}: {first['msg']}") from error
    if found.format != _FORMAT:
        raise DataKeysError(
            f"{path} has the format {found.format}, this program reads {_FORMAT}: run the one that wrote it"
        )
    return DataKeys(
        tuple(ArtifactRef(digest=one.digest, size=one.size) for one in found.manifests),
        tuple(
            ChunkKey(bytes.fromhex(one.key), frozenset(one.readers), frozenset(one.rounds))
            for one in found.chunks
        ),
        frozenset(found.revoked),
    )


def save(path: Path, keys: DataKeys) -> None:
    """Write them whole or not at all, for their owner alone. DataKeysError if that fails."""
    text = _File(
        format=_FORMAT,
        manifests=tuple(_Ref(digest=one.digest, size=one.size) for one in keys.manifests),
        chunks=tuple(
            _Chunk(key=one.key.hex(), readers=tuple(sorted(one.readers)), rounds=tuple(sorted(one.rounds)))
            for one in keys.chunks
        ),
        revoked=tuple(sorted(keys.revoked)),
    ).model_dump_json(indent=1)
    try:
        write_whole(path, f"{text}\n".encode(), durable=True)
    except OSError as error:
        raise DataKeysError(f"cannot write the content keys to {path}: {error.strerror}") from error


@contextlib.contextmanager
def held(path: Path) -> Iterator[DataKeys]:
    """The keys in a file that nobody else changes meanwhile; `save` in the body."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise DataKeysError(f"cannot hold {path}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield load(path)
    finally:
        os.close(handle)
