"""What `pip install quorumlearn` leaves out, and what is said where it is missing.

The base installation has the gateway, `ckks`, `robust` and the command line. What a library of an extra is needed for is imported where
it is used, and nothing else; where it is missing there, `lacking` gives the sentence that says which extra has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

EXTRAS: Mapping[str, str] = {
    "torch": "train",
    "torchvision": "train",
    "sklearn": "train",
    "opacus": "private",
    "matplotlib": "plots",
    "pandas": "readers",
    "pyarrow": "readers",
    "PIL": "readers",
    "datasets": "readers",
    "s3fs": "s3",
    "peft": "peft",
    "transformers": "peft",
    "tokenizers": "peft",
    "mlflow": "track",
    "sqlalchemy": "track",
    "alembic": "track",
    "tensorboard": "track",
}
"""Of each library that an extra of pyproject.toml brings, by the name that Python imports it by: the extra."""

NAMES: Mapping[str, str] = {"sklearn": "scikit-learn", "PIL": "pillow"}
"""What a library is called elsewhere than in an import."""


class ExtraMissing(ImportError):
    """What was asked for needs a library of an extra that is not installed; the sentence says which."""


def lacking(what: str, error: ImportError) -> str | None:
    """The sentence for an import that failed on the way to `what`, such as "training"; None if no extra has what is missing."""
    library = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(library)
    if extra is None:
        return None
    return f"{what} needs {NAMES.get(library, library)}: pip install 'quorumlearn[{extra}]'"


def missing(what: str, error: ImportError) -> ImportError:
    """ExtraMissing with that sentence, to be raised from `error`; `error` itself if no extra has what is missing."""
    sentence = lacking(what, error)
    return error if sentence is None else ExtraMissing(sentence, name=error.name)


def require(library: str, what: str) -> None:
    """ExtraMissing, before anything is done, if a library of an extra is not installed that `what` needs later."""
    try:
        found = find_spec(library)
    except ImportError:
        found = None
    if found is None:
        raise missing(what, ModuleNotFoundError(f"No module named {library!r}", name=library))
