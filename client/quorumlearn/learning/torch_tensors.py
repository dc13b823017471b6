"""Which tensors of a module travel, and how they become a `Model` and come back.

Rules:
1. What trains travels: parameters that require a gradient, by their names in `named_parameters`; a tied one once, by its first name.
   So do buffers of floating point that a `state_dict` holds, since training changes them (BatchNorm's running statistics).
2. All else stays: frozen parameters, buffers of whole numbers (BatchNorm's `num_batches_tracked` among them), buffers that are not
   persistent. Each party has these from its own copy of the code, so `frozen_digest` says whether they are the same ones.
3. Models are float32. Half and double precision are cast, and cast back. What has no faithful float32 form is refused by name.
4. A running variance below 0 is read as 0: what an average is rounded to on a task's grid may lie below it, and its root is no number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from quorumlearn.learning.errors import ModelError
from quorumlearn.learning.model import Model

_TRAVEL = {torch.float16, torch.bfloat16, torch.float32, torch.float64}
_COUNTS = "num_batches_tracked"
_VARIANCE = "running_var"


@dataclass(frozen=True)
class Layout:
    """A module's tensors: the shapes of those that travel, by name and in its order, their blocks in the order of the module, and the
    names of those that stay."""

    shapes: Mapping[str, tuple[int, ...]]
    blocks: tuple[str, ...]
    stays: tuple[str, ...]


def layout_of(workload: str, module: nn.Module) -> Layout:
    """What travels of this module. ModelError names a tensor that cannot, and says what to do."""
    moving: dict[str, Tensor] = {}
    staying: list[str] = []
    for name, parameter in module.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise ModelError(f"{workload}: {name} has no shape yet; give the lazy module its sizes")
        if parameter.requires_grad:
            moving[name] = parameter.data
        else:
            staying.append(name)
    if not moving:
        raise ModelError(f"{workload}: no parameter of the module requires a gradient; leave some unfrozen")
    kept = set(module.state_dict())
    for name, buffer in module.named_buffers():
        if name in kept and (buffer.is_floating_point() or buffer.is_complex()):
            moving[name] = buffer
        elif name in kept:
            staying.append(name)
    storages: dict[tuple[int, int], str] = {}
    for name, tensor in moving.items():
        _can_travel(workload, name, tensor)
        place = tensor.data_ptr(), tensor.numel()
        if tensor.numel() and place in storages:
            raise ModelError(
                f"{workload}: {name} and {storages[place]} share their memory but are two parameters; tie them as one Parameter"
            )
        storages[place] = name
    blocks = tuple(dict.fromkeys(name.partition(".")[0] for name in moving))
    return Layout(
        {name: tuple(moving[name].shape) for name in sorted(moving)}, blocks, tuple(sorted(staying))
    )


def read(workload: str, module: nn.Module, layout: Layout) -> Model:
    """The module's travelling tensors as float32 copies. ModelError if one is gone or has another shape, or is not finite."""
    tensors = dict(_tensors(module))
    model: Model = {}
    for name, shape in layout.shapes.items():
        tensor = tensors.get(name)
        if tensor is None or tuple(tensor.shape) != shape:
            now = "gone" if tensor is None else f"of shape {tuple(tensor.shape)}"
            raise ModelError(f"{workload}: {name} is {now}, and was {shape}; a module must keep its tensors")
        values = tensor.detach().to("cpu", torch.float32, copy=True).contiguous()
        if not bool(torch.isfinite(values).all()):
            raise ModelError(
                f"{workload}: {name} holds numbers that are not finite in float32; lower learning_rate, or register a constant "
                "with persistent=False"
            )
        model[name] = values.numpy()
    return model


def write(module: nn.Module, layout: Layout, model: Model) -> None:
    """Put a model of exactly this layout into the module, in each tensor's own type."""
    tensors = dict(_tensors(module))
    with torch.no_grad():
        for name in layout.shapes:
            values = torch.tensor(model[name])
            tensors[name].copy_(values.clamp(min=0) if name.rpartition(".")[2] == _VARIANCE else values)


def frozen_digest(workload: str, module: nn.Module, layout: Layout) -> str | None:
    """SHA-256 over names, types, shapes and bytes of what stays, but for counts of batches; None if there is nothing."""
    tensors = dict(_tensors(module))
    state = hashlib.sha256()
    staying = [name for name in layout.stays if not name.endswith(_COUNTS)]
    for name in staying:
        tensor = tensors[name].detach()
        if tensor.is_quantized or tensor.layout != torch.strided or tensor.is_meta:
            raise ModelError(
                f"{workload}: the frozen tensor {name} is {_kind(tensor)}; only dense tensors with values are supported"
            )
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        state.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return state.hexdigest() if staying else None


def changed(module: nn.Module, before: nn.Module, layout: Layout) -> str | None:
    """The name of a frozen parameter that is no more what it was, or None. Buffers that stay may change."""
    then, now = dict(before.named_parameters()), dict(module.named_parameters())
    for name in layout.stays:
        if name in then and (name not in now or not _equal(now[name], then[name])):
            return name
    return None


def _equal(now: Tensor, then: Tensor) -> bool:
    now = now.detach().cpu()
    return now.dtype == then.dtype and torch.equal(now, then.detach().cpu())


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _can_travel(workload: str, name: str, tensor: Tensor) -> None:
    if tensor.dtype in _TRAVEL and tensor.layout == torch.strided and not tensor.is_meta:
        return
    raise ModelError(
        f"{workload}: {name} is {_kind(tensor)}, which has no form in float32; freeze it, or make it float16, bfloat16, float32 "
        "or float64 and dense"
    )


def _kind(tensor: Tensor) -> str:
    if tensor.is_meta:
        return "without values (on the device meta)"
    if tensor.layout != torch.strided:
        return f"sparse ({tensor.layout})"
    return f"{'quantised ' if tensor.is_quantized else ''}{tensor.dtype}"
