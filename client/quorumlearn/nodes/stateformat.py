"""Which form the state folder of a node has, so that no version misreads what another wrote.

The file `.format` in the state folder holds a number and the version that wrote it. Rules:
- a folder without it has form 1, as all had before there was the file;
- a node takes a folder of its own form or an earlier one, and marks it with its own;
- it refuses a folder of a later form, before anything in it is read or written: a share that is misread costs a stake.

Whoever changes what a journal entry means raises `FORM`, and either converts entries of earlier forms here or reads them as they are.
"""

from __future__ import annotations

import re
from pathlib import Path

from quorumlearn.nodes.journal import JournalError

FORM = 1
FILE = ".format"
"""Begins as no user's folder may."""
_WRITTEN = re.compile(r"(\d{1,9}) (\S{1,64})\n?", re.ASCII)
_LONGEST = 100


def claim(state: Path, version: str) -> None:
    """Have the state folder marked with this program's form. JournalError if it has a later one, or cannot be read or marked."""
    mark = state / FILE
    try:
        with mark.open("rb") as file:
            text = file.read(_LONGEST + 1).decode("ascii", "replace")
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise JournalError(f"cannot read {mark}: {error.strerror}") from error
    found = _WRITTEN.fullmatch(text)
    if text and found is None:
        raise JournalError(
            f"{mark} is damaged: restore it, or write `{FORM} {version}` if this version wrote the rest"
        )
    if found is not None and int(found[1]) > FORM:
        raise JournalError(
            f"the state in {state} has form {found[1]}, written by quorumlearn {found[2]}, and {version} reads none above {FORM}: "
            f"run {found[2]} or later until its tasks have ended"
        )
    line = f"{FORM} {version}\n"
    if text == line:
        return
    new = state / f"{FILE}.new"
    try:
        new.write_text(line)
        new.replace(mark)
    except OSError as error:
        raise JournalError(f"cannot write {mark}: {error.strerror}") from error
