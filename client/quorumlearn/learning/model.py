"""A model as arrays: blocks, updates, and its form on disk.

Rules:
1. A model maps tensor names to float32 arrays, in the order of the names. `flatten` and every update
   follow this order, so two parties with the same shapes agree on what number i of an update is.
2. A tensor is called `block.rest`; the part before the first dot is its block. A task says which blocks
   are public, and only those leave a miner.
3. An update is what training changed: public_after - public_before, as float64, flat.
4. On disk a model is safetensors (https://github.com/huggingface/safetensors, never pickle). One model
   has one sequence of bytes, and `from_bytes` accepts no other: no metadata, no other order or padding.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from quorumlearn.learning.errors import ModelError

MOST_HEADER = 1 << 20
"""Bytes of a stored model's header, at most."""
Model = dict[str, NDArray[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]
Update = NDArray[np.float64]


def shapes_of(model: Model) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor, in the model's order."""
    return {name: model[name].shape for name in sorted(model)}


def size_of(shapes: Shapes) -> int:
    """The number of parameters, d."""
    return sum(int(np.prod(shape)) for shape in shapes.values())


def blocks_of(names: Collection[str]) -> tuple[str, ...]:
    """The blocks that tensors of these names belong to, in order."""
    return tuple(sorted({name.partition(".")[0] for name in names}))


def public_shapes(shapes: Shapes, public_blocks: Collection[str]) -> dict[str, tuple[int, ...]]:
    """The shapes of the public part; ModelError if a block is unknown or none is named."""
    _known_blocks(shapes, public_blocks)
    return {name: shapes[name] for name in sorted(shapes) if name.partition(".")[0] in public_blocks}


def split(model: Model, public_blocks: Collection[str]) -> tuple[Model, Model]:
    """The model's public part and its private part; ModelError if a block is unknown or none is named."""
    public = public_shapes(shapes_of(model), public_blocks)
    rest = sorted(set(model) - set(public))
    return {name: model[name] for name in public}, {name: model[name] for name in rest}


def merge(public: Model, private: Model) -> Model:
    """The whole model of its two parts; ModelError if a tensor is in both."""
    twice = sorted(set(public) & set(private))
    if twice:
        raise ModelError(
            f"{twice[0]} is in the public and in the private part; a tensor belongs to one of them"
        )
    whole = public | private
    return {name: whole[name] for name in sorted(whole)}


def flatten(model: Model) -> Update:
    """All parameters as one float64 array (d,): tensor after tensor in the order of their names."""
    if not model:
        return np.zeros(0, dtype=np.float64)
    return np.concatenate([model[name].ravel().astype(np.float64) for name in sorted(model)])


def difference(after: Model, before: Model) -> Update:
    """The update that leads from one model to another: after - before, float64 (d,)."""
    if shapes_of(after) != shapes_of(before):
        raise ModelError(
            "the models before and after training have different tensors; they must be of one workload"
        )
    return flatten(after) - flatten(before)


def apply_update(model: Model, update: Update) -> Model:
    """model + update, added in float64 and rounded to float32; `update` is flat, float64 (d,)."""
    shapes = shapes_of(model)
    size = size_of(shapes)
    if update.shape != (size,):
        raise ModelError(f"an update of shape {update.shape} for a model of {size} parameters")
    if not np.isfinite(update).all():
        raise ModelError("the update holds numbers that are not finite")
    with np.errstate(over="ignore"):
        moved = (flatten(model) + update).astype(np.float32)
    if not np.isfinite(moved).all():
        raise ModelError("the model plus the update leaves the range of float32")
    return unflatten(moved, shapes)


def unflatten(values: NDArray[np.float32], shapes: Shapes) -> Model:
    """The model whose parameters are `values` (d,), the inverse of `flatten`."""
    if values.shape != (size_of(shapes),):
        raise ModelError(f"{values.shape} numbers for a model of {size_of(shapes)} parameters")
    model: Model = {}
    start = 0
    for name in sorted(shapes):
        end = start + int(np.prod(shapes[name]))
        model[name] = values[start:end].astype(np.float32).reshape(shapes[name])
        start = end
    return model


def _known_blocks(shapes: Shapes, public_blocks: Collection[str]) -> None:
    blocks = blocks_of(shapes)
    unknown = sorted(set(public_blocks) - set(blocks))
    if unknown:
        raise ModelError(f"no block {unknown[0]!r} in this model; it has {', '.join(blocks)}")
    if not public_blocks:
        raise ModelError(
            f"no block is public, so there is nothing to train together; name some of {', '.join(blocks)}"
        )


def to_bytes(model: Model) -> bytes:
    """The model as safetensors: the same model, the same bytes. ModelError if it holds no finite float32."""
    for name, tensor in model.items():
        if tensor.dtype != np.float32:
            raise ModelError(f"{name} is {tensor.dtype}; models are float32")
        if not np.isfinite(tensor).all():
            raise ModelError(f"{name} holds numbers that are not finite")
    return safetensors.numpy.save({name: np.asarray(model[name], order="C") for name in sorted(model)})


def most_bytes(size: int) -> int:
    """At least as many bytes as a stored model of `size` parameters has: a limit for what is read."""
    return 4 * size + MOST_HEADER


def from_bytes(data: bytes, like: Shapes) -> Model:
    """Read a model strictly: exactly the names and shapes of `like`, otherwise as `read`."""
    model = _parsed(data, size_of(like))
    for name in sorted(set(model) ^ set(like)):
        raise ModelError(f"tensor {name!r} is {'missing' if name in like else 'not of this model'}")
    for name in sorted(like):
        if model[name].shape != tuple(like[name]):
            raise ModelError(f"{name} is F32 {model[name].shape}; the model has F32 {tuple(like[name])}")
    return model


def read(data: bytes, size: int) -> Model:
    """Read a model of `size` parameters strictly, whatever its tensors are called: float32, finite, in the one form of `to_bytes`.
    ModelError says what else it is. The arrays own their memory."""
    model = _parsed(data, size)
    if size_of(shapes_of(model)) != size:
        raise ModelError(f"a model of {size_of(shapes_of(model))} parameters; {size} are expected")
    return model


def _parsed(data: bytes, size: int) -> Model:
    if len(data) > most_bytes(size):
        raise ModelError(
            f"a model of {len(data)} bytes; at most {most_bytes(size)} are expected of {size} parameters"
        )
    try:
        tensors = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]
    except (safetensors.SafetensorError, json.JSONDecodeError, ValueError) as error:
        raise ModelError(f"not a safetensors file: {error}") from error
    model: Model = {}
    for name in sorted(tensors):
        dtype, shape, raw = tensors[name]["dtype"], tuple(tensors[name]["shape"]), tensors[name]["data"]
        if dtype != "F32":
            raise ModelError(f"{name} is {dtype} {shape}; models are F32")
        model[name] = np.frombuffer(raw, dtype="<f4").astype(np.float32).reshape(shape)
    if to_bytes(model) != data:
        raise ModelError("the file holds the right tensors, but not in the form that models are stored in")
    return model
