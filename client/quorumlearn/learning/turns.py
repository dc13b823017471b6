"""The global random generators of torch, numpy and Python, lent to one training at a time.

A user's module draws from them: dropout does, from torch's. So that the same seed gives the same bytes:
1. each training has states of its own, which a secret seed fills: all words of a state, where `seed` functions take 32 bits;
2. it takes turns with others of the process: a lock is held, its states are in place, and afterwards those of before are again. A
   turn is a step, so that no scoring waits for a whole training;
3. on a GPU the generator has a seed of 64 bits, of which 63 are drawn.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from quorumlearn.seeds import derive, stream

_WORDS = 624
_lock = threading.RLock()  # user code in a turn may train a workload of its own


@dataclass(frozen=True)
class _States:
    """One state for each generator; None for one that the process has not loaded."""

    python: Any
    numpy: Any
    torch: Any = None
    device: Any = None

    def same(self, other: _States) -> bool:
        return (
            self.python == other.python
            and self.numpy["state"]["pos"] == other.numpy["state"]["pos"]
            and np.array_equal(self.numpy["state"]["key"], other.numpy["state"]["key"])
            and (self.torch is None or other.torch is None or bool((self.torch == other.torch).all()))
        )


class Draws:
    """What one training draws from the global generators, in its turns."""

    def __init__(self, seed: int, purpose: str, device: str = "cpu") -> None:
        """`seed` is any integer; `device` is `cpu`, or the module of torch that has a generator more: `cuda`, `mps`."""
        self._device = device
        self._begin = self._inside = self._seeded(seed, purpose)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else's turn inside, and the global generators as this training left them in its last one."""
        with _lock:
            outside = _now(self._device)
            _put(self._inside, self._device)
            try:
                yield
            finally:
                self._inside = _now(self._device)
                _put(outside, self._device)

    @property
    def drawn(self) -> bool:
        """Whether anything was drawn from a generator of the processor's so far."""
        return not self._begin.same(self._inside)

    @property
    def torch_drew(self) -> bool:
        """Whether anything was drawn from torch's generator on the processor so far."""
        begin, inside = self._begin.torch, self._inside.torch
        return begin is not None and not bool((begin == inside).all())

    def _seeded(self, seed: int, purpose: str) -> _States:
        words = np.frombuffer(stream(8 * _WORDS, f"global {purpose}", seed), dtype="<u4").astype(np.uint32)
        ours = {
            "bit_generator": "MT19937",
            "state": {"key": words[_WORDS:], "pos": _WORDS},
            "has_gauss": 0,
            "gauss": 0.0,
        }
        python = (3, (*(int(word) for word in words[:_WORDS]), _WORDS), None)
        if "torch" not in sys.modules:
            return _States(python, ours)
        from quorumlearn.learning.determinism import generator

        state = generator(seed, f"global {purpose}").get_state()
        if self._device == "cpu":
            return _States(python, ours, state)
        with _lock:
            outside = _now(self._device)
            _of_device(self._device).manual_seed(derive(f"global {purpose}", self._device, seed))
            inside = _of_device(self._device).get_rng_state()
            _put(outside, self._device)
        return _States(python, ours, state, inside)


def _now(device: str) -> _States:
    numpy = np.random.get_state(legacy=False)
    if "torch" not in sys.modules:
        return _States(random.getstate(), numpy)
    import torch

    return _States(
        random.getstate(),
        numpy,
        torch.get_rng_state(),
        None if device == "cpu" else _of_device(device).get_rng_state(),
    )


def _put(states: _States, device: str) -> None:
    random.setstate(states.python)
    np.random.set_state(states.numpy)
    if states.torch is None:
        return
    import torch

    torch.set_rng_state(states.torch)
    if states.device is not None:
        _of_device(device).set_rng_state(states.device)


def _of_device(device: str) -> Any:
    import torch

    return getattr(torch, device)
