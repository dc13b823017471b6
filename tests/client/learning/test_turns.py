"""The global generators are lent for a turn: filled by all of a seed, and given back as they were."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from quorumlearn.learning.turns import Draws

SECRET = 1 << 255 | 77
GENERATORS: list[Callable[[], list[float]]] = [
    lambda: [random.random() for _ in range(700)],
    lambda: list(np.random.random(700)),
    lambda: torch.rand(700).tolist(),
]


def drawn(draws: Draws, draw: Callable[[], list[float]]) -> list[float]:
    with draws.turn():
        return draw()


@pytest.mark.parametrize("draw", GENERATORS)
def test_a_seed_and_a_purpose_fill_every_generator(draw: Callable[[], list[float]]) -> None:
    first = drawn(Draws(SECRET, "training"), draw)
    assert drawn(Draws(SECRET, "training"), draw) == first
    for seed, purpose in (
        (SECRET ^ 1, "training"),
        (SECRET ^ 1 << 32, "training"),
        (SECRET ^ 1 << 254, "training"),
        (SECRET, "scoring"),
    ):
        other = drawn(Draws(seed, purpose), draw)
        assert not set(first) & set(other)


@pytest.mark.parametrize("draw", GENERATORS)
def test_turns_of_several_go_on_where_each_left(draw: Callable[[], list[float]]) -> None:
    alone = Draws(1, "training")
    whole = [*drawn(alone, draw), *drawn(alone, draw)]
    one, other = Draws(1, "training"), Draws(2, "training")
    first = drawn(one, draw)
    drawn(other, draw)
    draw()
    assert [*first, *drawn(one, draw)] == whole


@pytest.mark.parametrize("draw", GENERATORS)
def test_what_was_before_is_back_also_after_a_failure_and_a_turn_inside(
    draw: Callable[[], list[float]],
) -> None:
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    expected = draw()
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)

    def fail() -> None:
        with Draws(1, "training").turn():
            draw()
            with Draws(2, "training").turn():
                draw()
            raise ValueError("lost")

    with pytest.raises(ValueError, match="lost"):
        fail()
    assert draw() == expected


def test_a_device_has_a_generator_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here one of torch's own for the processor, behind the three functions that `torch.cuda` and `torch.mps` have."""
    source = torch.Generator()
    device = SimpleNamespace(
        manual_seed=source.manual_seed, get_rng_state=source.get_state, set_rng_state=source.set_state
    )
    monkeypatch.setattr(torch, "accelerator_of_the_test", device, raising=False)

    def draw() -> list[float]:
        return torch.rand(5, generator=source).tolist()

    source.manual_seed(3)
    expected = draw()
    source.manual_seed(3)
    first = Draws(SECRET, "training", "accelerator_of_the_test")
    begun = drawn(first, draw)
    assert drawn(Draws(SECRET, "training", "accelerator_of_the_test"), draw) == begun
    assert drawn(Draws(SECRET ^ 1 << 200, "training", "accelerator_of_the_test"), draw) != begun
    assert drawn(first, draw) != begun
    assert draw() == expected


def test_it_is_known_whether_anything_was_drawn() -> None:
    for draw in GENERATORS:
        draws = Draws(1, "training")
        with draws.turn():
            pass
        assert not draws.drawn
        drawn(draws, draw)
        assert draws.drawn
