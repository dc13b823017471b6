"""Arrays as safetensors in the one form that they are written in, and read back strictly.

Rules:
- the same arrays give the same bytes: names sorted, little endian, no metadata, no other order or padding;
- what is read has exactly the names, types and shapes that are expected, and finite numbers; its length is checked before it is parsed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from quorumlearn.replay.errors import StateError

Arrays = Mapping[str, NDArray[Any]]

TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}
"""What may be stored: safetensors' names of types, and numpy's."""
_NAMES = {np.dtype(code): name for name, code in TYPES.items()}
_A_TENSOR = 512
"""Bytes of a tensor's entry in the header, beside its name, at most."""


@dataclass(frozen=True)
class Form:
    """A tensor without its values."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=object))

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


Forms = Mapping[str, Form]


def forms_of(arrays: Arrays) -> dict[str, Form]:
    """The form of each array, in the order of their names."""
    return {name: Form(arrays[name].dtype, arrays[name].shape) for name in sorted(arrays)}


def most_bytes(forms: Forms) -> int:
    """At least as many bytes as arrays of these forms are stored in: a limit for what is read."""
    return 8 + sum(form.nbytes + len(name.encode()) * 6 + _A_TENSOR for name, form in forms.items())


def to_bytes(arrays: Arrays) -> bytes:
    """The arrays as safetensors. StateError for a type that is not in TYPES, and for numbers that are not finite."""
    plain = {}
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        if array.dtype not in _NAMES:
            raise StateError(f"{name} is {array.dtype}; stored are {', '.join(TYPES)}")
        _finite(name, array)
        plain[name] = array
    return safetensors.numpy.save(plain)


def from_bytes(data: bytes, forms: Forms) -> dict[str, NDArray[Any]]:
    """Read arrays of exactly these names and forms; StateError says what else it is. The arrays own their memory."""
    if len(data) > most_bytes(forms):
        raise StateError(f"{len(data)} bytes; arrays of these shapes have at most {most_bytes(forms)}")
    found = read(data)
    for name in sorted(set(found) ^ set(forms)):
        raise StateError(f"tensor {name[:80]!r} is {'missing' if name in forms else 'not one of these'}")
    for name, form in forms_of(found).items():
        if form != forms[name]:
            raise StateError(f"{name} is {form}; {forms[name]} is expected")
    return found


def read(data: bytes) -> dict[str, NDArray[Any]]:
    """Read arrays of any names and forms, stored as `to_bytes` does; StateError otherwise. Check the length before."""
    try:
        tensors = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]
    except (safetensors.SafetensorError, json.JSONDecodeError, ValueError) as error:
        raise StateError(f"not a safetensors file: {str(error)[:200]}") from error
    found = {}
    for name in sorted(tensors):
        dtype, shape, raw = tensors[name]["dtype"], tuple(tensors[name]["shape"]), tensors[name]["data"]
        if dtype not in TYPES:
            raise StateError(f"{name[:80]} is {dtype[:20]}; stored are {', '.join(TYPES)}")
        code = np.dtype(TYPES[dtype])
        found[name] = np.frombuffer(raw, dtype=code).astype(code.newbyteorder("=")).reshape(shape)
    if to_bytes(found) != data:
        raise StateError("the arrays are not in the one form that they are stored in")
    return found


def _finite(name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise StateError(f"{name} holds numbers that are not finite: lower the learning rate")
