"""Trains a plan step by step, on a grid or not, from one state to another.

All that trains lies in one vector, in the order of names, and so do gradients and the optimiser's vectors: a step is a few operations on
blocks that stay in the processor's cache.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from quorumlearn.learning.data import Data, Samples
from quorumlearn.learning.determinism import repeatable, unfilled
from quorumlearn.learning.errors import ModelError, TrainingError, WorkloadError
from quorumlearn.learning.exact.grid import Grid, Receipt, TieLog, folded
from quorumlearn.learning.exact.plan import Plan, Shapes, Subject
from quorumlearn.learning.exact.streams import Batches
from quorumlearn.learning.exact.stretch import Arrays, NearTie, State, Stretch
from quorumlearn.learning.exact.vectors import BLOCK, Moving, norm, places_of, spans_of
from quorumlearn.learning.model import Model, shapes_of
from quorumlearn.learning.workload import OnStep

_RECEIPT = b"quorumlearn/receipt/1"
_VARIANCE = "running_var"

Vector = NDArray[Any]


class SteppedTraining:
    """See `ExactTraining`."""

    def __init__(self, plan: Plan, grid: Grid | None, profile: str) -> None:
        """`grid`: where training is portable; `profile`: where it is not."""
        self._plan = plan
        self._grid = grid
        self.profile = profile
        self._type: type[np.floating[Any]] = np.float32 if grid is None else np.float64
        layout = plan.layout
        self.weights: Shapes = dict(sorted({**layout.trained, **layout.buffers}.items()))
        self._trained = sum(math.prod(shape) for shape in layout.trained.values())
        self._places = places_of(layout)
        self._spans = spans_of(layout)
        names = {name for one in self._spans if one.rule is not None for name in one.rule.moments}
        self.optimiser: Shapes = dict.fromkeys(sorted(names), (self._trained,))

    def begin(self, base: Model) -> State:
        """See `ExactTraining.begin`. A running variance below 0 is read as 0, as everywhere."""
        if shapes_of(base) != dict(self.weights):
            raise ModelError(f"the model has not the tensors of {self._plan.name}")
        weights = {}
        for name, shape in self.weights.items():
            values = np.array(base[name], dtype=self._type).reshape(shape)
            weights[name] = np.maximum(values, 0) if name.rpartition(".")[2] == _VARIANCE else values
        return State(0, weights, {})

    def run(
        self,
        state: State,
        data: Samples,
        *,
        seed: bytes,
        total: int,
        until: int,
        ties: Sequence[NearTie] | None = None,
        on_step: OnStep | None = None,
    ) -> Stretch:
        """See `ExactTraining.run`."""
        if not 0 <= state.step < until <= total:
            raise TrainingError(
                f"steps {state.step} to {until} of {total}: a stretch has a step at least, and ends with the training at the latest"
            )
        if self._grid is None and ties:
            raise TrainingError("near ties of a training without a grid; it has none")
        batches = Batches(_samples(self._plan.name, data), seed, total, self._plan.epochs)
        moving = Moving(self._vector(state), self._moments(state), self._places)
        log = TieLog(ties, state.step, until, len(moving.weights))
        receipt = hashlib.sha256(_RECEIPT).digest()
        losses, seen = 0.0, 0
        with (
            np.errstate(over="ignore", invalid="ignore"),  # what is not finite is found and refused
            repeatable(),
            unfilled(),
            self._plan.opened(data, seed, _torch_type(self._type)) as subject,
        ):
            self._give(subject, moving)
            for step in range(state.step, until):
                batch = batches.of(step)
                before = moving.weights.copy() if step == state.step else None
                loss = subject.learn(batch, step)
                if before is not None and before.tobytes() != moving.weights.tobytes():
                    raise WorkloadError(
                        f"{self._plan.name}: the module changes its parameters itself, past the grid; leave that to the optimiser, or "
                        "compute what it needs of them anew in each call"
                    )
                losses, seen = losses + loss * len(batch), seen + len(batch)
                chained = hashlib.sha256(receipt + step.to_bytes(8, "big"))
                moving.gather(subject.parameters)
                self._move(moving, step, log, chained)
                self._settle(subject, moving, step, log, chained)
                self._lend(subject, moving)
                receipt = chained.digest()
                if on_step is not None:
                    on_step(step + 1, total)
        if not all(np.isfinite(one).all() for one in (moving.weights, *moving.moments.values())):
            raise TrainingError(
                f"{self._plan.name}: weights are not finite after step {until} of {total}: lower learning_rate"
            )
        end = State(until, self._named(moving.weights), dict(moving.moments))
        return Stretch(end, tuple(log.entries), receipt, losses / seen)

    def gradients(
        self, state: State, data: Samples, *, seed: bytes, total: int
    ) -> tuple[dict[str, Vector], dict[str, Vector]]:
        """What the next step computes before anything is rounded: gradients, and buffers after it, by name. For measurements of how far
        processors differ."""
        batches = Batches(_samples(self._plan.name, data), seed, total, self._plan.epochs)
        moving = Moving(self._vector(state), self._moments(state), self._places)
        with repeatable(), unfilled(), self._plan.opened(data, seed, _torch_type(self._type)) as subject:
            self._give(subject, moving)
            subject.learn(batches.of(state.step), state.step)
            found = {
                name: np.zeros(one.shape) if one.grad is None else one.grad.cpu().numpy().copy()
                for name, one in subject.parameters.items()
            }
            kept = {
                name: subject.buffer(name).detach().cpu().numpy().copy() for name in self._plan.layout.buffers
            }
        return found, kept

    def _move(self, moving: Moving, step: int, log: TieLog, receipt: Receipt) -> None:
        """Round the gradient, and move by it."""
        for span in self._spans:
            whole, offset = moving.gradient_of(span)
            for start in range(span.start, span.end, BLOCK):
                end = min(start + BLOCK, span.end)
                block = whole[start - offset : end - offset]
                if self._grid is None:
                    receipt.update(folded(block))
                else:
                    what = f"{self._plan.name}: the gradient of step {step + 1}"
                    noise = self._grid.noise(what, norm(block))
                    block = self._grid.put(block, noise, step, start, log, receipt, moving.room)
                if span.rule is not None:
                    here = slice(start, end)
                    moments = {name: moving.moments[name][here] for name in span.rule.moments}
                    span.rule.move(moving.weights[here], block, moments, step, moving.spare(len(block)))

    def _settle(self, subject: Subject, moving: Moving, step: int, log: TieLog, receipt: Receipt) -> None:
        """Put buffers on the grid, where there is one."""
        for name in self._plan.layout.buffers:
            here, shape = self._places[name], self.weights[name]
            buffer = subject.buffer(name)
            kept = moving.weights[here]
            if tuple(buffer.shape) != shape:
                raise ModelError(
                    f"{self._plan.name}: {name} is of shape {tuple(buffer.shape)}, and was {shape}; a module must keep its tensors"
                )
            was = float(np.abs(kept).max(initial=0.0))
            kept[:] = buffer.detach().reshape(-1).cpu().numpy()
            if self._grid is None:
                receipt.update(kept)
                continue
            largest = float(np.abs(kept).max(initial=0.0))
            grid = self._grid.for_buffer(was, largest)
            noise = grid.noise(f"{self._plan.name}: {name} after step {step + 1}", largest)
            for start in range(0, len(kept), BLOCK):
                part = kept[start : start + BLOCK]
                part[:] = grid.put(part, noise, step, here.start + start, log, receipt, moving.room)
            with torch.no_grad():
                buffer.copy_(torch.from_numpy(kept).reshape(shape))

    def _give(self, subject: Subject, moving: Moving) -> None:
        """Have the subject's parameters lie in the vector of weights, and its buffers hold theirs."""
        whole = torch.from_numpy(moving.weights)
        for name, parameter in subject.parameters.items():
            if parameter.device.type == "cpu":
                parameter.data = whole[self._places[name]].view(self.weights[name])
        self._lend(subject, moving)
        with torch.no_grad():
            for name in self._plan.layout.buffers:
                subject.buffer(name).copy_(whole[self._places[name]].view(self.weights[name]))

    def _lend(self, subject: Subject, moving: Moving) -> None:
        """Copy the weights to parameters that lie on another device."""
        for name, parameter in subject.parameters.items():
            if parameter.device.type != "cpu":
                values = torch.from_numpy(moving.weights[self._places[name]])
                parameter.data.copy_(values.view(self.weights[name]))

    def _vector(self, state: State) -> Vector:
        self._refuse_unlike("weights", state.weights, self.weights)
        whole = np.empty(sum(math.prod(shape) for shape in self.weights.values()), dtype=self._type)
        for name, here in self._places.items():
            whole[here] = state.weights[name].reshape(-1)
        return whole

    def _moments(self, state: State) -> dict[str, Vector]:
        self._refuse_unlike("optimiser", state.optimiser, self.optimiser if state.step else {})
        if not state.step:
            return {name: np.zeros(self._trained, dtype=self._type) for name in self.optimiser}
        return {name: np.array(state.optimiser[name]) for name in self.optimiser}

    def _refuse_unlike(self, what: str, arrays: Arrays, shapes: Shapes) -> None:
        if {name: one.shape for name, one in arrays.items()} != dict(shapes):
            raise ModelError(f"the state's {what} have not the tensors of {self._plan.name}")
        for name, one in arrays.items():
            if one.dtype != self._type or not np.isfinite(one).all():
                raise ModelError(
                    f"the state's {what}: {name} is {one.dtype}; it must be {self._type.__name__} and finite"
                )

    def _named(self, whole: Vector) -> dict[str, Vector]:
        return {name: whole[self._places[name]].reshape(shape).copy() for name, shape in self.weights.items()}


def _samples(workload: str, data: Data) -> Samples:
    if not isinstance(data, Samples):
        raise WorkloadError(f"{workload}: an exact training takes Samples, not {type(data).__name__}")
    if len(data) == 0:
        raise TrainingError("there are no samples; a chunk must hold at least one")
    return data


def _torch_type(of: type[np.floating[Any]]) -> torch.dtype:
    return torch.float32 if of is np.float32 else torch.float64
