"""Tables in CSV or Parquet: columns become features, in the order in which they are declared.

A file may have more columns and another order: they are found by name. Cells are compared with declared values as numbers where these
are numbers, so that `-9` and `-9.0` are one, and otherwise as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quorumlearn.learning.data import Part, Samples
from quorumlearn.learning.errors import DataCorrupt, DataMissing
from quorumlearn.learning.readers.columns import Cell, Columns
from quorumlearn.learning.readers.places import Division, Reads, read_part

if TYPE_CHECKING:
    pass

CSV_ENDINGS = (".csv", ".csv.gz", ".tsv", ".data")
PARQUET_ENDINGS = (".parquet", ".pq")


def csv(
    *,
    features: Sequence[str],
    target: str,
    names: Sequence[str] | None = None,
    delimiter: str = ",",
    categories: Mapping[str, Sequence[Cell]] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    missing: Sequence[Cell] | Mapping[str, Sequence[Cell]] = (),
    fill: Mapping[str, Cell | None] | None = None,
    classes: Sequence[Cell] | Mapping[Any, int] | None = None,
    regression: bool = False,
    test: float | None = 0.2,
    seed: int = 0,
    files: tuple[str, str] | None = None,
) -> Reads:
    """Tables of text; inputs float32 (n, columns), targets int64 or float32 (n,).

    features: the columns to learn from; each gives one input, a category one for each of its values.
    target: the column to be predicted.
    names: the columns of a file without a header, from the left; None: the first row has them.
    categories: the values of columns that are no numbers; the input of a row's value is 1, and of the others 0.
    ranges: (low, high) of a column, which become 0 and 1. The range is declared since another party's data have another.
    missing: what stands for a value that is not there, beside an empty cell; by column, or for all ("*" in a mapping).
    fill: the value for one that is missing, by column, before it is scaled; None for a category: none of its values. A missing value that
        has none is an error, and so is a missing target.
    classes: the target's values in the order of their classes, or a mapping from value to class; None: the target is a class already.
    regression: the target is a number to be predicted.
    test, seed, files: see `places.Division`.
    """
    columns = Columns.declared(
        "readers.csv", features, target, names, categories, ranges, missing, fill, classes, regression
    )
    division = Division(test, seed, files)

    def load(source: str | None, part: Part) -> Samples:
        return read_part(source, part, CSV_ENDINGS, division, lambda path: _csv(path, columns, delimiter))

    return load


def parquet(
    *,
    features: Sequence[str],
    target: str,
    categories: Mapping[str, Sequence[Cell]] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    missing: Sequence[Cell] | Mapping[str, Sequence[Cell]] = (),
    fill: Mapping[str, Cell | None] | None = None,
    classes: Sequence[Cell] | Mapping[Any, int] | None = None,
    regression: bool = False,
    test: float | None = 0.2,
    seed: int = 0,
    files: tuple[str, str] | None = None,
) -> Reads:
    """Tables in Parquet; everything is as in `csv`, and nulls are missing values."""
    columns = Columns.declared(
        "readers.parquet", features, target, None, categories, ranges, missing, fill, classes, regression
    )
    division = Division(test, seed, files)

    def load(source: str | None, part: Part) -> Samples:
        return read_part(source, part, PARQUET_ENDINGS, division, lambda path: _parquet(path, columns))

    return load


def _csv(path: Path, columns: Columns, delimiter: str) -> Samples:
    pandas = _pandas()
    try:
        cells = pandas.read_csv(
            path,
            sep=delimiter,
            header=None,
            dtype=str,
            na_filter=False,
            skipinitialspace=True,
            encoding="utf-8-sig",
        )
    except (ValueError, OSError, EOFError) as error:  # pandas' own errors of parsing are ValueErrors
        said = " ".join(str(error).split())
        raise DataCorrupt(f"{path} is no table with {delimiter!r} between its cells: {said}") from error
    if columns.names is None:
        names = [str(one).strip() for one in cells.iloc[0]]
        cells = cells.iloc[1:].reset_index(drop=True)
    else:
        names = list(columns.names)
    if len(names) != cells.shape[1]:
        raise DataCorrupt(
            f"{path} has {cells.shape[1]} columns, and {len(names)} are named: {', '.join(names)}"
        )
    return columns.samples(str(path), names, lambda at: cells.iloc[:, at])


def _parquet(path: Path, columns: Columns) -> Samples:
    pandas = _pandas()
    try:
        import pyarrow  # noqa: F401 - what pandas reads Parquet with
    except ImportError as error:
        raise DataMissing(f"{path} takes pyarrow: pip install 'quorumlearn[readers]'") from error
    try:
        cells = pandas.read_parquet(path, engine="pyarrow")
    except (ValueError, OSError, TypeError, KeyError) as error:  # pyarrow's own errors are ValueErrors
        raise DataCorrupt(f"{path} is no Parquet file: {' '.join(str(error).split())}") from error
    return columns.samples(str(path), [str(one) for one in cells.columns], lambda at: cells.iloc[:, at])


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise DataMissing("tables take pandas: pip install 'quorumlearn[readers]'") from error
    return pandas
