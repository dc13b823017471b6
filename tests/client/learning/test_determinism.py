"""Initial models are the same bytes on every processor, and a generator holds all of its seed."""

from __future__ import annotations

import hashlib
import math
import struct

import numpy as np
import pytest
import torch
from quorumlearn import seeds
from quorumlearn.learning import get_workload, to_bytes
from quorumlearn.learning.determinism import generator
from quorumlearn.learning.initial import uniform

PINNED = {
    "mnist-cnn": "963fe31fc3bbf9f1c601bd6dfca4e97cca364a65433edaa5f8d83320d3d30f74",
    "mnist-mlp": "d69f9883f8e1e0f4ba62919bd0918765a5a4002860cf2b9ce7fbe992e0ac9529",
    "mnist-wide": "d9b05dbc91e35a21ccfa8e7d4b7eea01a457a0a98a919962d4ca727194d9744c",
}
"""SHA-256 of the initial models of seed 7: whatever machine these tests run on."""


@pytest.mark.parametrize("name", PINNED)
def test_an_initial_model_has_the_same_bytes_on_every_machine(name: str) -> None:
    model = get_workload(name, {}).initial_model(7)
    assert hashlib.sha256(to_bytes(model)).hexdigest() == PINNED[name]


def test_numbers_are_those_of_plain_python() -> None:
    """24 bits times 24 bits are exact in a double, so that packing it rounds once."""
    bound = math.sqrt(6 / 25)
    factor = struct.unpack("<f", struct.pack("<f", bound / 2**24))[0]
    words = struct.unpack("<600I", seeds.stream(2400, "test", 3))
    expected = [
        struct.unpack("<f", struct.pack("<f", (2 * (word >> 8) + 1 - 2**24) * factor))[0] for word in words
    ]
    assert uniform(3, "test", (4, 150), bound).ravel().tolist() == expected


def test_numbers_fill_the_interval_evenly() -> None:
    drawn = uniform(1, "test", (100_000,), 0.5)
    assert drawn.dtype == np.float32
    assert -0.5 <= drawn.min() < -0.4999
    assert 0.4999 < drawn.max() <= 0.5
    counts, _ = np.histogram(drawn, bins=10, range=(-0.5, 0.5))
    assert np.abs(counts - 10_000).max() < 5 * math.sqrt(10_000)
    assert not np.array_equal(drawn, uniform(2, "test", (100_000,), 0.5))
    assert not np.array_equal(drawn, uniform(1, "other", (100_000,), 0.5))


def test_a_generator_repeats_and_differs_by_every_bit_of_its_seed() -> None:
    secret = 1 << 255 | 12345
    first = torch.rand(8, generator=generator(secret, "order"))
    assert torch.equal(first, torch.rand(8, generator=generator(secret, "order")))
    for other in (secret ^ 1, secret ^ 1 << 32, secret ^ 1 << 254):
        assert not torch.equal(first, torch.rand(8, generator=generator(other, "order")))


def test_a_generators_state_is_all_words_of_its_stream_and_not_a_short_seed() -> None:
    """Torch's own seeding takes 32 bits: two generators seeded alike in these are one."""
    short, long = (torch.Generator().manual_seed(seed) for seed in (5, 5 + (1 << 32)))
    assert torch.equal(torch.rand(8, generator=short), torch.rand(8, generator=long))
    state = np.random.MT19937()
    words = np.frombuffer(seeds.stream(4 * 624, "order", 9), dtype="<u4").astype(np.uint32)
    state.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": 624}}
    source = generator(9, "order")
    ours = [int(torch.randint(0, 1 << 24, (1,), generator=source)) for _ in range(1000)]
    assert ours == [int(word) % (1 << 24) for word in state.random_raw(1000)]
