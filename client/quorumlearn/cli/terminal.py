"""What all commands share at the terminal: the JSON switch, tables, progress, and how an error ends.

Rules:
- with `--json` standard output holds exactly one JSON object (with `--follow`: one a line), without it what
  people read;
- progress and errors go to standard error; an error is one sentence with the way out;
- the exit code says what kind of end it was (`Exit`).
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Annotated

import typer
from quorumlearn_network.errors import NetworkError
from quorumlearn_network.identities import IdentityError
from quorumlearn_network.spec import SpecError
from quorumlearn_network.up import FolderError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from quorumlearn.gateway import CheckpointError, CommitError, CredentialError, GatewayError
from quorumlearn.nodes.market import Refused, refusal

EXIT_CODES = (
    "Exit codes: 0 done; 1 the operation failed; 2 wrong usage or input; 3 no peer answers; "
    "4 the ledger refused; 130 interrupted."
)
Step = Callable[[str], None]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

_PIPE_WIDTH = 4000  # a pipe has no width to fold to
_BAD_INPUT = (SpecError, IdentityError, FolderError, CredentialError, CheckpointError)


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
    ("quorumlearn.learning", "LearningError", Exit.USAGE),
    ("quorumlearn.robust", "RobustError", Exit.USAGE),
    ("quorumlearn.ckks", "ParameterError", Exit.USAGE),
    ("quorumlearn.artifacts", "ArtifactError", Exit.FAILED),
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


def print_json(fields: Mapping[str, object]) -> None:
    """One JSON object, on one line."""
    sys.stdout.write(json.dumps(fields, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_text(text: str, style: str = "") -> None:
    """A line for people. `text` is taken as it is, control characters made visible."""
    Console(highlight=False).print(Text(printable(text), style=style), soft_wrap=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for people, cells as they are; without columns' names it has no header."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
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
        with console.status(Text(first)) as status:
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
    for module, name, code in _LATER:
        if module in sys.modules and isinstance(error, getattr(sys.modules[module], name)):
            return code, str(error)
    return None


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
