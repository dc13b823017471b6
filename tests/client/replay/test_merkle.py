"""A root commits to a list of entries: each has one path, and nothing else has one."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.replay import merkle

entries = st.lists(st.binary(max_size=40), min_size=1, max_size=40)


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, as it is written there."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


@given(entries)
def test_a_root_is_that_of_the_rfc(leaves: list[bytes]) -> None:
    assert merkle.Tree(leaves).root == by_definition(leaves)


@given(entries, st.data())
def test_each_entry_has_a_path_and_no_other_entry_or_place_has_it(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, path = merkle.Tree(leaves).root, merkle.Tree(leaves).path(index)
    assert len(path) == merkle.path_length(index, len(leaves))
    assert merkle.verify(root, leaves[index], index, len(leaves), path)
    assert not merkle.verify(root, leaves[index] + b"x", index, len(leaves), path)
    other = data.draw(st.integers(-2, len(leaves) + 2))
    if other != index:
        same = 0 <= other < len(leaves) and leaves[other] == leaves[index]
        assert same or not merkle.verify(root, leaves[index], other, len(leaves), path)


@given(entries, st.data())
def test_a_path_with_any_hash_changed_left_out_or_added_shows_nothing(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, path = merkle.Tree(leaves).root, merkle.Tree(leaves).path(index)
    assert not merkle.verify(root, leaves[index], index, len(leaves), [*path, bytes(32)])
    for at, one in enumerate(path):
        flipped = bytes([one[0] ^ 1]) + one[1:]
        for wrong in (
            path[:at] + path[at + 1 :],
            [*path[:at], flipped, *path[at + 1 :]],
            [*path[:at], one + b"x", *path[at + 1 :]],
        ):
            assert not merkle.verify(root, leaves[index], index, len(leaves), wrong)


def test_an_inner_node_passes_for_no_entry() -> None:
    """The second preimage of trees without prefixes: four entries, shown as two whose content is a pair of hashes."""
    leaves = [b"a", b"b", b"c", b"d"]
    root = merkle.Tree(leaves).root
    pairs = [merkle.leaf_hash(one) + merkle.leaf_hash(other) for one, other in (leaves[:2], leaves[2:])]
    assert merkle.Tree(pairs).root != root
    assert merkle.node_hash(*(hashlib.sha256(b"\x01" + pair).digest() for pair in pairs)) == root
    right = hashlib.sha256(b"\x01" + pairs[1]).digest()
    assert not merkle.verify(root, pairs[0], 0, 2, [right])
    assert not merkle.verify(root, pairs[0], 0, 4, [right])


@given(entries)
def test_lists_of_other_lengths_do_not_pass_for_each_other(leaves: list[bytes]) -> None:
    assert merkle.Tree([*leaves, leaves[-1]]).root != merkle.Tree(leaves).root


def test_a_list_without_entries_has_no_root_and_an_entry_outside_no_path() -> None:
    with pytest.raises(ValueError, match="at least one"):
        merkle.Tree([])
    with pytest.raises(ValueError, match="entry 3 of 3"):
        merkle.Tree([b"a", b"b", b"c"]).path(3)
