"""A network's folder and what every kind of network says of itself: one command at a time, steps, status."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TextIO

from quorumlearn_network.errors import NetworkError
from quorumlearn_network.spec import NetworkSpec, load_spec

_OURS = (
    *("network.yaml", "devnet.json", "organisations", "ledger", "run", "logs"),
    *("nodes", "channel.block", "compose.yaml", "lost+found"),
)
"""What a network's folder may hold while it is made; `lost+found` is a disk's own."""


class Waiting(Protocol):
    """What a command does while it waits for a network (`Upkeep`)."""

    @property
    def late(self) -> bool:
        """Whether it has waited long enough."""

    def pause(self, awaited: str) -> None:
        """Wait for a moment; `awaited` says why."""


Confirm = Callable[[NetworkSpec, Path, Waiting], None]
"""Called with the network and its folder when all processes serve, and with how to wait; raises if the network is of
no use after all."""


class UpError(NetworkError):
    """The network did not come up; `step` says where. What runs is left running, so that it can be repeated."""

    def __init__(self, step: str, message: str) -> None:
        super().__init__(f"{step}: {message}")
        self.step = step


class FolderError(NetworkError):
    """A folder that holds no network, another one than asked for, or one that another command works on."""


class DiskError(NetworkError):
    """Too little room for ledgers."""


@dataclass(frozen=True)
class ProcessStatus:
    """A process of a network, where it listens, and its id if it runs."""

    name: str
    addresses: tuple[str, ...]
    pid: int | None
    log: Path


@dataclass(frozen=True)
class NetworkStatus:
    """A network and its processes."""

    spec: NetworkSpec
    folder: Path
    processes: tuple[ProcessStatus, ...]

    @property
    def running(self) -> bool:
        """Whether all of them run."""
        return all(process.pid is not None for process in self.processes)


def read_network(folder: Path) -> NetworkSpec:
    """The description of the network in `folder`; FolderError if there is none."""
    path = folder / "network.yaml"
    if path.exists():
        return load_spec(path)
    if folder.is_file():
        raise FolderError(
            f"{folder} is a file; this takes a network's folder, as `quorumlearn network up` makes one"
        )
    if folder.suffix in (".yaml", ".yml") and not folder.exists():
        raise FolderError(f"there is no file {folder}; `quorumlearn network connect {folder}` writes one")
    if foreign := _foreign(folder):
        raise FolderError(
            f"no network in {folder}, which holds {foreign}; name a network's folder with --folder"
        )
    raise FolderError(f"no network in {folder}; `quorumlearn network up --folder {folder}` makes one")


def _foreign(folder: Path) -> str:
    """Something in a folder that no network has; empty where a network is or could be made."""
    if not folder.is_dir() or (folder / "network.yaml").exists():
        return ""
    names = sorted(path.name for path in folder.iterdir())
    return next((name for name in names if name not in _OURS and not name.startswith(".")), "")


def check_room(folder: Path, needed: int) -> None:
    """DiskError if the folder's disk has fewer bytes left than a network needs."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskError(
            f"{folder} has {free >> 20} MiB left on its disk; a network needs {needed >> 20}: make room"
        )


@contextlib.contextmanager
def step(name: str) -> Iterator[None]:
    """Name the step in whatever NetworkError the block raises, and say it plainly if the disk is full."""
    try:
        yield
    except NetworkError as error:
        raise UpError(name, str(error)) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UpError(name, "the disk is full; make room and repeat it") from error


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Work on a network's folder alone; FolderError if another command does, which it names, or it cannot be written."""
    if foreign := _foreign(folder):
        raise FolderError(
            f"{folder} holds {foreign}, which is no network's; name an empty folder for a network"
        )
    run = folder / "run"
    try:
        run.mkdir(parents=True, exist_ok=True)
        file = (run / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise FolderError(f"{folder} cannot be written: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise FolderError(f"{_holder(file)} is working on the network in {folder}; wait for it") from None
        file.truncate(0)
        program = Path(sys.argv[0]).name
        command = ["quorumlearn" if program == "__main__.py" else program, *sys.argv[1:]]
        since = datetime.now(UTC).isoformat(timespec="seconds")
        json.dump({"pid": os.getpid(), "command": " ".join(command), "since": since}, file)
        file.flush()
        yield


def _holder(lock: TextIO) -> str:
    """The command that has a lock, as it wrote itself down."""
    lock.seek(0)
    try:
        fields = json.loads(lock.read())
        return f"`{fields['command']}` (process {fields['pid']}, since {fields['since']})"
    except (ValueError, KeyError, TypeError):  # it has yet to write
        return "another command"
