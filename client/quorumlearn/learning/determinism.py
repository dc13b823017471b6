"""The one place that makes training repeatable.

Rules:
1. Randomness comes from generator objects seeded by the caller, never from torch's global generator.
2. Training and scoring run on one thread: sums split over threads are added in another order and differ in
   their last bits. Several trainings may run side by side in threads of one process.
3. The same bytes are promised for one version of torch on one type of processor; across types the kernels
   differ in the last bits, which is why re-execution compares within a tolerance.
4. A generator holds all of its seed. Torch's `manual_seed` takes 32 bits of what it is given, so few that a secret seed could be tried out.

Source: https://pytorch.org/docs/stable/notes/randomness.html
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils import deterministic

from quorumlearn.seeds import stream

_WORDS, _WORDS_AT = 624, 24
"""Words of the state of torch's generator (MT19937), each in 8 bytes, and where they begin in `get_state`."""


def generator(seed: int, purpose: str) -> torch.Generator:
    """A generator of its own for each seed and purpose; any integer is a seed."""
    source = torch.Generator(device="cpu").manual_seed(0)  # all words are made anew before the first is used
    state = source.get_state().numpy()
    words = np.frombuffer(stream(4 * _WORDS, purpose, seed), dtype="<u4").astype(np.uint64)
    state[_WORDS_AT : _WORDS_AT + words.nbytes] = words.view(np.uint8)
    source.set_state(torch.from_numpy(state))
    return source


@dataclass
class _Outside:
    """Torch's settings to go back to, and how many computations are inside."""

    inside: int = 0
    threads: int = 1
    mode: int = 0


_lock = threading.Lock()
_outside = _Outside()
_unfilled = _Outside()


@contextmanager
def repeatable() -> Iterator[None]:
    """One thread and deterministic algorithms inside; the settings of before when the last one leaves.

    `torch.use_deterministic_algorithms` would do the same, and import torch's compiler: a second, and 150 MB in each process.
    """
    with _lock:
        if _outside.inside == 0:
            _outside.threads = torch.get_num_threads()
            _outside.mode = torch.get_deterministic_debug_mode()
        _outside.inside += 1
        torch.set_num_threads(1)
        torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        with _lock:
            _outside.inside -= 1
            if _outside.inside == 0:
                torch.set_num_threads(_outside.threads)
                torch.set_deterministic_debug_mode(_outside.mode)


@contextmanager
def unfilled() -> Iterator[None]:
    """Within `repeatable`: memory that torch hands out is not filled first, which takes up to a tenth of a training's time."""
    with _lock:
        if _unfilled.inside == 0:
            _unfilled.mode = int(deterministic.fill_uninitialized_memory)  # type: ignore[attr-defined]
        _unfilled.inside += 1
        _fill(False)
    try:
        yield
    finally:
        with _lock:
            _unfilled.inside -= 1
            if _unfilled.inside == 0:
                _fill(bool(_unfilled.mode))


def _fill(filled: bool) -> None:
    deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]


def first_step() -> None:
    """One step of an optimiser, on nothing: torch's optimisers import its compiler when they first take one."""
    parameter = torch.zeros(1, requires_grad=True)
    torch.optim.SGD([parameter], lr=1.0).step()
