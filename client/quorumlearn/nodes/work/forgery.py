"""What a cheating miner does where trainings are replayed: another training than its own, or a trace of none.

An honest miner's work passes through `altered` as it is. A forged trace has as many checkpoints as an honest one, each leads to its root,
and the last gives exactly the update that is submitted. So only replaying its segments shows it, which is what cheats are here to try.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks, learning
from quorumlearn.attacks import Behaviour
from quorumlearn.learning import OnStep
from quorumlearn.learning.exact import ExactTraining, NearTie, State, Stretch
from quorumlearn.nodes import adversary
from quorumlearn.nodes.models import workload_of
from quorumlearn.nodes.work import exactness
from quorumlearn.replay import Work

_NOTHING_REPLAYED = bytes(32)
MOST_RATE = 10.0
"""What a workload takes as its learning rate at most."""


def trains(behaviour: Behaviour) -> bool:
    """Whether its trace begins with a training, its own or another's."""
    return behaviour.trains and behaviour.tampering != "replay-plaintext"


def altered(behaviour: Behaviour, view: b.TaskView, work: Work) -> Work:
    """What a miner of this behaviour does in the place of its work; an honest one does its work."""
    spec = view.task.spec
    match behaviour.spoofs:
        case "skipper":
            skipping = Skipping(work.training, behaviour.degree, work.seed)
            return replace(work, training=skipping)
        case "other-seed":
            return replace(work, seed=hashlib.sha256(work.seed).digest())
        case "other-rate":
            return replace(work, training=exactness.training_of(_with_rate(spec, behaviour.degree)))
        case "other-data":
            return replace(work, data=_fewer(work.data))
    if behaviour.poisons:
        seed = adversary.seed_of(spec, "", view.round.number)
        data = adversary.poisoned(behaviour, work.data, seed)
        assert isinstance(data, learning.Samples)
        return replace(work, data=data)
    return work


def towards(work: Work, parameters: ckks.Parameters, values: NDArray[np.int64]) -> Work:
    """A work that trains nothing, and whose last checkpoint gives these values, grid steps (d,)."""
    moved = np.ldexp(values.astype(np.float64), -parameters.step_bits)
    target, start = {}, 0
    for name in sorted(work.base):
        tensor = work.base[name]
        part = moved[start : start + tensor.size].reshape(tensor.shape)
        target[name], start = tensor.astype(np.float64) + part, start + tensor.size
    return replace(work, training=Interpolating(work.training, target))


@dataclass(frozen=True)
class _Idle:
    """An exact training that does less than another one, `inner`."""

    inner: ExactTraining

    @property
    def profile(self) -> str:
        return self.inner.profile

    @property
    def weights(self) -> Mapping[str, tuple[int, ...]]:
        return self.inner.weights

    @property
    def optimiser(self) -> Mapping[str, tuple[int, ...]]:
        return self.inner.optimiser

    def begin(self, base: learning.Model) -> State:
        return self.inner.begin(base)

    def _after(self, state: State, until: int, weights: Mapping[str, NDArray[np.floating]]) -> Stretch:
        """A stretch that was not trained; an optimiser that has seen nothing stands at zero."""
        (dtype,) = {one.dtype for one in state.weights.values()}
        optimiser = dict(state.optimiser) or {
            name: np.zeros(shape, dtype=dtype) for name, shape in self.optimiser.items()
        }
        end = State(until, {name: one.astype(dtype) for name, one in weights.items()}, optimiser)
        return Stretch(end, (), _NOTHING_REPLAYED, 0.0)


@dataclass(frozen=True)
class Skipping(_Idle):
    """Trains all segments but a `share` of them, drawn from the seed, which it passes over."""

    share: float
    seed: bytes

    def run(
        self,
        state: State,
        data: learning.Samples,
        *,
        seed: bytes,
        total: int,
        until: int,
        ties: Sequence[NearTie] | None = None,
        on_step: OnStep | None = None,
    ) -> Stretch:
        drawn = hashlib.sha256(self.seed + state.step.to_bytes(8, "big")).digest()
        if int.from_bytes(drawn[:8], "big") < self.share * 2**64:
            return self._after(state, until, state.weights)
        return self.inner.run(state, data, seed=seed, total=total, until=until, ties=ties, on_step=on_step)


@dataclass(frozen=True)
class Interpolating(_Idle):
    """Goes from the base to other weights in a straight line."""

    target: Mapping[str, NDArray[np.float64]]

    def run(
        self,
        state: State,
        data: learning.Samples,
        *,
        seed: bytes,
        total: int,
        until: int,
        ties: Sequence[NearTie] | None = None,
        on_step: OnStep | None = None,
    ) -> Stretch:
        if until == total:
            return self._after(state, until, self.target)
        part = (until - state.step) / (total - state.step)
        return self._after(
            state,
            until,
            {name: one + part * (self.target[name] - one) for name, one in state.weights.items()},
        )


def _with_rate(spec: TaskSpec, factor: float) -> TaskSpec:
    """The task with another learning rate."""
    changed = TaskSpec()
    changed.CopyFrom(spec)
    own = workload_of(spec).config.learning_rate
    changed.workload.config["learning_rate"] = str(min(MOST_RATE, own * factor))
    return changed


def _fewer(data: learning.Samples) -> learning.Samples:
    """Half of the samples, each twice: as many steps, on less."""
    half = np.resize(np.arange(max(1, len(data) // 2)), len(data))
    return data.take(half)
