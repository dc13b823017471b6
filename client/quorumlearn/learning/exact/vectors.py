"""The vectors of a training under way, and their division into blocks that are worked on together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from quorumlearn.learning.exact.grid import Room
from quorumlearn.learning.exact.optimisers import Rule
from quorumlearn.learning.exact.plan import Layout

BLOCK = 1 << 15
"""Numbers that are worked on together. Receipts depend on it, as on `grid.FOLD`: all who replay have the same."""
_ALONE = 1 << 13

Vector = NDArray[Any]


@dataclass(frozen=True)
class Span:
    """Neighbouring coordinates that move by one rule."""

    start: int
    end: int
    rule: Rule | None
    parameter: str | None = None
    """The one parameter that they are, if it is large enough to be worked on where its gradient lies."""


class Moving:
    """The vectors of a training under way: weights and then buffers, gradient, and the optimiser's."""

    def __init__(self, weights: Vector, moments: dict[str, Vector], places: Mapping[str, slice]) -> None:
        self.weights = weights
        self.moments = moments
        self.room = Room(BLOCK)
        self._places = places
        self._gradient: Vector = np.empty(len(weights), dtype=weights.dtype)
        self._large: dict[str, Vector] = {}
        self._spare = np.empty((2, BLOCK), dtype=weights.dtype)

    def gather(self, parameters: Mapping[str, torch.Tensor]) -> None:
        """Take the gradients out of the parameters; one that has none has 0."""
        for name, one in parameters.items():
            here = self._places[name]
            if one.grad is None:
                self._gradient[here] = 0
                self._large[name] = self._gradient[here]
                continue
            flat: Vector = one.grad.reshape(-1).cpu().numpy()
            if len(flat) > BLOCK:
                self._large[name] = flat
            else:
                self._gradient[here] = flat
            one.grad = None

    def gradient_of(self, span: Span) -> tuple[Vector, int]:
        """A vector that holds the gradient of a span, and the coordinate of its first number."""
        return (self._gradient, 0) if span.parameter is None else (self._large[span.parameter], span.start)

    def spare(self, count: int) -> tuple[Vector, Vector]:
        return self._spare[0, :count], self._spare[1, :count]


def norm(block: Vector) -> float:
    """Which is as large as the largest value at least, and one pass. In parts so short that no library takes threads for them."""
    parts = (block[start : start + _ALONE] for start in range(0, len(block), _ALONE))
    return math.sqrt(sum(float(np.dot(part, part)) for part in parts))


def places_of(layout: Layout) -> dict[str, slice]:
    places, at = {}, 0
    for shapes in (layout.trained, layout.buffers):
        for name, shape in shapes.items():
            places[name] = slice(at, at + math.prod(shape))
            at += math.prod(shape)
    return places


def spans_of(layout: Layout) -> tuple[Span, ...]:
    spans: list[Span] = []
    at = 0
    for name, shape in layout.trained.items():
        rule, end = layout.rules[name], at + math.prod(shape)
        if end - at > BLOCK:
            spans.append(Span(at, end, rule, name))
        elif spans and spans[-1].rule == rule and spans[-1].parameter is None:
            spans[-1] = Span(spans[-1].start, end, rule)
        else:
            spans.append(Span(at, end, rule))
        at = end
    return tuple(spans)
