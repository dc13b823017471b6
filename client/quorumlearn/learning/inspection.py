"""What samples look like from outside: rows, types, gaps, classes, and columns that nobody has scaled.

It tells a user what a workload was given, before anything is computed from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from quorumlearn.learning.data import Array, Samples

WIDE = 10.0
"""A column with numbers beyond this was not scaled."""
MOST_CLASSES = 100
"""Targets of more whole numbers than this are no classes, but counts or tokens."""


@dataclass(frozen=True)
class Inspection:
    """rows: samples. inputs, targets: type and shape. not_finite: samples that hold NaN or infinity. classes: how many samples each has,
    None if the targets are no classes. constant, wide: columns (from 0) with one value only, and with numbers beyond WIDE."""

    rows: int
    inputs: str
    targets: str
    not_finite: int
    classes: Mapping[int, int] | None
    constant: tuple[int, ...]
    wide: tuple[int, ...]


def inspected(samples: Samples) -> Inspection:
    """What there is to say of these samples."""
    inputs, targets = samples.inputs, samples.targets
    finite = _finite(inputs) & _finite(targets)
    table = inputs.ndim == 2 and inputs.dtype.kind == "f" and bool(finite.any())
    rows = inputs[finite] if table else inputs[:0]
    low, high = (rows.min(axis=0), rows.max(axis=0)) if table else (np.zeros(0), np.zeros(0))
    return Inspection(
        rows=len(samples),
        inputs=f"{inputs.dtype} {inputs.shape}",
        targets=f"{targets.dtype} {targets.shape}",
        not_finite=int(np.count_nonzero(~finite)),
        classes=_classes(targets),
        constant=tuple(np.flatnonzero(low == high).tolist()) if len(rows) > 1 else (),
        wide=tuple(np.flatnonzero(np.maximum(np.abs(low), np.abs(high)) > WIDE).tolist()),
    )


def _finite(values: Array) -> Array:
    if values.dtype.kind != "f":
        return np.ones(len(values), dtype=bool)
    return np.asarray(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))


def _classes(targets: Array) -> dict[int, int] | None:
    if targets.ndim != 1 or targets.dtype.kind not in "iub" or not len(targets):
        return None
    found, counts = np.unique(targets, return_counts=True)
    if len(found) > MOST_CLASSES:
        return None
    return {int(one): int(count) for one, count in zip(found, counts, strict=True)}
