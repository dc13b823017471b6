"""The one place that makes training repeatable.

Rules:
1. Randomness comes from generator objects seeded by the caller, never from torch's global generator.
2. Training and scoring run on one thread: sums split over threads are added in another order and differ in
   their last bits. Several trainings may run side by side in threads of one process.
3. The same bytes are promised for one version of torch on one type of processor; across types the kernels
   differ in the last bits, which is why re-execution compares within a tolerance.

Source: https://pytorch.org/docs/stable/notes/randomness.html
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from quorumlearn.seeds import derive


def generator(seed: int, purpose: str) -> torch.Generator:
    """A generator of its own for each seed and purpose; any integer is a seed."""
    source = torch.Generator(device="cpu")
    source.manual_seed(derive(purpose, seed))
    return source


@dataclass
class _Outside:
    """Torch's settings to go back to, and how many computations are inside."""

    inside: int = 0
    threads: int = 1
    mode: int = 0


_lock = threading.Lock()
_outside = _Outside()


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
