"""Images in a folder for each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quorumlearn.learning.data import Part, Samples
from quorumlearn.learning.errors import DataCorrupt, DataMissing, WorkloadError
from quorumlearn.learning.readers.places import Division, Reads, read_part

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def images(
    *,
    classes: Sequence[str],
    size: tuple[int, int],
    mode: Literal["RGB", "L"] = "RGB",
    test: float | None = 0.2,
    seed: int = 0,
    files: tuple[str, str] | None = None,
) -> Reads:
    """Images as `folder/class/name.png`; inputs uint8 (n, channels, height, width), targets int64 (n,).

    classes: the subfolders, in the order of their classes: those of all who train together, of which a party may lack some.
    size: width and height in pixels, which every image must have.
    mode: RGB, or L for grey; images of other modes are converted.
    test, seed, files: see `places.Division`; `files` are folders here, as ("train", "test").
    """
    if not classes or len(set(classes)) < len(classes):
        raise WorkloadError(f"readers.images: classes are {list(classes)}; name each subfolder once")
    if mode not in {"RGB", "L"}:
        raise WorkloadError(f"readers.images: mode = {mode!r}; it is RGB or L")
    if len(size) != 2 or min(size) < 1:
        raise WorkloadError(f"readers.images: size = {size!r}; give width and height in pixels")
    division = Division(test, seed, files)
    wanted = tuple(classes)

    def load(source: str | None, part: Part) -> Samples:
        return _whole(source, part, division, lambda folder: _folder(folder, wanted, size, mode))

    return load


def _whole(source: str | None, part: Part, division: Division, read: Any) -> Samples:
    """A part that names nothing is the folder itself."""
    if part.text or division.files is not None or source is None:
        return read_part(source, part, (), division, read)
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise DataMissing(f"there is no folder {folder}; correct `data` in the node's file")
    samples: Samples = read(folder)
    return samples.take(division.rows(part.kind, len(samples)))


def _folder(folder: Path, classes: tuple[str, ...], size: tuple[int, int], mode: str) -> Samples:
    others = sorted(one.name for one in folder.iterdir() if one.is_dir() and one.name not in classes)
    if others:
        raise DataCorrupt(
            f"{folder} has a folder {others[0]!r}, which is none of the classes {', '.join(classes)}"
        )
    found: list[NDArray[np.uint8]] = []
    targets: list[int] = []
    for place, name in enumerate(classes):
        below = folder / name
        for path in sorted(below.iterdir()) if below.is_dir() else ():
            if path.suffix.lower() in ENDINGS:
                found.append(_image(path, size, mode))
                targets.append(place)
    if not found:
        raise DataMissing(f"{folder} has no images in folders {', '.join(classes)}")
    return Samples(np.stack(found), np.array(targets, np.int64))


def _image(path: Path, size: tuple[int, int], mode: str) -> NDArray[np.uint8]:
    """(channels, height, width). The size is read before the pixels are, so that no file takes more memory than that."""
    try:
        from PIL import Image
    except ImportError as error:
        raise DataMissing("images take Pillow: pip install 'quorumlearn[readers]'") from error
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.size != tuple(size):
                raise DataCorrupt(
                    f"{path} has {image.size[0]} x {image.size[1]} pixels, and {size[0]} x {size[1]} are declared; scale it"
                )
            pixels = np.asarray(image.convert(mode), np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataCorrupt(f"{path} is no image that can be read: {' '.join(str(error).split())}") from error
    return pixels[np.newaxis] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
