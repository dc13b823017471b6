"""A user's module (`TorchWorkload`), to be trained exactly.

Refused before the first step, with the way out:
1. `before_round` and `after_round`: what they change is in no checkpoint;
2. a device other than the CPU, of which nothing was measured, and optimisers other than SGD, Adam and AdamW;
3. BatchNorm without a momentum, whose averages depend on a count that does not travel;
4. where training is portable: constants below float64 that the module computed for itself, as a table of sines, for they differ from one
   processor to the other and travel with nothing. Where it is not: parameters that are not float32.

Refused in a step: draws from torch's generator that `operations` does not answer, and what computes below float64. Refused after the first
step: a module that changes its parameters itself. Refused at the end of a stretch: one that changed what does not travel, for whoever
begins in the middle would not have it.

In float64 frozen parameters and half precision are as their values are; dropout of an attention is torch's own and refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from quorumlearn.learning.data import Samples
from quorumlearn.learning.errors import WorkloadError
from quorumlearn.learning.exact.operations import PortableOperations
from quorumlearn.learning.exact.plan import Layout
from quorumlearn.learning.exact.rules import rules_of
from quorumlearn.learning.exact.streams import integer
from quorumlearn.learning.loading import checked
from quorumlearn.learning.own_code import own_code
from quorumlearn.learning.torch_samples import as_inputs, as_targets, mean_loss
from quorumlearn.learning.torch_step import Step, optimiser_of
from quorumlearn.learning.torch_workload import ConfiguredTorch
from quorumlearn.learning.turns import Draws

_AVERAGING = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
_COUNTS = "num_batches_tracked"


class TorchPlan:
    """See `Plan`."""

    def __init__(self, workload: ConfiguredTorch, *, portable: bool, device: str = "cpu") -> None:
        """WorkloadError for what cannot be replayed. `device` is where gradients are computed; the rest is done on the processor."""
        self._workload = workload
        self._portable = portable
        self._device = device
        self.name = workload.name
        self.epochs = workload.config.epochs
        definition = workload.definition
        for hook in ("before_round", "after_round"):
            if getattr(definition, hook) is not None:
                raise WorkloadError(
                    f"{self.name}: {hook} cannot be replayed, for what it changes is in no checkpoint; do it in the module or in the "
                    "settings"
                )
        if definition.device != "cpu":
            raise WorkloadError(
                f"{self.name}: trains on {definition.device}, and exact training on the CPU only; set device='cpu'"
            )
        module = workload.built.module
        _refuse_counted(self.name, module)
        if portable:
            _refuse_computed(self.name, module, set(workload.shapes))
        else:
            _refuse_unlike_float32(self.name, module)
        self.layout = self._laid_out()

    @contextmanager
    def opened(self, data: Samples, seed: bytes, dtype: torch.dtype) -> Iterator[TorchSubject]:
        samples = checked(self.name, data)
        module = self._module()
        staying = _staying(module, self._workload.shapes)
        step = Step(
            self.name, self._workload.config, module, self._workload.definition.loss, dtype, self._device
        )
        operations = PortableOperations(self.name, seed) if self._portable else None
        yield TorchSubject(step, samples, seed, self.layout, operations)
        for name, now in _staying(module, self._workload.shapes).items():
            if name not in staying or not torch.equal(now, staying[name]):
                raise WorkloadError(
                    f"{self.name}: training changes {name}, which does not travel, so nobody could begin in the middle; make it a "
                    "persistent buffer of floating point, or leave it as it is"
                )

    def _laid_out(self) -> Layout:
        workload = self._workload
        module = self._module()
        parameters = {
            name: one
            for name, one in sorted(module.named_parameters())
            if one.requires_grad and name in workload.shapes
        }
        given = list(dict(module.named_parameters()))
        ordered = [parameters[name] for name in given if name in parameters]
        optimiser = optimiser_of(self.name, workload.definition.optimiser, ordered, workload.config)
        shapes = workload.shapes
        return Layout(
            {name: shapes[name] for name in parameters},
            {name: shapes[name] for name in sorted(shapes) if name not in parameters},
            rules_of(self.name, optimiser, parameters),
        )

    def _module(self) -> nn.Module:
        empty = {name: np.zeros(shape, np.float32) for name, shape in self._workload.shapes.items()}
        module = self._workload.built.copy(empty, "cpu").train()
        with own_code(self.name, "the module in float64", "a module must let its tensors be converted"):
            return module.to(self._device, torch.float64) if self._portable else module


class TorchSubject:
    """See `Subject`."""

    def __init__(
        self,
        step: Step,
        samples: Samples,
        seed: bytes,
        layout: Layout,
        operations: PortableOperations | None,
    ) -> None:
        self._step = step
        self._samples = samples
        self._seed = seed
        self._operations = operations
        named = dict(step.module.named_parameters())
        self.parameters: Mapping[str, Tensor] = {name: named[name] for name in layout.trained}

    def buffer(self, name: str) -> Tensor:
        with own_code(self._step.workload, f"the buffer {name}", "a module must keep its tensors"):
            return self._step.module.get_buffer(name)

    def learn(self, batch: NDArray[np.int64], step: int) -> float:
        at = self._step
        inputs = as_inputs(self._samples.inputs[batch], at.dtype, at.device)
        targets = as_targets(self._samples.targets[batch], at.dtype, at.device)
        draws = Draws(integer(self._seed, "global generators", step), "exact training")
        with draws.turn():
            with nullcontext() if self._operations is None else self._operations.at(step):
                loss = mean_loss(at.workload, at.loss, at.forward(at.module, inputs), targets)
            at.backward(loss)
        if self._operations is not None and draws.torch_drew:
            raise WorkloadError(
                f"{at.workload}: the module draws from torch's generator in a way that differs from one processor to the other; draw by "
                "dropout, torch.rand, torch.randn or torch.bernoulli, or publish with exactness profile"
            )
        return float(loss.item())


def _staying(module: nn.Module, travelling: Mapping[str, Any]) -> dict[str, Tensor]:
    """Copies of the tensors that do not travel, but for counts of batches, on which nothing depends."""
    return {
        name: one.detach().clone()
        for name, one in (*module.named_parameters(), *module.named_buffers())
        if name not in travelling and not name.endswith(_COUNTS)
    }


def _refuse_counted(workload: str, module: nn.Module) -> None:
    for name, part in module.named_modules():
        averaging = isinstance(part, _AVERAGING) and part.track_running_stats
        if averaging and part.momentum is None:
            raise WorkloadError(
                f"{workload}: {name or 'the module'} averages over a count of batches, which does not travel; give it a momentum"
            )


def _refuse_unlike_float32(workload: str, module: nn.Module) -> None:
    for name, one in (*module.named_parameters(), *module.named_buffers()):
        if one.is_floating_point() and one.dtype != torch.float32:
            raise WorkloadError(
                f"{workload}: {name} is {one.dtype}; exactness profile trains float32 only, so take float32, or exactness portable, which "
                "computes in float64"
            )


def _refuse_computed(workload: str, module: nn.Module, travelling: set[str]) -> None:
    frozen = {name for name, _ in module.named_parameters()}
    for name, one in module.named_buffers():
        if name not in travelling and name not in frozen and _coarse(one):
            raise WorkloadError(
                f"{workload}: the buffer {name} holds {one.dtype} that the module computed, which may differ in the last bits on other "
                "processors; register it as persistent, and it travels with the model"
            )
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            for one in value if isinstance(value, list | tuple) else (value,):
                computed = isinstance(one, Tensor | np.ndarray) and not isinstance(one, nn.Parameter)
                if computed and _coarse(torch.as_tensor(one)):
                    raise WorkloadError(
                        f"{workload}: {'.'.join(filter(None, (path, name)))} is a tensor that the module computed, which may differ in the "
                        "last bits on other processors; register it as a persistent buffer, and it travels with the model"
                    )


def _coarse(tensor: Tensor) -> bool:
    """Whether it has numbers of less than float64 that are not whole."""
    if not tensor.is_floating_point() or tensor.dtype == torch.float64:
        return False
    numbers = tensor.detach()[torch.isfinite(tensor)]
    return not torch.equal(numbers, numbers.round())
