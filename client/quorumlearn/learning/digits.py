"""Images of digits: where they come from. Only the workloads of `learning.mnist` know of them.

`load_digits` looks in this order: the folder named by the user (MNIST's four IDX files, gzipped or not);
torchvision's files in the cache; a download by torchvision, if allowed; scikit-learn's digits, 1,797 images
of 8 x 8, as the last resort. A folder that is named and does not hold the data is an error, never a reason to
look elsewhere. The last resort is said aloud: the data set carries a notice, and the log a warning.

Pixels stay unsigned bytes until a workload trains on them.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quorumlearn.extras import lacking
from quorumlearn.learning.data import Array, Samples
from quorumlearn.learning.errors import DataCorrupt, DataMissing
from quorumlearn.learning.idx import read_idx

SIDE = 28
CLASSES = 10
MEAN, DEVIATION = 0.1307, 0.3081  # of MNIST's training pixels, 0 to 1

_FILES = tuple(
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)
_DIGITS_TEST = 360
_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Digits:
    """The data set in its two parts: inputs uint8 (n, 28, 28), targets int64 (n,), 0 to 9. `digest` is the SHA-256 of pixels and
    labels, however they were stored."""

    name: str
    train: Samples
    test: Samples
    digest: str

    @property
    def notice(self) -> str | None:
        """What the user should know of where they came from."""
        return self.train.notice


def normalised(inputs: Array) -> NDArray[np.float32]:
    """Pixels uint8 (n, 28, 28) as networks take them: float32 (n, 1, 28, 28) of mean 0 and deviation 1 over MNIST."""
    images = inputs.astype(np.float32)
    images /= np.float32(255)
    images -= np.float32(MEAN)
    images /= np.float32(DEVIATION)
    return images[:, np.newaxis]


def default_cache() -> Path | None:
    """Where torchvision's files are kept when nobody says otherwise; None for a user who has no home."""
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(named or Path.home() / ".cache") / "quorumlearn"
    except RuntimeError:  # HOME is not set, and the system does not know the user
        return None


@dataclass(frozen=True)
class DigitsSource:
    """Where to look: a folder of IDX files, or one with such a folder `mnist`; or else torchvision's `cache`, a download into it if
    `download`, and scikit-learn's digits if `last_resort`."""

    folder: Path | None = None
    cache: Path | None = None
    download: bool = False
    last_resort: bool = True


def load_digits(source: DigitsSource) -> Digits:
    """The data set that `source` leads to.

    DataMissing if there is none, DataCorrupt if what is there is not MNIST.
    """
    if source.folder is not None:
        inside = source.folder / "mnist"
        return _mnist(inside if inside.is_dir() else source.folder)
    cache = source.cache or default_cache()
    if cache is None:
        return _last_resort(
            source, "no folder was named, and this user has no home: set HOME or XDG_CACHE_HOME"
        )
    raw = cache / "MNIST" / "raw"
    if all((raw / name).is_file() or (raw / f"{name}.gz").is_file() for name in _FILES):
        return _mnist(raw)
    reason = "no folder was named and no download allowed"
    if source.download:
        try:
            return _downloaded(cache, raw)
        except DataMissing as error:
            reason = str(error)
    return _last_resort(source, f"{reason}, and nothing is in {raw}")


def _last_resort(source: DigitsSource, reason: str) -> Digits:
    if not source.last_resort:
        raise DataMissing(f"no MNIST: {reason}; name a folder with its four IDX files")
    return _digits(
        f"These are NOT the MNIST images but scikit-learn's 8 x 8 digits, 1,797 of them: {reason}."
    )


def _mnist(folder: Path) -> Digits:
    if not folder.is_dir():
        raise DataMissing(f"there is no folder {folder}; name the folder that holds the four MNIST files")
    return _digits_of("mnist", _samples(folder, "train"), _samples(folder, "t10k"), None)


def _samples(folder: Path, part: str) -> Samples:
    pixels = read_idx(folder, f"{part}-images-idx3-ubyte", 3)
    labels = read_idx(folder, f"{part}-labels-idx1-ubyte", 1)
    if pixels.shape[1:] != (SIDE, SIDE) or len(pixels) == 0:
        raise DataCorrupt(
            f"the {part} images in {folder} are {pixels.shape}; MNIST's are (n, {SIDE}, {SIDE})"
        )
    if len(pixels) != len(labels):
        raise DataCorrupt(
            f"{len(pixels)} {part} images but {len(labels)} labels in {folder}; they belong to others"
        )
    if labels.max() >= CLASSES:
        raise DataCorrupt(f"a label {labels.max()} among the {part} labels in {folder}; they go from 0 to 9")
    return Samples(pixels, labels.astype(np.int64))


def _downloaded(cache: Path, raw: Path) -> Digits:
    try:
        from torchvision.datasets import MNIST  # slow to import, and needed only here
    except ImportError as error:
        raise DataMissing(lacking("the download of MNIST", error) or str(error)) from error

    _log.warning("downloading MNIST into %s", cache)
    try:
        MNIST(str(cache), download=True)
    except (OSError, RuntimeError) as error:
        raise DataMissing(f"the download of MNIST failed ({type(error).__name__}: {error})") from error
    return _mnist(raw)


def _digits(notice: str) -> Digits:
    """scikit-learn's digits, a pixel as 3 x 3 in a frame of 2, in a fixed order, the last 360 for tests."""
    try:
        from sklearn.datasets import load_digits  # slow to import, and needed only here
    except ImportError as error:
        wanted = lacking("what stands for MNIST where it is missing", error) or str(error)
        raise DataMissing(f"{wanted}, or name a folder with MNIST's four IDX files") from error

    bunch = load_digits()
    grey = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    pixels = np.pad(grey.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    labels = bunch.target.astype(np.int64)
    order = np.argsort([hashlib.sha256(index.to_bytes(4, "big")).hexdigest() for index in range(len(labels))])
    train, test = order[:-_DIGITS_TEST], order[-_DIGITS_TEST:]
    _log.warning("%s", notice)
    return _digits_of(
        "digits", Samples(pixels[train], labels[train]), Samples(pixels[test], labels[test]), notice
    )


def _digits_of(name: str, train: Samples, test: Samples, notice: str | None) -> Digits:
    digest = hashlib.sha256()
    for part in (train, test):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part.inputs.tobytes())
        digest.update(part.targets.astype(np.uint8).tobytes())
    train, test = (Samples(part.inputs, part.targets, notice) for part in (train, test))
    return Digits(name, train, test, digest.hexdigest())
