"""Programs to put in the place of a worker process."""

from __future__ import annotations

from pathlib import Path

_DEADLY = """
import os
from quorumlearn.ckks import worker

reads = worker.made

def made(work, p, first, second):
    if first.endswith({ending!r}) or second.endswith({ending!r}):
        os._exit(3)
    return reads(work, p, first, second)

worker.made = made
worker.serve()
"""

_ANSWERING = """
import sys
from pathlib import Path
from quorumlearn.ckks import frames

requests = sys.stdin.buffer.raw
frames.receive(requests, [1 << 40] * 4)
sys.stdout.buffer.write(Path({answer!r}).read_bytes())
sys.stdout.buffer.flush()
"""


def deadly_program(folder: Path, ending: bytes) -> tuple[str, ...]:
    """A worker that dies of a request one of whose own fields has this ending: as a library might of bytes made for it."""
    program = folder / "deadly.py"
    program.write_text(_DEADLY.format(ending=ending))
    return ("-P", str(program))


def answering(folder: Path, answer: bytes) -> tuple[str, ...]:
    """A worker that was taken over: it answers its only request with these bytes."""
    program, data = folder / "answering.py", folder / "answer"
    data.write_bytes(answer)
    program.write_text(_ANSWERING.format(answer=str(data)))
    return ("-P", str(program))
