"""Which t shares are combined: the lowest that fit together, the same for everybody."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn import ckks
from quorumlearn.nodes.subsets import MAX_SUBSETS, first_that_opens, subsets

SEED = b"subsets"
VALUES = np.arange(-350, 350, dtype=np.int64)


@given(st.sets(st.integers(1, 16), max_size=10), st.integers(1, 6))
def test_subsets_are_sorted_distinct_and_no_more_than_allowed(seats: set[int], threshold: int) -> None:
    found = list(subsets(seats, threshold))
    assert found == sorted(set(found))
    assert len(found) <= MAX_SUBSETS
    assert all(len(one) == threshold and set(one) <= seats and list(one) == sorted(one) for one in found)
    assert found == list(subsets(sorted(seats, reverse=True), threshold))


def test_many_seats_do_not_mean_endless_attempts() -> None:
    assert len(list(subsets(range(1, 17), 8))) == MAX_SUBSETS


@pytest.fixture(scope="module")
def opening() -> tuple[ckks.Parameters, ckks.Ciphertexts, dict[int, bytes], dict[int, bytes]]:
    """Parameters, a ciphertext, its partial decryptions by seat, and those of another key."""
    p = ckks.Parameters.choose(len(VALUES), seats=3, threshold=2, max_weight_sum=4, sketch_size=64)

    def ceremony() -> tuple[bytes, dict[int, bytes]]:
        drawn = {seat: ckks.new_key_share(p, SEED) for seat in (1, 2, 3)}
        dealt = [ckks.deal(p, one.secret, (1, 2, 3)) for one in drawn.values()]
        key = ckks.collective_key(p, SEED, {seat: one.public for seat, one in drawn.items()})
        return key, {seat: ckks.sum_shares(p, [part[seat] for part in dealt]) for seat in (1, 2, 3)}

    key, shares = ceremony()
    total = ckks.aggregate(p, [(1, ckks.parse(p, ckks.encrypt(p, key, VALUES)))])
    good = {seat: ckks.partial_decrypt(p, share, total) for seat, share in shares.items()}
    bad = {seat: ckks.partial_decrypt(p, share, total) for seat, share in ceremony()[1].items()}
    return p, total, good, bad


Opening = tuple[ckks.Parameters, ckks.Ciphertexts, dict[int, bytes], dict[int, bytes]]


def attempt(opening: Opening, partials: Mapping[int, bytes]) -> bool:
    return bool((first_that_opens(opening[0], opening[1], partials) == VALUES).all())


@pytest.mark.parametrize("seat", [1, 2, 3])
@pytest.mark.parametrize("kind", ["another key's", "cut off", "empty", "missing"])
def test_one_seat_of_three_cannot_keep_the_aggregate_closed(opening: Opening, seat: int, kind: str) -> None:
    good = opening[2]
    wrong = {"another key's": opening[3][seat], "cut off": good[seat][:-1], "empty": b""}
    partials = {**good, seat: wrong[kind]} if kind in wrong else {s: p for s, p in good.items() if s != seat}
    assert attempt(opening, partials)


def test_too_few_good_partials_are_an_error_and_never_a_wrong_aggregate(opening: Opening) -> None:
    good, bad = opening[2], opening[3]
    for partials in ({1: good[1]}, {}, {1: good[1], 2: bad[2]}, {1: good[1], 2: bad[2], 3: b"nothing"}):
        with pytest.raises((ckks.BadPartial, ckks.MalformedShare)):
            attempt(opening, partials)
