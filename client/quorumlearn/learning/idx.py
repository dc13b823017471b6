"""The IDX format of the MNIST files, read strictly.

Layout (http://yann.lecun.com/exdb/mnist): two zero bytes, the type of the numbers (8: unsigned byte), the
number of dimensions, each dimension as 4 bytes big endian, then the numbers, the last dimension fastest. A
file may be gzipped. Whatever disagrees with its own header is refused, and nothing is read beyond a limit.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quorumlearn.learning.errors import DataCorrupt, DataMissing

MAX_BYTES = 1 << 28


def read_idx(folder: Path, name: str, dimensions: int) -> NDArray[np.uint8]:
    """The array in `folder/name` or `folder/name.gz`, the plain file first.

    DataMissing if neither is there or may be read, DataCorrupt if it is no IDX file of unsigned bytes with
    that many dimensions.
    """
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return _parse(_read(path), path, dimensions)
    raise DataMissing(
        f"neither {name} nor {name}.gz is in {folder}; name the folder that holds the four MNIST files"
    )


def _read(path: Path) -> bytes:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataCorrupt(f"{path} is not a whole gzip file: {error}; fetch it again") from error
    except OSError as error:
        raise DataMissing(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise DataCorrupt(f"{path} is over the limit of {MAX_BYTES} bytes")
    return data


def _parse(data: bytes, path: Path, dimensions: int) -> NDArray[np.uint8]:
    header = 4 + 4 * dimensions
    magic = bytes([0, 0, 8, dimensions])
    if len(data) < header or data[:4] != magic:
        raise DataCorrupt(
            f"{path} begins with {data[:4].hex() or 'nothing'}, not with {magic.hex()}: not such an IDX file"
        )
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions))
    if len(data) - header != math.prod(shape):
        raise DataCorrupt(
            f"{path} holds {len(data) - header} bytes; its header {shape} promises {math.prod(shape)}"
        )
    return np.frombuffer(data, dtype=np.uint8, offset=header).reshape(shape)
