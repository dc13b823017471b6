"""How a workload's own reader of data is called, and what is asked of samples before anything is computed from them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from quorumlearn.learning.data import Data, Part, Samples
from quorumlearn.learning.errors import DataCorrupt, DataMissing, TrainingError
from quorumlearn.learning.own_code import own_code

Load = Callable[[str | None, Part], Data]
"""From what a node's file names under `data`, and the identity's part, to its samples."""


def loaded(workload: str, load: Load | None, source: str | None, part: Part) -> Data:
    """The data of an identity. DataMissing if there is no reader, or a file is not there; DataCorrupt for whatever else it dies of."""
    if load is None:
        raise DataMissing(
            f"{workload} reads no data of its own; give it load=, as one of quorumlearn.learning.readers"
        )
    with own_code(workload, "reading the data", "correct the reader or the data", DataCorrupt):
        try:
            data = load(source, part)
        except FileNotFoundError as error:
            raise DataMissing(
                f"{workload}: there is no file {error.filename or error}; name what is there under `data`"
            ) from error
    if not (hasattr(data, "__len__") and hasattr(data, "digest")):
        raise DataCorrupt(f"{workload}: the reader gave a {type(data).__name__}; it must give Samples")
    return data


def checked(workload: str, data: Data) -> Samples:
    """The data as samples that a model can learn from. TrainingError says what they have that it cannot."""
    if not isinstance(data, Samples):
        raise TrainingError(f"{workload}: the data are a {type(data).__name__}; it takes Samples")
    if len(data) == 0:
        raise TrainingError(f"{workload}: there are no samples; a part must hold at least one")
    for what, values in (("inputs", data.inputs), ("targets", data.targets)):
        if values.dtype.kind not in "fiub":
            raise TrainingError(f"{workload}: the {what} are of type {values.dtype}; they must be numbers")
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            first = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))[0])
            raise TrainingError(
                f"{workload}: the {what} of sample {first} hold a number that is not finite; fill it or leave the sample out"
            )
    return data
