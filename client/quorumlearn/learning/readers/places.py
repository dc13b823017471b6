"""Which files an identity reads, and which of their samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quorumlearn.learning.data import Part, Samples
from quorumlearn.learning.errors import DataCorrupt, DataMissing, WorkloadError
from quorumlearn.seeds import derive

Read = Callable[[Path], Samples]
Reads = Callable[[str | None, Part], Samples]
"""What a reader gives: the `load` of a workload."""


@dataclass(frozen=True)
class Division:
    """How samples are divided into those for training and those for tests: `test` of each file, drawn by `seed`; or `files`, the names
    of one for training and one for tests, in the folder that the part names; or not at all, where both are None.

    >>> rows = Division(test=0.25).rows("train", 8)
    >>> len(rows), sorted({*rows, *Division(test=0.25).rows("test", 8)}) == list(range(8))
    (6, True)
    """

    test: float | None = 0.2
    seed: int = 0
    files: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if self.test is not None and not 0 < self.test < 1:
            raise WorkloadError(
                f"test = {self.test}; it is the part that is for tests, between 0 and 1, or None"
            )
        if self.files is not None and (
            isinstance(self.files, str)
            or len(self.files) != 2
            or any(one in {"", ".", ".."} or Path(one).name != one for one in self.files)
        ):
            raise WorkloadError(
                f"files = {self.files!r}; give two names, of a file for training and one for tests"
            )

    def rows(self, kind: str, count: int) -> NDArray[np.int64]:
        """The samples of a file with so many that are for this kind of part, in order."""
        if self.test is None or self.files is not None:
            return np.arange(count)
        order = np.random.Generator(np.random.PCG64(derive("rows for tests", self.seed))).permutation(count)
        tests = round(self.test * count)
        return np.sort(order[:tests] if kind == "test" else order[tests:])


def read_part(
    source: str | None, part: Part, endings: Sequence[str], division: Division, read: Read
) -> Samples:
    """The samples of an identity, of one file after the other. `endings`: of the files' names; none for folders."""
    taken = []
    for path in _paths(source, part, endings, division):
        samples = read(path)
        rows = division.rows(part.kind, len(samples))
        taken.append(samples if len(rows) == len(samples) else samples.take(rows))
    inputs, targets = [one.inputs for one in taken], [one.targets for one in taken]
    for one in taken[1:]:
        if one.inputs.shape[1:] != inputs[0].shape[1:] or one.targets.shape[1:] != targets[0].shape[1:]:
            raise DataCorrupt(
                f"the files of part {part.text!r} hold samples of shapes {inputs[0].shape[1:]} and {one.inputs.shape[1:]}; "
                "they must be alike"
            )
    found = taken[0] if len(taken) == 1 else Samples(np.concatenate(inputs), np.concatenate(targets))
    if not len(found):
        raise DataCorrupt(f"no samples for {part.kind} are left in {source}; it needs more rows")
    return found


def existing(source: str | None) -> Path:
    """The file or folder that a node's file names. DataMissing if there is none."""
    if source is None:
        raise DataMissing("no data are named; name their file or folder under `data` in the node's file")
    path = Path(source).expanduser()
    if not path.exists():
        raise DataMissing(f"there is no {path}; correct `data` in the node's file")
    return path


def _paths(source: str | None, part: Part, endings: Sequence[str], division: Division) -> list[Path]:
    place = existing(source)
    if place.is_file():
        if part.text or division.files is not None:
            raise DataMissing(
                f"{place} is a file, and {f'part {part.text!r}' if part.text else 'the reader'} takes files of a folder; name the folder"
            )
        return [place]
    if division.files is not None:
        folders = _named(place, part.text, {one.name: one for one in place.iterdir() if one.is_dir()}, place)
        wanted = [folder / division.files[part.kind == "test"] for folder in folders]
        for path in wanted:
            if not path.exists():
                raise DataMissing(f"there is no {path}; the reader takes {' and '.join(division.files)}")
        return wanted
    if not endings:
        return _named(place, part.text, {one.name: one for one in place.iterdir() if one.is_dir()}, place)
    there = {
        one.name.removesuffix(ending): one
        for one in place.iterdir()
        for ending in endings
        if one.name.endswith(ending)
    }
    if not there:
        raise DataMissing(f"no file in {place} ends in {' or '.join(endings)}")
    alone = next(iter(there.values())) if len(there) == 1 else None
    return _named(place, part.text, there, alone)


def _named(place: Path, text: str, there: dict[str, Path], whole: Path | None) -> list[Path]:
    """What a part's text names; `whole` if it names nothing."""
    if not text:
        if whole is None:
            raise DataMissing(
                f"{place} holds {', '.join(sorted(there))}; name those to take as `part:` of the identity"
            )
        return [whole]
    for one in text.split("+"):
        if one not in there:
            known = ", ".join(sorted(there)) or "none"
            raise DataMissing(f"there is no part {one!r} in {place}; it has {known}")
    return [there[one] for one in text.split("+")]
