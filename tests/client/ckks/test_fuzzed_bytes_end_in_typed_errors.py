"""The fuzzer's targets hold for a few thousand mutations in every test run (docs/cost.md has the long run)."""

from __future__ import annotations

import pytest
from quorumlearn import ckks

from benchmarks.encrypted_aggregation import fuzz


def test_mutated_containers_end_in_values_or_typed_errors() -> None:
    found = fuzz.batch(seed=20, count=2000)
    assert found.total() == 2000
    for target in fuzz.targets():
        assert fuzz.feed(target, target.good) == "value"
        refused = {end for name, end in found if name == target.name} - {"value"}
        assert refused
        assert refused <= {error.__name__ for error in target.errors}


def test_the_fuzzer_sees_a_reader_that_fails_otherwise() -> None:
    def careless(data: bytes) -> None:
        raise IndexError(len(data))

    target = fuzz.Target("careless", b"x", careless, (ckks.MalformedCiphertext,))
    with pytest.raises(fuzz.Unexpected, match="careless: IndexError"):
        fuzz.feed(target, b"abc")
