"""A batch of samples as a module takes them.

Unsigned bytes are pixels and become 0 to 1, as torchvision's `ToTensor` has them. Other whole numbers are int64, as tokens are.
Truth values and floating point take the type that the module computes in, float32 for most. Targets that are whole numbers are
int64, others are of that type too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from quorumlearn.learning.errors import TrainingError
from quorumlearn.learning.own_code import own_code

Loss = Callable[[Tensor, Tensor], Tensor]

_OF_FLOATS = (
    functional.binary_cross_entropy,
    functional.binary_cross_entropy_with_logits,
    functional.huber_loss,
    functional.l1_loss,
    functional.mse_loss,
    functional.smooth_l1_loss,
)
_MODULES_OF_FLOATS = (nn.BCELoss, nn.BCEWithLogitsLoss, nn.HuberLoss, nn.L1Loss, nn.MSELoss, nn.SmoothL1Loss)


def as_inputs(values: NDArray[Any], dtype: torch.dtype, device: str) -> Tensor:
    """A batch of inputs (b, ...) on the device, as this module's docstring says."""
    if values.dtype == np.uint8:
        return torch.from_numpy(np.array(values)).to(device).to(dtype) / 255
    return _numbers(values, dtype, device, of_truth=dtype)


def as_targets(values: NDArray[Any], dtype: torch.dtype, device: str) -> Tensor:
    """A batch of targets (b, ...) on the device."""
    return _numbers(values, dtype, device, of_truth=torch.int64)


def mean_loss(workload: str, loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss of a batch, a scalar. TrainingError if the user's function gives none, or the targets do not fit the outputs."""
    outputs, targets = _paired(workload, loss, outputs, targets)
    way_out = f"outputs are {tuple(outputs.shape)}, targets {tuple(targets.shape)} of {targets.dtype}: correct the loss or the module"
    with own_code(workload, "the loss", way_out):
        found = loss(outputs, targets)
        if isinstance(found, Tensor) and found.shape in {(), (len(targets),)}:
            return found.mean()
    raise TrainingError(
        f"{workload}: the loss gave {_said(found)}; it must give a scalar, or a number for each of {len(targets)} samples"
    )


def each_loss(workload: str, loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss of each sample alone, (b,)."""
    whole = not targets.is_floating_point()
    if loss is functional.cross_entropy and outputs.dim() == 2 and targets.dim() == 1 and whole:
        _classes(workload, outputs, targets)
        return functional.cross_entropy(outputs, targets, reduction="none")
    alone = [
        mean_loss(workload, loss, outputs[one : one + 1], targets[one : one + 1])
        for one in range(len(targets))
    ]
    return torch.stack(alone) if alone else outputs.new_zeros(0)


def checked_outputs(workload: str, outputs: object, samples: int) -> Tensor:
    """What a module gave, in at least single precision. TrainingError if it is no tensor with a row for each sample."""
    if not isinstance(outputs, Tensor) or not outputs.dim() or len(outputs) != samples:
        raise TrainingError(
            f"{workload}: the module gave {_said(outputs)} for {samples} samples; it must give a tensor with a row for each"
        )
    return outputs.float() if outputs.dtype in {torch.float16, torch.bfloat16} else outputs


def _said(found: object) -> str:
    return (
        f"a tensor of shape {tuple(found.shape)}"
        if isinstance(found, Tensor)
        else f"a {type(found).__name__}"
    )


def _numbers(values: NDArray[Any], dtype: torch.dtype, device: str, *, of_truth: torch.dtype) -> Tensor:
    if values.dtype.kind == "b":
        return torch.from_numpy(np.array(values)).to(device).to(of_truth)
    if values.dtype.kind in "iu":
        return torch.from_numpy(values.astype(np.int64)).to(device)
    wide = np.float64 if dtype == torch.float64 else np.float32
    return torch.from_numpy(values.astype(wide)).to(device).to(dtype)


def _paired(workload: str, loss: Loss, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs and targets as the losses of torch want them: (n, 1) beside (n,) as (n,), whole numbers as floating point."""
    if outputs.dim() == targets.dim() + 1 and outputs.shape[-1] == 1:
        outputs = outputs.squeeze(-1)
    if targets.is_floating_point():
        return outputs, targets.to(outputs.dtype)
    if loss in _OF_FLOATS or isinstance(loss, _MODULES_OF_FLOATS):
        return outputs, targets.to(outputs.dtype)
    if loss is functional.cross_entropy or type(loss) is nn.CrossEntropyLoss:
        _classes(workload, outputs, targets)
    return outputs, targets


def _classes(workload: str, outputs: Tensor, targets: Tensor) -> None:
    """Before torch sees them: a class out of range ends a GPU's process."""
    if outputs.dim() < 2:
        raise TrainingError(
            f"{workload}: outputs of shape {tuple(outputs.shape)} for cross-entropy; it takes one for each class, or set "
            "loss=nn.functional.binary_cross_entropy_with_logits"
        )
    if targets.numel() and not (int(targets.min()) >= 0 and int(targets.max()) < outputs.shape[1]):
        raise TrainingError(
            f"{workload}: targets from {int(targets.min())} to {int(targets.max())}, and the module has outputs for classes 0 to "
            f"{outputs.shape[1] - 1}"
        )
