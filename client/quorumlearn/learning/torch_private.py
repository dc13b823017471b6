"""Differentially private steps of any module that Opacus supports; the rules are those of `learning.privacy`.

Rules beside them:
1. The gradient of a sample must be its own. Opacus refuses modules that mix samples as it knows them, by type (BatchNorm); whatever else
   mixes them is found by changing a sample's company: its output must stay.
2. Each sample's loss is computed alone, so that no loss mixes them either.
3. No noise covers buffers: one that travels may not change.

Source: Opacus, https://arxiv.org/abs/2109.12298.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.validators import ModuleValidator
from torch import Tensor, nn

from quorumlearn.learning import privacy
from quorumlearn.learning.data import Samples
from quorumlearn.learning.determinism import generator
from quorumlearn.learning.errors import ModelError, WorkloadError
from quorumlearn.learning.own_code import own_code
from quorumlearn.learning.torch_samples import as_inputs, as_targets, each_loss
from quorumlearn.learning.torch_step import Step
from quorumlearn.learning.turns import Draws
from quorumlearn.seeds import derive

_INSTEAD = {
    "BatchNorm": "nn.GroupNorm",
    "SyncBatchNorm": "nn.GroupNorm",
    "InstanceNorm": "nn.InstanceNorm without track_running_stats",
    "LSTM": "opacus.layers.DPLSTM",
    "GRU": "opacus.layers.DPGRU",
    "MultiheadAttention": "opacus.layers.DPMultiheadAttention",
}
_PROBED = 4

warnings.filterwarnings(
    "ignore", message="Full backward hook is firing"
)  # Opacus' hooks look at what needs no gradient


def refuse_unsupported(workload: str, module: nn.Module) -> None:
    """WorkloadError names the first layer that cannot be trained privately, and what to put in its place."""
    was = module.training
    module.train()
    try:
        for name, layer in module.named_modules():
            check = ModuleValidator.VALIDATORS.get(type(layer))
            if check is not None and any(one.requires_grad for one in layer.parameters()) and check(layer):
                kind = type(layer).__name__
                instead = next(
                    (new for old, new in _INSTEAD.items() if kind.startswith(old)), "another layer"
                )
                raise WorkloadError(
                    f"{workload}: {name or 'the module'} is a {kind}, which cannot be trained privately; use {instead} in its place, "
                    "or publish without dp_clip and dp_noise"
                )
        for name, layer in module.named_modules():
            own = any(one.requires_grad for one in layer.parameters(recurse=False))
            if own and next(layer.buffers(), None) is not None:
                raise WorkloadError(
                    f"{workload}: {name or 'the module'} has parameters and buffers of its own, which Opacus does not support; "
                    "put the buffers into a layer of their own, or publish without dp_clip and dp_noise"
                )
    finally:
        module.train(was)


def private_steps(
    step: Step, optimiser: torch.optim.Optimizer, data: Samples, seed: int, draws: Draws
) -> Iterator[tuple[int, float]]:
    """Take all steps; after each its number of samples and the sum of their losses."""
    count, config = len(data), step.config
    way_out = "this module cannot be trained privately; correct it, or publish without dp_clip and dp_noise"
    with draws.turn():
        _refuse_mixing(step, data, seed)
        with own_code(step.workload, "Opacus", way_out, ModelError):
            watched = GradSampleModule(step.module, batch_first=True, loss_reduction="mean", strict=True)
            noisy = privacy.private_optimiser(optimiser, config, count, _noise(seed, step.device))
    parameters = [one for group in optimiser.param_groups for one in group["params"]]
    rate, steps = privacy.sampling_rate(config, count), config.steps(count)
    for batch in privacy.poisson_batches(count, rate, steps, generator(seed, "batches")):
        with draws.turn():
            noisy.zero_grad()
            losses = _backward(step, watched, data, batch) if len(batch) else torch.zeros(0)
            for one in parameters:
                if getattr(one, "grad_sample", None) is None:  # no sample, or none of them used it
                    one.grad_sample = torch.zeros(
                        (len(batch), *one.shape), device=one.device, dtype=one.dtype
                    )
            with own_code(step.workload, "the private step", way_out, ModelError):
                noisy.step()
        yield len(batch), float(losses.sum().item())
    watched.remove_hooks()


def _backward(step: Step, watched: nn.Module, data: Samples, batch: Tensor) -> Tensor:
    """Leave each sample's gradient where the private optimiser looks for it; the losses (b,)."""
    inputs = as_inputs(data.inputs[batch.numpy()], step.dtype, step.device)
    targets = as_targets(data.targets[batch.numpy()], step.dtype, step.device)
    outputs = step.forward(watched, inputs)
    losses = each_loss(step.workload, step.loss, outputs, targets)
    step.backward(losses.mean())
    return losses.detach()


def _refuse_mixing(step: Step, data: Samples, seed: int) -> None:
    """ModelError if the output of a sample depends on which others are in its batch."""
    first = np.arange(min(_PROBED, len(data)))
    company, alone = data.inputs[first], data.inputs[np.zeros_like(first)]
    if len(first) < 2:
        company = np.concatenate([company, np.zeros_like(company)])
        alone = np.concatenate([alone, alone])
    seen: list[Tensor] = []
    module = copy.deepcopy(step.module)
    for inputs in (company, alone):
        with Draws(seed, "probe", step.device).turn(), torch.no_grad():
            outputs = step.forward(module, as_inputs(inputs, step.dtype, step.device))
            seen.append(outputs[0].cpu())
    if not torch.allclose(seen[0], seen[1], rtol=1e-3, atol=1e-5, equal_nan=True):
        raise ModelError(
            f"{step.workload}: what the module gives for a sample depends on the others of its batch, so it cannot be trained privately; "
            "take what mixes them out (a BatchNorm, or a mean over the batch), or publish without dp_clip and dp_noise"
        )


def _noise(seed: int, device: str) -> torch.Generator:
    if device == "cpu":
        return generator(seed, "noise")
    return torch.Generator(device=device).manual_seed(derive("noise", device, seed))
