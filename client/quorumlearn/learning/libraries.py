"""Libraries that not every installation has: torch, Opacus and what else an extra brings is imported inside of `library_of`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from quorumlearn.extras import lacking
from quorumlearn.learning.errors import LibraryMissing


@contextmanager
def library_of(what: str) -> Iterator[None]:
    """LibraryMissing for an import in the body that finds a library of an extra missing, such as torch; `what` needs it."""
    try:
        yield
    except ImportError as error:
        sentence = lacking(what, error)
        if sentence is None:
            raise
        raise LibraryMissing(sentence) from error
