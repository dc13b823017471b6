"""What all commands share at the terminal: the JSON switch, tables, progress, and how an error ends.

Rules:
- with `--json` standard output holds exactly one JSON object (with `--follow`: one a line), without it what
  people read;
- progress and errors go to standard error; an error is one sentence with the way out;
- the exit code says what kind of end it was (`Exit`);
- a standard error that nobody reads or that is full ends nothing; a reader of standard output that has gone away ends the command,
  which by then has done its work;
- what a stream's encoding lacks is escaped.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Annotated, TextIO, cast

import typer
from quorumlearn_network.errors import NetworkError
from quorumlearn_network.identities import IdentityError
from quorumlearn_network.spec import SpecError
from quorumlearn_network.up import FolderError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quorumlearn.extras import ExtraMissing, lacking
from quorumlearn.gateway import CheckpointError, CommitError, CredentialError, GatewayError
from quorumlearn.nodes.market import Refused, refusal

EXIT_CODES = (
    "Exit codes: 0 done; 1 the operation failed; 2 wrong usage or input; 3 no peer answers; "
    "4 the ledger refused; 130 interrupted."
)
Step = Callable[[str], None]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Picture = Annotated[Path | None, typer.Option(help="Draw it as a PNG, too.", metavar="FILE")]

_PIPE_WIDTH = 4000  # a pipe has no width to fold to
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_BAD_INPUT = (SpecError, IdentityError, FolderError, CredentialError, CheckpointError, ExtraMissing)


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    INTERRUPTED = 130


_LATER: tuple[tuple[str, str, Exit], ...] = (
    ("quorumlearn.nodes.config", "ConfigError", Exit.USAGE),
    ("quorumlearn.api.publishing", "WouldBeRefused", Exit.REFUSED),
    ("quorumlearn.api.model", "ModelRefused", Exit.USAGE),
    ("quorumlearn.api.tracking", "TrackError", Exit.FAILED),
    ("quorumlearn.learning", "LearningError", Exit.USAGE),
    ("quorumlearn.robust", "RobustError", Exit.USAGE),
    ("quorumlearn.ckks", "ParameterError", Exit.USAGE),
    ("quorumlearn.artifacts", "ArtifactError", Exit.FAILED),
    ("quorumlearn.replay", "ReplayError", Exit.USAGE),
    ("quorumlearn.nodes.work.datakeys", "DataKeysError", Exit.FAILED),
    ("quorumlearn.nodes.journal", "JournalError", Exit.FAILED),
    ("quorumlearn.nodes.run", "NodeFault", Exit.FAILED),
)
"""Errors of packages that are slow to import: one that was never imported has raised nothing."""


class Failure(Exception):
    """Ends a command: a sentence for standard error and the exit code. For what has no error type of its
    own.
    """

    def __init__(self, sentence: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(sentence)
        self.code = code


class OutputLost(Failure, OSError):
    """Standard output took no more, and somebody may have needed what was not written."""


class ReaderGone(OSError):
    """Whoever read standard output has enough of it. (It has no errno: on EPIPE, typer and Rich end the program with 1.)"""


class _Output:
    """Standard output: OutputLost if it cannot be written, ReaderGone if its reader has gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._written():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._written():
            self._stream.flush()

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            raise ReaderGone("standard output is closed") from error
        except OSError as error:
            raise OutputLost(f"standard output cannot be written: {error.strerror}") from error

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


class _Errors(_Output):
    """Standard error: what it does not take is lost, for there is nobody left to tell."""

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        with contextlib.suppress(OSError):
            yield


def standard_streams() -> None:
    """Have this process's standard streams keep the rules above; those that are closed lead nowhere."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    nowhere = Path(os.devnull)
    sys.stdout = cast(TextIO, _Output(sys.stdout or nowhere.open("w")))
    sys.stderr = cast(TextIO, _Errors(sys.stderr or nowhere.open("w")))


def width() -> int:
    """Columns that a line of standard output has; a pipe has no width to fold to."""
    console = Console(highlight=False)
    return console.width if console.is_terminal else _PIPE_WIDTH


def print_json(fields: Mapping[str, object]) -> None:
    """One JSON object, on one line."""
    text = json.dumps(fields, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(fields)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_text(text: str, style: str = "") -> None:
    """A line for people. `text` is taken as it is, control characters made visible."""
    Console(highlight=False).print(Text(printable(text), style=style), soft_wrap=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for people, cells as they are, numbers in one piece; without columns' names it has no header."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for index, column in enumerate(columns):
        numbers = all(isinstance(row[index], int | float) for row in rows)
        table.add_column(column, overflow="fold", no_wrap=numbers)
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(table)
        return
    console.width = _PIPE_WIDTH
    with console.capture() as capture:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def printable(text: str) -> str:
    """`text` with the control characters in it escaped: what is on a ledger does not command a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


@contextlib.contextmanager
def progress(first: str) -> Iterator[Step]:
    """A spinner on standard error while the body runs; the yielded function names the step under way.

    Without a terminal there, one line a step.
    """
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        spinner = "dots" if console.encoding.startswith("utf") else "line"
        with console.status(Text(first), spinner=spinner) as status:
            yield lambda step: status.update(Text(step))
    else:
        console.print(Text(first), soft_wrap=True)
        yield lambda step: console.print(Text(step), soft_wrap=True)


def explain(error: Exception) -> tuple[Exit, str] | None:
    """The exit code and the sentence for an error of this project; None for one that is a bug."""
    if isinstance(error, Failure):
        return error.code, str(error)
    if isinstance(error, _BAD_INPUT):
        return Exit.USAGE, str(error)
    if isinstance(error, NetworkError):
        return Exit.FAILED, str(error)
    if isinstance(error, GatewayError):
        return _explain_gateway(error)
    if isinstance(error, Refused):
        return Exit.REFUSED, f"the ledger refused ({error.code}): {error.sentence}"
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _FULL):
        place = "" if error.filename is None else f"{error.filename}: "
        return Exit.FAILED, f"{place}{error.strerror}"
    for module, name, code in _LATER:
        if module in sys.modules and isinstance(error, getattr(sys.modules[module], name)):
            return code, str(error)
    lacks = lacking("this", error) if isinstance(error, ImportError) else None
    return None if lacks is None else (Exit.USAGE, lacks)


def _explain_gateway(error: GatewayError) -> tuple[Exit, str]:
    if error.unreachable:
        return (
            Exit.UNREACHABLE,
            f"no peer answers at {error.endpoint}; is the network up? quorumlearn network status",
        )
    refused = refusal(error)
    if refused is not None:
        return Exit.REFUSED, f"the ledger refused ({refused[0]}): {refused[1]}"
    if isinstance(error, CommitError):
        return Exit.REFUSED, f"{error}; it changed nothing, send it again"
    return Exit.FAILED, str(error)
