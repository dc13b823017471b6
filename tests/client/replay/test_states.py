"""A state has one digest and one form; a log of near ties too."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.learning.exact import NearTie, State
from quorumlearn.replay import StateError, checkpoint_of, tensors
from quorumlearn.replay.states import digest, ties_from_bytes, ties_to_bytes
from quorumlearn.replay.tensors import Form, forms_of

from tests.client.replay.parties import work

TIES = st.lists(
    st.builds(NearTie, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.booleans()),
    unique_by=lambda tie: (tie.step, tie.coordinate),
    max_size=20,
).map(sorted)


def test_the_digest_of_arrays_is_as_it_is_described() -> None:
    def length(number: int) -> bytes:
        return number.to_bytes(8, "big")

    arrays = {"b": np.array([[1.0, -0.0]]), "a": np.array([2, 3], dtype=np.float32)}
    by_hand = hashlib.sha256(
        b"quorumlearn/arrays/1" + length(2)
        + length(1) + b"a" + length(3) + b"<f4" + length(1) + length(2) + np.array([2, 3], "<f4").tobytes()
        + length(1) + b"b" + length(3) + b"<f8" + length(2) + length(1) + length(2) + np.array([1, -0.0], "<f8").tobytes()
    )  # fmt: skip
    assert digest(arrays) == by_hand.digest()


def test_a_digest_does_not_depend_on_how_arrays_lie_and_does_on_all_else() -> None:
    array = np.arange(6.0).reshape(2, 3)
    same = [np.asfortranarray(array), array.astype(">f8"), np.arange(12.0).reshape(2, 6)[:, ::2] / 2]
    assert {digest({"a": one}) for one in (array, *same)} == {digest({"a": array})}
    other: list[tensors.Arrays] = [
        {"b": array},
        {"a": array.reshape(3, 2)},
        {"a": array.astype(np.float32)},
        {"a": -array},
        {"a": array, "b": np.zeros(0)},
        {},
    ]
    assert len({digest(one) for one in other} | {digest({"a": array})}) == 7
    assert digest({"a": np.array([0.0])}) != digest({"a": np.array([-0.0])})


def test_a_checkpoint_is_told_by_its_number_and_by_each_digest() -> None:
    state = work().begin
    moved = State(0, state.weights, {"momentum": np.zeros(15)})
    leaves = {
        checkpoint_of(0, state).digest,
        checkpoint_of(1, state).digest,
        checkpoint_of(0, moved).digest,
        checkpoint_of(0, state, bytes(9)).digest,
    }
    assert len(leaves) == 4
    one = checkpoint_of(7, state, bytes(9))
    by_hand = (
        b"quorumlearn/checkpoint/1"
        + b"\0\0\0\7"
        + digest(state.weights)
        + digest({})
        + hashlib.sha256(bytes(9)).digest()
    )
    assert one.digest == hashlib.sha256(by_hand).digest()


@given(TIES)
def test_a_log_comes_back_as_it_was(ties: list[NearTie]) -> None:
    data = ties_to_bytes(ties)
    assert len(data) == 9 * len(ties)
    assert list(ties_from_bytes(data)) == ties


@pytest.mark.parametrize(
    "data",
    [bytes(8), bytes(10), bytes(8) + b"\2", bytes(18), bytes(3) + b"\1" + bytes(5) + bytes(9)],
    ids=["cut", "too long", "neither up nor down", "twice", "descending"],
)
def test_bytes_that_are_no_log_are_refused(data: bytes) -> None:
    with pytest.raises(StateError):
        ties_from_bytes(data)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_arrays_are_refused(data: bytes) -> None:
    with pytest.raises(StateError):
        tensors.from_bytes(data, {"a": Form(np.dtype(np.float64), (2,))})


GOOD = {"a": np.array([1.0, 2.0]), "b": np.zeros((2, 1), dtype=np.float32)}


def test_arrays_come_back_as_they_were() -> None:
    back = tensors.from_bytes(tensors.to_bytes(GOOD), forms_of(GOOD))
    assert digest(back) == digest(GOOD)
    assert (
        all(one.flags.owndata and one.flags.writeable for one in back.values()) or back["b"].base is not None
    )


@pytest.mark.parametrize(
    "other",
    [
        {"a": GOOD["a"]},
        {**GOOD, "c": GOOD["a"]},
        {"a": GOOD["a"], "c": GOOD["b"]},
        {**GOOD, "a": np.array([1.0])},
        {**GOOD, "a": np.array([1.0, 2.0], dtype=np.float32)},
        {**GOOD, "a": np.array([[1.0, 2.0]])},
    ],
    ids=["missing", "one more", "another name", "another size", "another type", "another shape"],
)
def test_arrays_of_other_names_types_or_shapes_are_refused(other: dict[str, np.ndarray]) -> None:
    with pytest.raises(StateError):
        tensors.from_bytes(tensors.to_bytes(other), forms_of(GOOD))


def test_arrays_in_another_form_are_refused() -> None:
    data = tensors.to_bytes(GOOD)
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    spaced = header + b" " * 8
    for wrong in (
        data + b"\0",
        data[:-1],
        len(spaced).to_bytes(8, "little") + spaced + data[8 + len(header) :],
        data.replace(b'"a"', b'"b"', 1),
    ):
        with pytest.raises(StateError):
            tensors.from_bytes(wrong, forms_of(GOOD))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_neither_written_nor_read(value: float) -> None:
    with pytest.raises(StateError, match="not finite"):
        tensors.to_bytes({"a": np.array([value])})
    data = tensors.to_bytes({"a": np.array([1.5])}).replace(
        np.array([1.5]).tobytes(), np.array([value]).tobytes()
    )
    with pytest.raises(StateError, match="not finite"):
        tensors.from_bytes(data, {"a": Form(np.dtype(np.float64), (1,))})


def test_types_that_are_not_stored_are_refused() -> None:
    for array in (np.array([1j]), np.array(["a"]), np.array([object()])):
        with pytest.raises(StateError, match="stored are"):
            tensors.to_bytes({"a": array})
        with pytest.raises(StateError, match="stored are"):
            digest({"a": array})
