"""Differentially private training: what one sample can change is clipped and drowned in noise, and the rest is accounted.

Rules:
1. A step draws each sample on its own with probability q = batch_size / n (Poisson sampling, which the accountant
   assumes), clips each sample's gradient over all parameters together to `dp_clip`, adds Gaussian noise of deviation
   dp_noise x dp_clip to the sum and divides by the expected batch size. Opacus clips, adds the noise and accounts for it;
   the samples' gradients come from torch.func, since workloads are functions and not modules.
2. Everything is repeatable from the seed, and so the noise is as secret as the seed: whoever knows it takes the noise
   off again. A miner therefore trains privately from a seed that nobody else can derive, never from the task's.
3. Neighbouring data sets differ by one sample more or less. What is accounted is the whole training: publishing the
   update costs no more, adding updates up with others' or encrypting them only hides more of it.
4. The noise comes from torch's generator, which is no cryptographic one.

Sources: Abadi et al., "Deep Learning with Differential Privacy", https://arxiv.org/abs/1607.00133; Mironov, Talwar,
Zhang, "Renyi Differential Privacy of the Sampled Gaussian Mechanism", https://arxiv.org/abs/1908.10530; Opacus,
https://arxiv.org/abs/2109.12298.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from opacus.accountants import RDPAccountant
from opacus.optimizers import DPOptimizer
from torch import Tensor, func
from torch.nn import functional

from quorumlearn.learning.errors import TrainingError
from quorumlearn.learning.workload import TrainingConfig

Tensors = Mapping[str, Tensor]
Forward = Callable[[Tensors, Tensor], Tensor]

ORDERS = (
    1.01,
    1.02,
    1.05,
    *(1 + x / 10 for x in range(1, 100)),
    *range(11, 64),
    *(2**x for x in range(6, 12)),
)
"""Renyi orders at which the accountant looks for the least epsilon: wider than Opacus' own, for little noise and for much."""


def sampling_rate(config: TrainingConfig, samples: int) -> float:
    """q: the chance of each of `samples` to be in a step's batch."""
    return min(1.0, config.batch_size / samples)


def epsilon(config: TrainingConfig, sample_counts: Iterable[int]) -> float:
    """What one sample's owner loses by several trainings, one for each of `sample_counts`, at the task's dp_delta.

    All of them together are (epsilon, dp_delta)-differentially private (Renyi accounting). TrainingError if the
    configuration is not a private one, or a count is below 1.
    """
    if config.dp_clip is None or config.dp_noise is None:
        raise TrainingError("without dp_clip and dp_noise training is not differentially private")
    accountant = RDPAccountant()
    for samples, times in Counter(sample_counts).items():
        if samples < 1:
            raise TrainingError(f"a training on {samples} samples; there must be at least one")
        steps = times * config.steps(samples)
        accountant.history.append((config.dp_noise, sampling_rate(config, samples), steps))
    if not accountant.history:
        return 0.0
    return float(accountant.get_epsilon(config.dp_delta, alphas=list(ORDERS)))


def poisson_batches(samples: int, rate: float, steps: int, source: torch.Generator) -> Iterator[Tensor]:
    """`steps` batches of indices, int64, in each of which a sample is with probability `rate`; some may be empty."""
    for _ in range(steps):
        yield torch.nonzero(torch.rand(samples, generator=source) < rate).flatten()


def private_optimiser(
    optimiser: torch.optim.Optimizer, config: TrainingConfig, samples: int, source: torch.Generator
) -> DPOptimizer:
    """`optimiser` behind Opacus' clipping and noise. Give it gradients by `leave_gradients`."""
    return DPOptimizer(
        optimiser,
        noise_multiplier=config.dp_noise,
        max_grad_norm=config.dp_clip,
        expected_batch_size=sampling_rate(config, samples) * samples,
        loss_reduction="mean",
        generator=source,
    )


def leave_gradients(forward: Forward, parameters: Tensors, inputs: Tensor, labels: Tensor) -> Tensor:
    """Each sample's gradient of the cross-entropy, left where the private optimiser looks for it; the losses, (b,)."""
    if len(labels) == 0:
        for tensor in parameters.values():
            tensor.grad_sample = torch.zeros((0, *tensor.shape))  # type: ignore[attr-defined]
        return torch.zeros(0)

    def one(current: Tensors, sample: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        loss = functional.cross_entropy(forward(current, sample.unsqueeze(0)), label.unsqueeze(0))
        return loss, loss

    fixed = {name: tensor.detach() for name, tensor in parameters.items()}
    gradients, losses = func.vmap(func.grad(one, has_aux=True), in_dims=(None, 0, 0))(fixed, inputs, labels)
    for name, tensor in parameters.items():
        tensor.grad_sample = gradients[name]  # type: ignore[attr-defined]
    found: Tensor = losses
    return found
