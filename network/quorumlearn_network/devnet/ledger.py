"""The ledger: blocks, the state, its history and an index of transactions, in one SQLite file.

Rules:
- a block, its state updates and its index entries are one SQLite transaction: all of it or nothing, also
  after kill -9. WAL with synchronous=FULL: a status reported to a client survives a power cut (an fsync a
  block);
- readers get snapshots (a WAL read transaction): a simulation sees one committed height and never holds up a
  commit;
- keys order by their UTF-8 bytes, as in LevelDB;
- on opening, the last block must hash to what is recorded and follow its predecessor; nothing is repaired by
  hand;
- one process at a time (a lock on `<file>.lock`); a file that has been removed or replaced stops the ledger.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from quorumlearn_network.devnet.blocks import StateUpdates, Version, data_hash, header_hash
from quorumlearn_network.devnet.errors import LedgerError, LedgerUnavailableError, NotFoundError
from quorumlearn_network.devnet.store import (
    SCHEMA,
    TransactionPlace,
    VersionedValue,
    block_at,
    get_state,
    get_states,
    scan_state,
    store_errors,
    transaction_place,
)

FORMAT = "1"


@dataclass(frozen=True)
class IndexedTransaction:
    txid: str
    position: int
    code: int


class Snapshot:
    """The state at one height. Close it soon: it keeps the write-ahead log from being folded back."""

    def __init__(self, ledger: Ledger, connection: sqlite3.Connection) -> None:
        self._ledger = ledger
        self._connection = connection
        self._scans: list[Generator[tuple[str, VersionedValue], None, None]] = []
        self._open = True

    def get(self, namespace: str, key: str) -> VersionedValue | None:
        return get_state(self._connection, namespace, key)

    def get_many(self, namespace: str, keys: Sequence[str]) -> list[VersionedValue | None]:
        return get_states(self._connection, namespace, keys)

    def scan(self, namespace: str, start: str, end: str) -> Iterator[tuple[str, VersionedValue]]:
        """Keys from `start` on, below `end`; an empty `end` is the end of the namespace."""
        found = scan_state(self._connection, namespace, start, end)
        self._scans.append(found)
        return found

    def history(self, namespace: str, key: str) -> list[Version]:
        """Where valid transactions wrote or deleted the key, newest first."""
        with store_errors():
            rows = self._connection.execute(
                "SELECT block, position FROM history WHERE namespace = ? AND key = ? "
                "ORDER BY block DESC, position DESC",
                (namespace, key.encode()),
            ).fetchall()
        return [(row[0], row[1]) for row in rows]

    def block(self, number: int) -> common_pb2.Block:
        return block_at(self._connection, number)

    def close(self) -> None:
        if self._open:
            self._open = False
            for scan in self._scans:
                scan.close()
            self._ledger.give_back(self._connection)


class Ledger:
    """The one ledger of a devnet. `append` may run in another thread than the reads, not in two at once."""

    def __init__(self, path: Path, channel: str) -> None:
        """Open or create. LedgerError: damaged, another channel's, in use, or not a ledger."""
        self.path = path
        self._idle: list[sqlite3.Connection] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"cannot make the folder of {path}: {error.strerror}") from error
        self._lock = _lock(path)
        try:
            self._writer = self._connect()
            self._initialise(channel)
            self._reader = self._connect()
            self._inode = path.stat().st_ino
            self.height, self.last_hash, self.commit_hash = self._verify_end()
        except (sqlite3.Error, OSError) as error:
            self._lock.close()
            raise LedgerError(f"{path} cannot be opened as a ledger: {error}") from error
        except LedgerError:
            self._lock.close()
            raise

    def snapshot(self) -> Snapshot:
        with store_errors():
            connection = self._idle.pop() if self._idle else self._connect()
            connection.execute("BEGIN")
            connection.execute("SELECT max(number) FROM blocks").fetchone()
        return Snapshot(self, connection)

    def append(
        self,
        block: common_pb2.Block,
        commit_hash: bytes,
        updates: StateUpdates,
        written: Iterable[tuple[str, str, int]],
        transactions: Sequence[IndexedTransaction],
    ) -> None:
        """Commit the next block whole. `written`: (namespace, key, position) of the valid transactions' writes.

        LedgerUnavailableError: the store refused, and nothing of the block is kept.
        """
        number = int(block.header.number)
        block_hash = header_hash(block.header)
        with store_errors():
            self._still_there()
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                self._insert(block, number, block_hash, commit_hash, updates, written, transactions)
                self._writer.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
                raise
        self.height, self.last_hash, self.commit_hash = number + 1, block_hash, commit_hash

    def committed(self) -> sqlite3.Connection:
        """The writer's own view of the state, for validation in the thread that appends."""
        return self._writer

    def block(self, number: int) -> common_pb2.Block:
        return block_at(self._reader, number)

    def block_number_of_hash(self, block_hash: bytes) -> int:
        with store_errors():
            row = self._reader.execute("SELECT number FROM blocks WHERE hash = ?", (block_hash,)).fetchone()
        if row is None:
            raise NotFoundError(f"no such block hash [{block_hash.hex()}] in index")
        return int(row[0])

    def transaction(self, txid: str) -> TransactionPlace | None:
        """The first transaction of that id; later duplicates do not change what is reported."""
        return transaction_place(self._reader, txid)

    def close(self) -> None:
        for connection in [self._writer, self._reader, *self._idle]:
            connection.close()
        self._idle.clear()
        self._lock.close()

    def _insert(
        self,
        block: common_pb2.Block,
        number: int,
        block_hash: bytes,
        commit_hash: bytes,
        updates: StateUpdates,
        written: Iterable[tuple[str, str, int]],
        transactions: Sequence[IndexedTransaction],
    ) -> None:
        writer = self._writer
        writer.execute(
            "INSERT INTO blocks VALUES (?, ?, ?, ?)",
            (number, block_hash, commit_hash, block.SerializeToString()),
        )
        writer.executemany(
            "INSERT OR IGNORE INTO transactions VALUES (?, ?, ?, ?)",
            [(entry.txid, number, entry.position, entry.code) for entry in transactions],
        )
        writer.executemany(
            "DELETE FROM state WHERE namespace = ? AND key = ?",
            [(ns, key.encode()) for (ns, key), update in updates.items() if update.value is None],
        )
        writer.executemany(
            "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?)",
            [
                (ns, key.encode(), update.value, update.metadata, *update.version)
                for (ns, key), update in updates.items()
                if update.value is not None
            ],
        )
        writer.executemany(
            "INSERT OR IGNORE INTO history VALUES (?, ?, ?, ?)",
            [(ns, key.encode(), number, position) for ns, key, position in written],
        )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA mmap_size = 268435456")
        return connection

    def give_back(self, connection: sqlite3.Connection) -> None:
        """Take back a reader's connection once it reads no more."""
        try:
            connection.execute("COMMIT")
        except sqlite3.Error:
            connection.close()
            return
        self._idle.append(connection)

    def _initialise(self, channel: str) -> None:
        if self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            self._writer.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA.strip().split(";\n"):
                self._writer.execute(statement)
            entries = [("format", FORMAT), ("channel", channel)]
            self._writer.executemany("INSERT INTO meta VALUES (?, ?)", entries)
            self._writer.execute("COMMIT")
        found = dict(self._writer.execute("SELECT name, value FROM meta").fetchall())
        if found.get("format") != FORMAT:
            raise LedgerError(
                f"{self.path} has ledger format {found.get('format')}, this devnet reads {FORMAT}"
            )
        if found.get("channel") != channel:
            raise LedgerError(
                f"{self.path} is the ledger of channel {found.get('channel')}, not of {channel}"
            )

    def _verify_end(self) -> tuple[int, bytes, bytes]:
        rows = self._reader.execute(
            "SELECT number, hash, commit_hash, data FROM blocks ORDER BY number DESC LIMIT 2"
        ).fetchall()
        if not rows:
            return 0, b"", b""
        number, block_hash, commit_hash, data = rows[0]
        try:
            block = common_pb2.Block.FromString(data)
        except DecodeError as error:
            raise LedgerError(f"{self.path}: block {number} is damaged (not a block)") from error
        if header_hash(block.header) != block_hash or data_hash(block.data.data) != block.header.data_hash:
            raise LedgerError(f"{self.path}: block {number} is damaged (its hash does not match)")
        if number != block.header.number or (number > 0 and len(rows) < 2):
            raise LedgerError(f"{self.path}: block {number} is damaged (a block is missing before it)")
        if number > 0 and (rows[1][0] != number - 1 or rows[1][1] != block.header.previous_hash):
            raise LedgerError(f"{self.path}: block {number} does not follow block {rows[1][0]}")
        return number + 1, block_hash, commit_hash

    def _still_there(self) -> None:
        try:
            inode = self.path.stat().st_ino
        except OSError as error:
            raise LedgerUnavailableError(f"the ledger file is gone: {self.path}") from error
        if inode != self._inode:
            raise LedgerUnavailableError(f"the ledger file has been replaced: {self.path}")


def _lock(path: Path) -> IO[bytes]:
    try:
        handle = path.with_name(path.name + ".lock").open("ab")
    except OSError as error:
        raise LedgerError(f"cannot lock {path}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise LedgerError(f"{path} is in use by another devnet") from error
    return handle
