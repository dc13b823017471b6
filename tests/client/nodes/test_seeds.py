"""Derived seeds repeat, and differ for different purposes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from quorumlearn import seeds

parts = st.lists(st.one_of(st.integers(0, 2**63), st.text(max_size=8)), max_size=4)


def test_seeds_do_not_change_between_releases() -> None:
    assert seeds.derive(7, "train", "OrgMSP/miner1", 3) == seeds.derive("7", "train", "OrgMSP/miner1", "3")
    assert seeds.derive(7, "train", "OrgMSP/miner1", 3) == 7749869564660099375


@given(parts, parts)
def test_different_parts_give_different_seeds(one: list[int | str], other: list[int | str]) -> None:
    same = [str(part) for part in one] == [str(part) for part in other]
    assert (seeds.derive(*one) == seeds.derive(*other)) == same
    assert (seeds.secret(b"k", *one) == seeds.secret(b"k", *other)) == same
    assert 0 <= seeds.derive(*one) < 2**63


def test_a_secret_needs_its_key() -> None:
    assert seeds.secret(b"one", "beacon") != seeds.secret(b"two", "beacon")
