"""Runs code that is not QuorumLearn's: a user's module, loss, metric, reader or hook. What it dies of becomes one sentence.

A round is lost with it at most, so nothing passes but what means to end the process: an interrupt, and what a node raises in `on_step`.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quorumlearn.learning.errors import LearningError, TrainingError

_OURS = str(Path(__file__).resolve().parents[1])
_INSTALLED = ("site-packages", "dist-packages")
_LONGEST = 300


@contextmanager
def own_code(
    workload: str, what: str, way_out: str, error: type[LearningError] = TrainingError
) -> Iterator[None]:
    """Turn whatever is raised inside into `error`, which names the workload, `what` was running, where, and the way out."""
    try:
        yield
    except LearningError:
        raise
    except SystemExit as ended:
        raise error(
            f"{workload}: {what} called sys.exit({ended.code!r}){place_of(ended)}; raise an exception instead"
        ) from ended
    except Exception as raised:
        said = " ".join(str(raised).split())
        said = said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."
        raise error(
            f"{workload}: {what} raised {type(raised).__name__}{f': {said}' if said else ''}{place_of(raised)}; {way_out}"
        ) from raised


def place_of(raised: BaseException) -> str:
    """The last line of the user's own that the exception passed, as ` (risk.py, line 3)`; "" if there is none."""
    own = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(raised.__traceback__)
        if not frame.filename.startswith((_OURS, "<"))
        and not any(part in _INSTALLED for part in Path(frame.filename).parts)
        and "/lib/python" not in frame.filename
    ]
    if isinstance(raised, SyntaxError):
        return ""  # it says so itself
    return f" ({Path(own[-1][0]).name}, line {own[-1][1]})" if own else ""
