"""Data sets that are arrays already: NPZ files, and those that torchvision and Hugging Face's `datasets` keep on disk."""

from __future__ import annotations

import inspect
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quorumlearn.learning.data import Part, Samples
from quorumlearn.learning.errors import DataCorrupt, DataMissing, WorkloadError
from quorumlearn.learning.readers.places import Division, Reads, existing, read_part

MOST_BYTES = 1 << 34
"""Of one unpacked array in an NPZ file."""


def npz(
    *,
    inputs: str = "inputs",
    targets: str = "targets",
    test: float | None = 0.2,
    seed: int = 0,
    files: tuple[str, str] | None = None,
) -> Reads:
    """Files of numpy's `savez`, with the inputs (n, ...) and the targets (n, ...) under these names, as they are stored; whole numbers
    of the targets become int64, others float32. `test`, `seed`, `files`: see `places.Division`."""
    division = Division(test, seed, files)

    def load(source: str | None, part: Part) -> Samples:
        return read_part(source, part, (".npz",), division, lambda path: _npz(path, inputs, targets))

    return load


def torchvision(dataset: str, **options: object) -> Reads:
    """A data set of torchvision by its class's name, as "CIFAR10", in the folder where torchvision has put it; nothing is downloaded.

    Inputs uint8 (n, channels, height, width), targets int64. Its own division into training and tests holds. `options` go to its class,
    as split="letters" for EMNIST. CIFAR's files are pickles: torchvision opens them only if their checksums are the published ones.
    """

    def load(source: str | None, part: Part) -> Samples:
        if part.text:
            raise DataMissing(f"{dataset} has no part {part.text!r}; leave `part:` out")
        return _torchvision(dataset, existing(source), part.kind, options)

    return load


def hugging_face(
    *,
    inputs: str | Sequence[str],
    target: str,
    test: float | None = 0.2,
    seed: int = 0,
    splits: tuple[str, str] | None = ("train", "test"),
) -> Reads:
    """A data set that `datasets.save_to_disk` has written, with its columns as inputs and target.

    inputs: a column of images, which must be of one size, uint8 (n, channels, height, width); of lists of one length, as tokens, int64
        or float32 (n, length); or several columns of numbers, float32 (n, columns).
    splits: its names of the rows for training and for tests; None, or a data set without splits: see `places.Division` for test and seed.
    """
    division = Division(test, seed)
    columns = [inputs] if isinstance(inputs, str) else list(inputs)
    if not columns:
        raise WorkloadError("readers.hugging_face: inputs names no column; name one at least")

    def load(source: str | None, part: Part) -> Samples:
        return _hugging_face(existing(source), part, columns, target, division, splits)

    return load


def _npz(path: Path, inputs: str, targets: str) -> Samples:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {one.filename.removesuffix(".npy"): one.file_size for one in archive.infolist()}
        for name in (inputs, targets):
            if name not in sizes:
                raise DataCorrupt(
                    f"{path} has no array {name!r}; it has {', '.join(sorted(sizes)) or 'none'}"
                )
            if sizes[name] > MOST_BYTES:
                raise DataCorrupt(f"{path}: {name!r} has {sizes[name]} bytes; at most {MOST_BYTES} are read")
        with np.load(path, allow_pickle=False) as file:
            return _samples(str(path), file[inputs], file[targets])
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataCorrupt(f"{path} is no NPZ file of numbers: {' '.join(str(error).split())}") from error


def _samples(where: str, inputs: NDArray[Any], targets: NDArray[Any]) -> Samples:
    for what, values in (("inputs", inputs), ("targets", targets)):
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub" or not values.shape:
            shape = (
                f"{values.dtype} of shape {values.shape}" if isinstance(values, np.ndarray) else "no array"
            )
            raise DataCorrupt(f"{where}: the {what} are {shape}; they must be numbers, (n, ...)")
    if len(inputs) != len(targets):
        raise DataCorrupt(
            f"{where}: {len(inputs)} inputs and {len(targets)} targets; each sample has one of both"
        )
    if not len(targets):
        raise DataCorrupt(f"{where} has no samples")
    return Samples(inputs, targets.astype(np.float32 if targets.dtype.kind == "f" else np.int64))


