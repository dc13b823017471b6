"""What is declared of a table's columns, and what samples come out of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorumlearn.learning.data import Samples
from quorumlearn.learning.errors import DataCorrupt, WorkloadError

Cell = str | float
_EVERY = "*"


@dataclass(frozen=True)
class Values:
    """Declared values of a column, and how a column's cells are told to be one of them."""

    listed: tuple[Cell, ...]

    def __post_init__(self) -> None:
        if len(set(self.listed)) != len(self.listed):
            raise WorkloadError(f"{list(self.listed)} names a value twice")

    def places(self, cells: Cells) -> NDArray[np.int64]:
        """For each cell the place of its value, or -1."""
        found = np.full(len(cells.text), -1, np.int64)
        for place, value in enumerate(self.listed):
            number = _number(value)
            same = cells.text == str(value) if number is None else cells.numbers == number
            found[same & (found < 0)] = place
        return found


@dataclass(frozen=True, eq=False)
class Cells:
    """A column: its cells as text, "" where there is nothing, and as numbers, NaN where they are none."""

    text: NDArray[np.str_]
    numbers: NDArray[np.float64]

    @classmethod
    def of(cls, column: Any) -> Cells:
        """Of a column of pandas, of any type."""
        import pandas as pd

        nothing = column.isna().to_numpy(dtype=bool)
        if pd.api.types.is_numeric_dtype(column.dtype):
            numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
            return cls(np.where(nothing, "", column.astype(str).to_numpy(dtype=str)), numbers)
        text = np.where(nothing, "", column.astype(str).str.strip().to_numpy(dtype=str))
        return cls(text, pd.to_numeric(pd.Series(text), errors="coerce").to_numpy(dtype=np.float64))


