"""Where a reader of events got to, so that it goes on there after a crash or a lost connection.

A reader saves a checkpoint when it has dealt with an event (or a block), not when it receives it: what it
was dealing with when it died comes again, everything before does not. A checkpoint belongs to a ledger, which
is told by the hash of its genesis block.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from quorumlearn.gateway.errors import CheckpointError


@dataclass(frozen=True)
class Checkpoint:
    """Go on in block `block`, behind transaction `transaction_id` of it (`""`: from its beginning).

    The transaction must be one that emitted an event, as all checkpoints of chaincode events are.
    """

    block: int
    transaction_id: str = ""


class Checkpointer(Protocol):
    """Keeps a checkpoint."""

    def load(self) -> Checkpoint | None:
        """The last one saved, None if there is none."""

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep it in place of the last."""


@runtime_checkable
class LedgerBound(Protocol):
    """What a checkpointer has too that knows of which ledger its checkpoint is."""

    def bind(self, ledger: str) -> None:
        """Load and save checkpoints of this ledger from now on; `load` is CheckpointError where there is another's."""


class MemoryCheckpointer:
    """Keeps a checkpoint as long as the process lives."""

    def __init__(self) -> None:
        self._checkpoint: Checkpoint | None = None
        self._ledger = self._saved_ledger = ""

    def bind(self, ledger: str) -> None:
        self._ledger = ledger

    def load(self) -> Checkpoint | None:
        if self._checkpoint is not None:
            _check_same("the checkpoint in memory", self._saved_ledger, self._ledger)
        return self._checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        self._checkpoint, self._saved_ledger = checkpoint, self._ledger


class FileCheckpointer:
    """Keeps a checkpoint in a small JSON file, written whole or not at all; one writer at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._ledger = ""

    def bind(self, ledger: str) -> None:
        self._ledger = ledger

    def load(self) -> Checkpoint | None:
        """The checkpoint in the file, None without a file; CheckpointError if it is none, or another ledger's."""
        try:
            fields = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointError(f"{self._path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise CheckpointError(f"{self._path} is no JSON; remove it to begin at the start") from error
        fields = fields if isinstance(fields, dict) else {}
        block, transaction_id = fields.get("block"), fields.get("transaction_id")
        ledger = fields.get("ledger", "")
        if type(block) is not int or block < 0 or not isinstance(transaction_id, str):
            raise CheckpointError(f"{self._path} is no checkpoint; remove it to begin at the start")
        _check_same(f"the checkpoint in {self._path}", str(ledger), self._ledger)
        return Checkpoint(block, transaction_id)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the file; CheckpointError if that fails, with the old one in place."""
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        fields = {"block": checkpoint.block, "transaction_id": checkpoint.transaction_id}
        data = json.dumps({**fields, "ledger": self._ledger})
        with self._lock:
            try:
                with partial.open("w", encoding="utf-8") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(self._path)
            except OSError as error:
                partial.unlink(missing_ok=True)
                raise CheckpointError(f"{self._path} cannot be written: {error.strerror}") from error


def _check_same(what: str, saved: str, ledger: str) -> None:
    """A ledger is `""` where it is not known, as in files that older versions wrote."""
    if saved and ledger and saved != ledger:
        raise CheckpointError(
            f"{what} is of another ledger (genesis block {saved[:12]}, and here {ledger[:12]}); "
            "remove it to begin at the start of this one"
        )
