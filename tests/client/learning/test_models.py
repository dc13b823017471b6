"""Models as arrays and as bytes: what is split comes together again, and one form of bytes is a model."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn.learning import (
    Model,
    ModelError,
    apply_update,
    difference,
    flatten,
    from_bytes,
    merge,
    public_shapes,
    shapes_of,
    size_of,
    split,
    to_bytes,
    unflatten,
)

SHAPES = {"bottom.a.bias": (3,), "bottom.a.weight": (3, 2), "head.c": (1,), "top.b.weight": (2, 3, 1)}
SIZE = 3 + 6 + 1 + 6
seeds = st.integers(0, 2**32 - 1)


def model(seed: int = 0) -> Model:
    random = np.random.default_rng(seed)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def raw(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def same(a: Model, b: Model) -> bool:
    return list(a) == list(b) and all(a[name].tobytes() == b[name].tobytes() for name in a)


@settings(deadline=None)
@given(seeds)
def test_bytes_lead_back_to_the_same_model(seed: int) -> None:
    data = to_bytes(model(seed))
    back = from_bytes(data, SHAPES)
    assert same(back, model(seed))
    assert to_bytes(back) == data
    assert all(tensor.flags.writeable for tensor in back.values())


def test_the_order_of_insertion_does_not_show() -> None:
    shuffled = {name: model()[name] for name in reversed(list(SHAPES))}
    assert to_bytes(shuffled) == to_bytes(model())
    assert (flatten(shuffled) == flatten(model())).all()


def test_the_form_on_disk_has_not_changed() -> None:
    fixed = unflatten(np.arange(SIZE, dtype=np.float32), SHAPES)
    assert hashlib.sha256(to_bytes(fixed)).hexdigest() == (
        "70f8cf1adb0c242cbe720ce0e3d229330aa44c54a30c42237d0a04a52ae4f935"
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_no_model(bad: float) -> None:
    broken = model()
    good = to_bytes(broken)
    broken["bottom.a.weight"][1, 1] = bad
    with pytest.raises(ModelError, match=r"bottom\.a\.weight"):
        to_bytes(broken)
    needle = model()["bottom.a.weight"][1, 1].tobytes()
    assert good.count(needle) == 1
    with pytest.raises(ModelError, match="not finite"):
        from_bytes(good.replace(needle, np.float32(bad).tobytes()), SHAPES)


def test_other_types_names_and_shapes_are_refused() -> None:
    with pytest.raises(ModelError, match="float64"):
        to_bytes({"a": np.zeros(2)})  # type: ignore[dict-item]
    data = to_bytes(model())
    for like, says in (
        (SHAPES | {"more": (1,)}, "'more' is missing"),
        ({name: SHAPES[name] for name in SHAPES if name != "head.c"}, r"'head\.c' is not of this model"),
        (SHAPES | {"head.c": (1, 1)}, r"head\.c is F32"),
        (SHAPES | {"top.b.weight": (3, 2, 1)}, r"top\.b\.weight is F32 \(2, 3, 1\)"),
    ):
        with pytest.raises(ModelError, match=says):
            from_bytes(data, like)


def test_the_same_tensors_in_another_form_are_refused() -> None:
    data = to_bytes({"a": np.zeros(2, np.float32)})
    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    forms = [
        raw({"a": tensor, "__metadata__": {"note": "hidden"}}, bytes(8)),
        raw(json.dumps({"a": tensor}).encode() + b"  ", bytes(8)),
        raw({"a": tensor | {"dtype": "I32"}}, bytes(8)),
        data + b"\0",
    ]
    for form in forms:
        with pytest.raises(ModelError):
            from_bytes(form, {"a": (2,)})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x04garbage",
        b"\xff" * 8,
        raw(b"[]"),
        raw(b"{"),
        raw(b"\xff\xfe"),
        raw({}),
        raw({"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 8]}}, bytes(8)),
        raw({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}}, bytes(8)),
        raw({"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}, bytes(8)),
        bytes(100_000),
    ],
)
def test_hostile_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        from_bytes(data, {"a": (2,)})


@settings(deadline=None)
@given(seeds, st.data())
def test_changed_bytes_are_another_model_or_none(seed: int, choice: st.DataObject) -> None:
    data = bytearray(to_bytes(model(seed)))
    place = choice.draw(st.integers(0, len(data) - 1))
    data[place] ^= choice.draw(st.integers(1, 255))
    if choice.draw(st.booleans()):
        del data[choice.draw(st.integers(0, len(data) - 1)) :]
    try:
        read = from_bytes(bytes(data), SHAPES)
    except ModelError:
        return
    assert to_bytes(read) == bytes(data)
    assert not same(read, model(seed))


@settings(deadline=None)
@given(seeds, st.sets(st.sampled_from(["bottom", "head", "top"]), min_size=1))
def test_what_is_split_comes_together_again(seed: int, blocks: set[str]) -> None:
    whole = model(seed)
    public, private = split(whole, blocks)
    assert {name.split(".")[0] for name in public} == blocks
    assert not set(public) & set(private)
    assert same(merge(public, private), whole)
    assert shapes_of(public) == public_shapes(SHAPES, blocks)


@pytest.mark.parametrize("blocks", [[], ["middle"], ["top", "bott"]])
def test_blocks_that_are_none_are_refused(blocks: list[str]) -> None:
    with pytest.raises(ModelError, match="bottom, head, top"):
        split(model(), blocks)


def test_a_tensor_belongs_to_one_part() -> None:
    public, _ = split(model(), ["top"])
    with pytest.raises(ModelError, match=r"top\.b\.weight"):
        merge(public, model())


@settings(deadline=None)
@given(seeds, seeds)
def test_an_update_leads_from_one_model_to_the_other(first: int, second: int) -> None:
    before, after = model(first), model(second)
    update = difference(after, before)
    assert update.dtype == np.float64
    assert update.shape == (SIZE,) == (size_of(SHAPES),)
    assert same(apply_update(before, update), after)
    assert same(unflatten(flatten(before).astype(np.float32), SHAPES), before)


@pytest.mark.parametrize(
    ("update", "says"),
    [
        (np.zeros(SIZE + 1), "shape"),
        (np.zeros((1, SIZE)), "shape"),
        (np.full(SIZE, np.nan), "finite"),
        (np.full(SIZE, 1e39), "range of float32"),
    ],
)
def test_updates_that_fit_no_model_are_refused(update: np.ndarray, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        apply_update(model(), update)


def test_models_of_different_workloads_have_no_difference() -> None:
    with pytest.raises(ModelError, match="different tensors"):
        difference(model(), split(model(), ["top"])[0])
    with pytest.raises(ModelError, match="for a model of"):
        unflatten(np.zeros(3, np.float32), SHAPES)
