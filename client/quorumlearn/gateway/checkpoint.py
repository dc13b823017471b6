"""Where a reader of events got to, so that it goes on there after a crash or a lost connection.

A reader saves a checkpoint when it has dealt with an event (or a block), not when it receives it: what it
was dealing with when it died comes again, everything before does not.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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


class MemoryCheckpointer:
    """Keeps a checkpoint as long as the process lives."""

    def __init__(self) -> None:
        self._checkpoint: Checkpoint | None = None

    def load(self) -> Checkpoint | None:
        return self._checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint


class FileCheckpointer:
    """Keeps a checkpoint in a small JSON file, written whole or not at all; one writer at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def load(self) -> Checkpoint | None:
        """The checkpoint in the file, None without a file; CheckpointError if it is no checkpoint."""
        try:
            fields = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointError(f"{self._path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise CheckpointError(f"{self._path} is no JSON; remove it to begin at the start") from error
        block = fields.get("block") if isinstance(fields, dict) else None
        transaction_id = fields.get("transaction_id") if isinstance(fields, dict) else None
        if type(block) is not int or block < 0 or not isinstance(transaction_id, str):
            raise CheckpointError(f"{self._path} is no checkpoint; remove it to begin at the start")
        return Checkpoint(block, transaction_id)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the file; CheckpointError if that fails, with the old one in place."""
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        data = json.dumps({"block": checkpoint.block, "transaction_id": checkpoint.transaction_id})
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
