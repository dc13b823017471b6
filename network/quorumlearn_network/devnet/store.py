"""The ledger's tables and the reads that snapshots, validation and queries share.

Every failure of SQLite becomes LedgerUnavailableError, so that callers see one kind.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from fabric_protos.common import common_pb2

from quorumlearn_network.devnet.blocks import Version
from quorumlearn_network.devnet.errors import LedgerUnavailableError, NotFoundError

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, commit_hash BLOB NOT NULL, data BLOB NOT NULL);
CREATE TABLE transactions (txid TEXT PRIMARY KEY, block INTEGER NOT NULL, position INTEGER NOT NULL, code INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE state (namespace TEXT, key BLOB, value BLOB NOT NULL, metadata BLOB NOT NULL, block INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (namespace, key)) WITHOUT ROWID;
CREATE TABLE history (namespace TEXT, key BLOB, block INTEGER, position INTEGER, PRIMARY KEY (namespace, key, block, position)) WITHOUT ROWID;
"""  # noqa: E501


_KEYS_AT_ONCE = 500


@dataclass(frozen=True)
class VersionedValue:
    value: bytes
    metadata: bytes
    version: Version


@dataclass(frozen=True)
class TransactionPlace:
    """Where a transaction id first appeared, and its validation code there."""

    block: int
    position: int
    code: int


def get_state(connection: sqlite3.Connection, namespace: str, key: str) -> VersionedValue | None:
    with store_errors():
        row = connection.execute(
            "SELECT value, metadata, block, position FROM state WHERE namespace = ? AND key = ?",
            (namespace, key.encode()),
        ).fetchone()
    return None if row is None else VersionedValue(row[0], row[1], (row[2], row[3]))


def get_states(
    connection: sqlite3.Connection, namespace: str, keys: Sequence[str]
) -> list[VersionedValue | None]:
    """`get_state` of several keys, in their order, in as few statements as SQLite's limit on parameters allows."""
    found: dict[bytes, VersionedValue] = {}
    wanted = [key.encode() for key in keys]
    for at in range(0, len(wanted), _KEYS_AT_ONCE):
        some = wanted[at : at + _KEYS_AT_ONCE]
        places = ",".join("?" * len(some))
        with store_errors():
            rows = connection.execute(
                f"SELECT key, value, metadata, block, position FROM state WHERE namespace = ? AND key IN ({places})",
                (namespace, *some),
            ).fetchall()
        found |= {row[0]: VersionedValue(row[1], row[2], (row[3], row[4])) for row in rows}
    return [found.get(key) for key in wanted]


def scan_state(
    connection: sqlite3.Connection, namespace: str, start: str, end: str
) -> Generator[tuple[str, VersionedValue], None, None]:
    below = "AND key < ?" if end else ""
    bounds = (namespace, start.encode(), end.encode()) if end else (namespace, start.encode())
    with store_errors():
        cursor = connection.execute(
            "SELECT key, value, metadata, block, position FROM state "
            f"WHERE namespace = ? AND key >= ? {below} ORDER BY key",
            bounds,
        )
        with closing(cursor):
            for key, value, metadata, block, position in cursor:
                yield key.decode(), VersionedValue(value, metadata, (block, position))


def transaction_place(connection: sqlite3.Connection, txid: str) -> TransactionPlace | None:
    with store_errors():
        row = connection.execute(
            "SELECT block, position, code FROM transactions WHERE txid = ?", (txid,)
        ).fetchone()
    return None if row is None else TransactionPlace(*row)


def block_at(connection: sqlite3.Connection, number: int) -> common_pb2.Block:
    with store_errors():
        row = None
        if number < 1 << 63:
            row = connection.execute("SELECT data FROM blocks WHERE number = ?", (number,)).fetchone()
    if row is None:
        raise NotFoundError(f"no such block number [{number}] in index")
    return common_pb2.Block.FromString(row[0])


@contextmanager
def store_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LedgerUnavailableError(f"the ledger store failed: {error}") from error