def _torchvision(name: str, folder: Path, kind: str, options: Mapping[str, object]) -> Samples:
    try:
        from torchvision import datasets
    except ImportError as error:
        raise DataMissing(f"{name} takes torchvision: pip install 'quorumlearn[train]'") from error
    made: Any = getattr(datasets, name, None)
    if not (inspect.isclass(made) and issubclass(made, datasets.VisionDataset)):
        raise DataMissing(f"torchvision has no data set {name!r}; it is written as in torchvision.datasets")
    takes = inspect.signature(made).parameters
    chosen: dict[str, object] = {"download": False} if "download" in takes else {}
    if "train" in takes:
        chosen["train"] = kind == "train"
    elif "split" in takes:
        chosen["split"] = kind
    else:
        raise DataMissing(
            f"{name} has no division into training and tests; read it by a function of your own"
        )
    try:
        build: Any = made
        found = build(str(folder), **(chosen | dict(options)))
    except (RuntimeError, OSError, ValueError, EOFError) as error:
        raise DataMissing(f"{folder} does not hold {name}: {' '.join(str(error).split())}") from error
    pixels, labels = getattr(found, "data", None), getattr(found, "targets", getattr(found, "labels", None))
    if pixels is None or labels is None or len(pixels) != len(labels):
        pairs = [found[at] for at in range(len(found))]
        pixels, labels = _stacked(name, [one for one, _ in pairs]), [label for _, label in pairs]
    images = _channels_first(np.asarray(pixels))
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataCorrupt(f"{name} in {folder} holds {images.dtype} of shape {images.shape}, and no images")
    return _samples(name, images, np.asarray(labels, np.int64))


def _hugging_face(
    folder: Path,
    part: Part,
    columns: list[str],
    target: str,
    division: Division,
    splits: tuple[str, str] | None,
) -> Samples:
    try:
        import datasets
    except ImportError as error:
        raise DataMissing(
            "data sets of Hugging Face take `datasets`: pip install 'quorumlearn[readers]'"
        ) from error
    if part.text and not (folder / part.text).is_dir():
        there = sorted(one.name for one in folder.iterdir() if one.is_dir())
        raise DataMissing(f"there is no part {part.text!r} in {folder}; it has {', '.join(there) or 'none'}")
    place = folder / part.text
    try:
        found = datasets.load_from_disk(str(place))
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
    ) as error:  # what Arrow and JSON say of other bytes are ValueErrors
        raise DataCorrupt(
            f"{place} is no data set that save_to_disk has written: {' '.join(str(error).split())}"
        ) from error
    divided = not isinstance(found, dict)
    if isinstance(found, dict):
        wanted = (splits or ("train", "test"))[part.kind == "test"]
        if wanted not in found:
            raise DataMissing(f"{place} has no split {wanted!r}; it has {', '.join(found)}")
        found = found[wanted]
    for name in (*columns, target):
        if name not in found.column_names:
            raise DataCorrupt(f"{place}: column {name!r} is lacking; it has {', '.join(found.column_names)}")
    arrays = [_column(f"{place}: {name}", found[name][:]) for name in columns]
    inputs = arrays[0] if len(arrays) == 1 else _side_by_side(str(place), arrays)
    samples = _samples(str(place), inputs, _column(f"{place}: {target}", found[target][:]))
    return samples.take(division.rows(part.kind, len(samples))) if divided else samples


def _column(where: str, values: Sequence[Any]) -> NDArray[Any]:
    """One column as an array: pixels, whole numbers as int64, others as float32. DataCorrupt if its rows differ."""
    if len(values) and hasattr(values[0], "convert") and hasattr(values[0], "size"):
        return _stacked(where, values)
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataCorrupt(f"{where} has rows of different lengths; pad or cut them to one") from error
    if array.dtype.kind not in "fiub":
        raise DataCorrupt(
            f"{where} holds {type(values[0]).__name__ if len(values) else 'nothing'} and no numbers, or has gaps"
        )
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64)


def _stacked(where: str, pictures: Sequence[Any]) -> NDArray[np.uint8]:
    """Pictures of Pillow's as (n, channels, height, width)."""
    arrays = [np.asarray(one, np.uint8) for one in pictures]
    if len({one.shape for one in arrays}) != 1:
        raise DataCorrupt(f"{where} has images of different sizes, or none; scale them to one")
    stacked = np.stack(arrays)
    return (
        stacked[:, np.newaxis] if stacked.ndim == 3 else np.ascontiguousarray(stacked.transpose(0, 3, 1, 2))
    )


def _channels_first(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, height, width), (n, height, width, channels) or (n, channels, height, width), as torchvision keeps them, as the last."""
    if images.ndim == 3:
        return images[:, np.newaxis]
    if images.ndim == 4 and images.shape[-1] in {1, 3, 4} and images.shape[1] not in {1, 3, 4}:
        return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return images


def _side_by_side(where: str, columns: list[NDArray[Any]]) -> NDArray[np.float32]:
    if any(one.ndim != 1 for one in columns):
        raise DataCorrupt(
            f"{where}: several columns of inputs hold one number a row each; name one column of lists"
        )
    return np.stack(columns, axis=1).astype(np.float32)