@dataclass(frozen=True)
class Columns:
    """A table's declaration; `readers.csv` says what each part means."""

    reader: str
    features: tuple[str, ...]
    target: str
    names: tuple[str, ...] | None
    categories: Mapping[str, Values]
    ranges: Mapping[str, tuple[float, float]]
    missing: Mapping[str, Values]
    fill: Mapping[str, Cell | None]
    classes: Values | None
    numbers: tuple[int, ...] = field(default=())
    regression: bool = False

    @classmethod
    def declared(
        cls,
        reader: str,
        features: Sequence[str],
        target: str,
        names: Sequence[str] | None,
        categories: Mapping[str, Sequence[Cell]] | None,
        ranges: Mapping[str, tuple[float, float]] | None,
        missing: Sequence[Cell] | Mapping[str, Sequence[Cell]],
        fill: Mapping[str, Cell | None] | None,
        classes: Sequence[Cell] | Mapping[Any, int] | None,
        regression: bool,
    ) -> Columns:
        """WorkloadError if the declaration contradicts itself."""
        if isinstance(missing, str):
            raise WorkloadError(f"{reader}: missing = {missing!r}; list what stands for a missing value")
        by_column = missing if isinstance(missing, Mapping) else {_EVERY: missing}
        numbers = (
            tuple(classes.values()) if isinstance(classes, Mapping) else tuple(range(len(classes or ())))
        )
        made = cls(
            reader,
            tuple(features),
            target,
            None if names is None else tuple(names),
            {name: Values(tuple(values)) for name, values in (categories or {}).items()},
            dict(ranges or {}),
            {name: Values(tuple(values)) for name, values in by_column.items()},
            dict(fill or {}),
            None if classes is None else Values(tuple(classes)),
            numbers,
            regression,
        )
        made._check()
        return made

    def _check(self) -> None:
        def refuse(said: str) -> WorkloadError:
            return WorkloadError(f"{self.reader}: {said}")

        if not self.features or len(set(self.features)) < len(self.features):
            raise refuse(f"features are {list(self.features)}; name each column once, and one at least")
        if self.target in self.features:
            raise refuse(f"{self.target!r} is the target, and cannot be among the features")
        if self.names is not None:
            lacking = [one for one in (*self.features, self.target) if one not in self.names]
            if lacking or len(set(self.names)) < len(self.names):
                raise refuse(
                    f"names are {', '.join(self.names)}; each is there once, and {lacking or 'none'} is lacking"
                )
        for what, of in (("categories", self.categories), ("ranges", self.ranges), ("fill", self.fill)):
            for name in of:
                if name not in self.features:
                    raise refuse(f"{what} has {name!r}, which is not among the features")
        for name in self.missing:
            if name not in (_EVERY, self.target, *self.features):
                raise refuse(f"missing has {name!r}, which is neither a feature nor the target")
        for name, (low, high) in self.ranges.items():
            if name in self.categories or not -np.inf < low < high < np.inf:
                raise refuse(
                    f"the range of {name!r} is {low} to {high}; a column of numbers has a low and a higher end"
                )
        for name, value in self.fill.items():
            if name in self.categories:
                if value is not None and value not in self.categories[name].listed:
                    raise refuse(f"fill has {value!r} for {name!r}, which is none of its categories")
            elif _number(value) is None:
                raise refuse(f"fill has {value!r} for {name!r}; a column of numbers is filled with one")
        if self.regression and self.classes is not None:
            raise refuse("the target has classes, so that it is no regression; give one of both")
        if any(not isinstance(one, int) or one < 0 for one in self.numbers):
            raise refuse(f"classes are {list(self.numbers)}; they are whole numbers from 0")

    def samples(self, where: str, names: Sequence[str], column: Callable[[int], Any]) -> Samples:
        """The samples of a table with these columns; `column(at)` is the one at that place. DataCorrupt says where it does not fit."""
        for name in (*self.features, self.target):
            if list(names).count(name) != 1:
                there = "is there more than once" if name in names else "is lacking"
                raise DataCorrupt(f"{where}: column {name!r} {there}; it has {', '.join(names)}")
        inputs = [
            self._feature(where, name, Cells.of(column(list(names).index(name)))) for name in self.features
        ]
        targets = self._targets(where, Cells.of(column(list(names).index(self.target))))
        if not len(targets):
            raise DataCorrupt(f"{where} has no rows")
        return Samples(np.concatenate(inputs, axis=1), targets)

    def _feature(self, where: str, name: str, cells: Cells) -> NDArray[np.float32]:
        gone = self._missing(name, cells)
        if gone.any() and name not in self.fill:
            raise DataCorrupt(
                f"{where}, row {_first(gone)}: {name!r} is missing; leave the row out, or declare its value in fill={{{name!r}: ...}}"
            )
        if name in self.categories:
            listed = self.categories[name].listed
            places = self.categories[name].places(cells)
            filled = self.fill.get(name)
            places[gone] = -1 if filled is None else listed.index(filled)
            self._known(where, name, cells, (places < 0) & ~gone, listed)
            return np.asarray(places[:, np.newaxis] == np.arange(len(listed)), np.float32)
        numbers = cells.numbers.copy()
        if gone.any():
            numbers[gone] = _number(self.fill[name])
        self._finite(where, name, cells, numbers)
        if name in self.ranges:
            low, high = self.ranges[name]
            numbers = (numbers - low) / (high - low)
        with np.errstate(over="ignore"):
            values = numbers.astype(np.float32)
        self._finite(where, name, cells, values)
        return values[:, np.newaxis]

    def _targets(self, where: str, cells: Cells) -> NDArray[Any]:
        gone = self._missing(self.target, cells)
        if gone.any():
            raise DataCorrupt(
                f"{where}, row {_first(gone)}: the target {self.target!r} is missing; leave the row out"
            )
        if self.classes is not None:
            places = self.classes.places(cells)
            self._known(where, self.target, cells, places < 0, self.classes.listed)
            return np.asarray(self.numbers, np.int64)[places]
        self._finite(where, self.target, cells, cells.numbers)
        if self.regression:
            return cells.numbers.astype(np.float32)
        whole = (cells.numbers >= 0) & (cells.numbers == np.floor(cells.numbers))
        if not whole.all():
            raise DataCorrupt(
                f"{where}, row {_first(~whole)}: the target {self.target!r} is {str(cells.text[~whole][0])!r}, and no class; declare "
                "classes, or regression=True"
            )
        return cells.numbers.astype(np.int64)

    def _missing(self, name: str, cells: Cells) -> NDArray[np.bool_]:
        gone: NDArray[np.bool_] = cells.text == ""
        for of in (name, _EVERY):
            if of in self.missing:
                gone = gone | (self.missing[of].places(cells) >= 0)
        return gone

    def _finite(self, where: str, name: str, cells: Cells, numbers: NDArray[Any]) -> None:
        wrong = ~np.isfinite(numbers)
        if wrong.any():
            raise DataCorrupt(
                f"{where}, row {_first(wrong)}: {name!r} is {str(cells.text[wrong][0])!r}, and no number that float32 holds; correct it, "
                "or declare it in missing, or the column in categories"
            )

    def _known(
        self, where: str, name: str, cells: Cells, wrong: NDArray[np.bool_], listed: tuple[Cell, ...]
    ) -> None:
        if wrong.any():
            raise DataCorrupt(
                f"{where}, row {_first(wrong)}: {name!r} is {str(cells.text[wrong][0])!r}, which is none of "
                f"{', '.join(repr(one) for one in listed)}"
            )


def _first(rows: NDArray[np.bool_]) -> int:
    """The first row for which this holds, counted from 1."""
    return int(rows.argmax()) + 1


def _number(value: Cell | None) -> float | None:
    """What a declared value is as a number, None if it is none."""
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
