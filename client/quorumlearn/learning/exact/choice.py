"""Which workloads can be trained exactly, and how: nothing of torch is imported before one is asked for."""

from __future__ import annotations

from quorumlearn.learning.errors import WorkloadError
from quorumlearn.learning.exact.grid import Grid
from quorumlearn.learning.exact.stretch import ExactTraining
from quorumlearn.learning.libraries import library_of
from quorumlearn.learning.mnist import MnistWorkload
from quorumlearn.learning.workload import Workload


def exact_training(workload: Workload, *, portable: bool, grid_bits: int) -> ExactTraining:
    """How to train `workload` so that it can be replayed: everywhere if `portable`, otherwise within one numeric profile.

    grid_bits: gradients are multiples of 2^-grid_bits; read only if `portable`.

    WorkloadError, with the way out, for a workload or a configuration that cannot be.
    """
    if workload.config.private:
        raise WorkloadError(
            f"{workload.name}: private training cannot be replayed, for its noise is secret; leave dp_clip and dp_noise out, or publish a "
            "task of mode robust"
        )
    grid = Grid.of(grid_bits) if portable else None
    with library_of(f"exact training of {workload.name}"):
        from quorumlearn.learning.exact.mnist_plan import MnistPlan
        from quorumlearn.learning.exact.plan import Plan
        from quorumlearn.learning.exact.profile import numeric_profile
        from quorumlearn.learning.exact.torch_plan import TorchPlan
        from quorumlearn.learning.exact.training import SteppedTraining
        from quorumlearn.learning.torch_workload import ConfiguredTorch
    plan: Plan
    if isinstance(workload, MnistWorkload):
        plan = MnistPlan(workload)
    elif isinstance(workload, ConfiguredTorch):
        plan = TorchPlan(workload, portable=portable)
    else:
        raise WorkloadError(
            f"{workload.name}: a {type(workload).__name__} cannot be trained exactly; describe the model as a TorchWorkload, or publish a "
            "task of mode robust"
        )
    return SteppedTraining(plan, grid, "" if portable else numeric_profile())
