"""What the owner and f colluders can read of an honest miner's update, computed from a task's specification alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from quorumlearn_proto.derived import least_aggregate
from quorumlearn_proto.task_pb2 import TaskSpec


@dataclass(frozen=True)
class Exposure:
    """Of each value of an update, in each round whose sum is opened.

    `colluders` is f; `level` how many of one weight a sum holds at least; `honest` of how many honest values the colluders read the
    sum; `bound` what a value lies within, `step` the grid it lies on; `noise` the deviation of what private training adds to each
    step's sum of gradients, 0 where it is not private; `regrouped` whether each round opens sums of other groups of miners.
    """

    colluders: int
    level: int
    honest: int
    bound: float
    step: float
    noise: float
    regrouped: bool

    @property
    def sentence(self) -> str:
        hidden = (
            f"training adds noise of deviation {self.noise:g} to each step's sum of gradients"
            if self.noise
            else "training adds no noise"
        )
        return (
            f"the owner and {self.colluders} colluders read of an honest value at best the sum of {self.honest} honest ones, each within "
            f"±{self.bound:g} in steps of {self.step:.3g}; {hidden}" + (_REGROUPED if self.regrouped else "")
        )

    def as_fields(self) -> dict[str, object]:
        return {**asdict(self), "sentence": self.sentence}


_REGROUPED = (
    "; each round opens sums of other groups, so many rounds show what a miner's updates have in common"
)


def exposure_of(spec: TaskSpec) -> Exposure:
    """What a task's specification, which the contracts have taken, lets colluders read."""
    level, config = least_aggregate(spec), spec.workload.config
    step = 2.0**-spec.ckks.step_bits
    return Exposure(
        colluders=spec.byzantine,
        level=level,
        honest=level - spec.byzantine,
        bound=spec.ckks.bound_steps * step,
        step=step,
        noise=float(config.get("dp_noise", "0")) * float(config.get("dp_clip", "0")),
        regrouped=spec.reward.by_contribution,
    )
