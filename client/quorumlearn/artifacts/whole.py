"""Writing a file whole or not at all: what was there stays until all of the new one is written, and nothing half-written is left."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write `data` in the place of what is there, for this user alone (mode 0600), in a folder that exists. `durable`: before this returns
    it also outlives a power cut. OSError, with the file as it was."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
