"""Sealed messages open for their recipient, in their context, unaltered; and for nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn.nodes import sealing
from quorumlearn.nodes.exchange import ExchangeError, seal_for, unseal_from

PRIVATE = sealing.new_key()
PUBLIC = sealing.public_key(PRIVATE)


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=2000), st.text(max_size=30))
def test_what_is_sealed_opens_again(message: bytes, context: str) -> None:
    assert sealing.unseal(sealing.seal(message, PUBLIC, context), PRIVATE, context) == message


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_an_altered_message_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(sealing.seal(b"a share", PUBLIC, "context"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(sealing.SealError):
        sealing.unseal(bytes(sealed), PRIVATE, "context")


def test_another_key_or_context_does_not_open() -> None:
    sealed = sealing.seal(b"a share", PUBLIC, "task/1")
    with pytest.raises(sealing.SealError):
        sealing.unseal(sealed, sealing.new_key(), "task/1")
    with pytest.raises(sealing.SealError):
        sealing.unseal(sealed, PRIVATE, "task/2")


@pytest.mark.parametrize("public", [b"", PUBLIC[:-1], PUBLIC + b"x", bytes(sealing.PUBLIC_KEY_BYTES)])
def test_what_is_no_key_is_refused(public: bytes) -> None:
    with pytest.raises(sealing.SealError):
        sealing.seal(b"", public, "")


def test_a_box_is_bound_to_its_sender_and_recipient() -> None:
    boxes = seal_for({2: PUBLIC, 3: PUBLIC}, {2: b"for two", 3: b"for three"}, "t", sender=1)
    assert unseal_from(boxes, PRIVATE, "t", sender=1, me=3) == b"for three"
    with pytest.raises(ExchangeError, match="nothing that opens"):
        unseal_from(boxes, PRIVATE, "t", sender=2, me=3)
    with pytest.raises(ExchangeError, match="nothing to seat 4"):
        unseal_from(boxes, PRIVATE, "t", sender=1, me=4)
    boxes[0].recipient, boxes[1].recipient = 3, 2
    with pytest.raises(ExchangeError):
        unseal_from(boxes, PRIVATE, "t", sender=1, me=3)


def test_a_seat_without_a_key_does_not_keep_others_from_theirs() -> None:
    boxes = seal_for({2: b"no key", 3: PUBLIC}, {2: b"for two", 3: b"for three"}, "t", sender=1)
    assert [box.recipient for box in boxes] == [3]
    assert unseal_from(boxes, PRIVATE, "t", sender=1, me=3) == b"for three"
