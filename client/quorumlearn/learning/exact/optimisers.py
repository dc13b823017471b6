"""SGD with momentum and Adam as elementwise operations that are rounded one by one.

Torch's own fuse a multiplication and an addition (FMA) on AVX2 and AVX-512 and not on the default path, and then their last bits
differ: no `add(alpha)`, `addcmul`, `lerp` here. Each numpy operation below is one that IEEE 754 fixes to the bit.

Sources: `torch.optim.SGD`, `torch.optim.Adam` and `torch.optim.AdamW`, whose formulas these follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[Any]

_TINY = 1.5 * 2.0**-500
_TINY_32 = 1.5 * 2.0**-80
_SWEEP = 16


class Rule(Protocol):
    """How a block of weights moves."""

    @property
    def moments(self) -> tuple[str, ...]:
        """The names of the vectors that it keeps, each as long as the weights and 0 at first."""
        ...

    def move(
        self,
        weights: Vector,
        gradient: Vector,
        moments: dict[str, Vector],
        step: int,
        room: tuple[Vector, Vector],
    ) -> None:
        """Step number `step`, from 0: weights and moments change, and gradient and both vectors of `room` hold anything afterwards."""
        ...


@dataclass(frozen=True)
class Sgd:
    """`torch.optim.SGD`."""

    rate: float
    momentum: float = 0.0
    dampening: float = 0.0
    decay: float = 0.0
    nesterov: bool = False
    maximise: bool = False

    @property
    def moments(self) -> tuple[str, ...]:
        return ("momentum",) if self.momentum else ()

    def move(
        self,
        weights: Vector,
        gradient: Vector,
        moments: dict[str, Vector],
        step: int,
        room: tuple[Vector, Vector],
    ) -> None:
        scaled, _ = room
        if self.maximise:
            np.negative(gradient, out=gradient)
        if self.decay:
            _add_scaled(gradient, weights, self.decay, scaled)
        direction = gradient
        if self.momentum:
            kept = moments["momentum"]
            np.multiply(kept, self.momentum, out=kept)
            if self.dampening and step:
                _add_scaled(kept, gradient, 1 - self.dampening, scaled)
            else:
                np.add(kept, gradient, out=kept)
            _sweep(kept, step)
            if self.nesterov:
                _add_scaled(gradient, kept, self.momentum, scaled)
            else:
                direction = kept
        np.multiply(direction, self.rate, out=scaled)
        np.subtract(weights, scaled, out=weights)


@dataclass(frozen=True)
class Adam:
    """`torch.optim.Adam`, and where `decoupled` `torch.optim.AdamW`."""

    rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    decay: float = 0.0
    largest: bool = False
    decoupled: bool = False
    maximise: bool = False

    @property
    def moments(self) -> tuple[str, ...]:
        return ("first", "second", "largest") if self.largest else ("first", "second")

    def move(
        self,
        weights: Vector,
        gradient: Vector,
        moments: dict[str, Vector],
        step: int,
        room: tuple[Vector, Vector],
    ) -> None:
        scaled, root = room
        first, second = moments["first"], moments["second"]
        of_first, of_second = self.betas
        if self.maximise:
            np.negative(gradient, out=gradient)
        if self.decay and self.decoupled:
            np.multiply(weights, 1 - self.rate * self.decay, out=weights)
        elif self.decay:
            _add_scaled(gradient, weights, self.decay, scaled)
        np.multiply(first, of_first, out=first)
        _add_scaled(first, gradient, 1 - of_first, scaled)
        np.multiply(gradient, gradient, out=gradient)
        np.multiply(second, of_second, out=second)
        _add_scaled(second, gradient, 1 - of_second, scaled)
        _sweep(first, step)
        _sweep(second, step)
        if self.largest:
            np.maximum(moments["largest"], second, out=moments["largest"])
            second = moments["largest"]
        np.divide(second, 1 - _power(of_second, step + 1), out=root)
        np.sqrt(root, out=root)
        np.add(root, self.epsilon, out=root)
        np.multiply(first, self.rate / (1 - _power(of_first, step + 1)), out=scaled)
        np.divide(scaled, root, out=scaled)
        np.subtract(weights, scaled, out=weights)


def _add_scaled(to: Vector, values: Vector, factor: float, scaled: Vector) -> None:
    np.multiply(values, factor, out=scaled)
    np.add(to, scaled, out=to)


def _sweep(moment: Vector, step: int) -> None:
    """Now and then take away what has shrunk to nearly nothing: below 2^-1022 processors calculate slowly, and some libraries have them
    calculate with 0 instead."""
    if step % _SWEEP == _SWEEP - 1:
        tiny = _TINY if moment.dtype == np.float64 else _TINY_32
        np.add(moment, tiny, out=moment)
        np.subtract(moment, tiny, out=moment)


def _power(base: float, exponent: int) -> float:
    """By multiplications, which are the same everywhere; `**` is what the platform's library has."""
    power = 1.0
    while exponent:
        if exponent & 1:
            power *= base
        base *= base
        exponent >>= 1
    return power
