"""What a seat gains that makes up what it reports of replays: by hand, and by playing the ledger's draws of replayers."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.analysis import Draw
from quorumlearn.analysis.places import Place
from quorumlearn.analysis.replays import (
    Lazy,
    Replaying,
    fewest_honest,
    found_each,
    found_lazy,
    lazy,
    planted,
)
from quorumlearn_proto.recompute import drawn_segments, replayers

SEAT = Place("seat", lambda part: 83 * part, 20, stake=200, slash=50)
USUAL = Replaying(draw=Draw(), miners=8, replay=0.22)


def lazily(of: Replaying, share: float = 1.0, others: float = 1.0, rounds: int = 1) -> Lazy:
    return lazy(of, share, others, SEAT, rounds)


def test_by_hand() -> None:
    """Two miners, of whom one segment each is drawn for two of three seats; the lazy one is drawn for either with 2/3."""
    of = Replaying(draw=Draw(segments=10, drawn=1), miners=2, replay=3.0)
    assert (of.segments, of.cost) == (2, pytest.approx(4))
    found = lazily(of)
    assert (found.each, found.found, found.saved) == (1, pytest.approx(1 - 1 / 9), pytest.approx(4))
    assert found.a_round == pytest.approx(4 - 8 / 9 * 133)
    half = lazily(of, others=0.5)
    assert (half.each, half.found) == (0.5, pytest.approx(1 - 4 / 9))


def test_one_replayer_is_checked_by_nobody_and_three_by_two() -> None:
    alone = Replaying(draw=Draw(replayers=1), miners=8, replay=0.22)
    assert lazily(alone).found == 0
    assert lazily(alone).a_round > 0
    assert fewest_honest(alone, SEAT) is None
    assert found_each(Draw(replayers=3), 0.5) == pytest.approx(0.75)


def test_seats_in_league_are_found_unless_all_of_an_items_replayers_are() -> None:
    assert found_each(Draw(seats=5, replayers=2, league=3), 1.0) == pytest.approx(0.5)
    assert found_each(Draw(seats=5, replayers=3, league=2), 1.0) == 1  # fewer than there are replayers


@pytest.mark.parametrize(("share", "others"), [(1.0, 1.0), (0.1, 1.0), (0.2, 0.5), (1.0, 0.1)])
def test_the_ledgers_draws_find_as_often(share: float, others: float) -> None:
    """2,000 beacons: each lazy seat makes up the same receipt, and an honest one beside it shows that it is made up."""
    of = Replaying(draw=Draw(segments=20, drawn=3), miners=3, replay=0.2)
    drawn, trials, caught = random.Random(0), 2000, 0
    for trial in range(trials):
        beacon, seen = f"{trial:064x}", False
        for miner in ("A/a", "B/b", "C/c"):
            for item in drawn_segments(beacon, miner, 20, 3):
                seats = replayers(beacon, miner, item, [1, 2, 3], 2)
                skips = 1 in seats and drawn.random() < share
                seen |= skips and any(drawn.random() < others for seat in seats if seat != 1)
        caught += seen
    chance = lazily(of, share, others).found
    assert abs(caught / trials - chance) <= 4 * math.sqrt(chance * (1 - chance) / trials) + 1e-9


def test_a_seat_that_replays_nothing_beside_honest_ones_is_found_nearly_always() -> None:
    assert found_lazy(USUAL) == lazily(USUAL).found > 1 - 1e-12
    assert lazily(USUAL, share=0.1).found > 0.9


@given(st.floats(0.001, 1), st.floats(0, 1), st.floats(0, 1), st.integers(1, 6))
def test_it_gains_most_by_skipping_nothing_or_everything_and_less_beside_more_honest_ones(
    share: float, others: float, more: float, drawn: int
) -> None:
    of = replace(USUAL, draw=Draw(drawn=drawn))
    one, everything = lazily(of, share, others), lazily(of, 1.0, others)
    assert one.a_round <= max(0.0, everything.a_round) + 1e-6
    assert lazily(of, share, max(others, more)).a_round <= one.a_round + 1e-6


@given(st.integers(1, 6), st.integers(2, 3), st.floats(0.01, 2))
def test_beside_as_many_honest_ones_as_is_said_replaying_is_best(
    drawn: int, replayers: int, replay: float
) -> None:
    of = Replaying(draw=Draw(drawn=drawn, replayers=replayers), miners=8, replay=replay)
    fewest = fewest_honest(of, SEAT)
    if fewest is None:
        assert lazily(of).a_round > -1e-6
        return
    assert lazily(of, others=fewest).a_round <= 1e-6
    if fewest > 1e-6:
        assert lazily(of, others=fewest * 0.999).a_round > -1e-9


def test_planted_segments_find_as_often_as_was_asked() -> None:
    """Each skipped replay is found where its segment was planted, so with that chance."""
    asked = planted(USUAL, SEAT, 10)
    assert asked.deters is not None
    assert asked.finds is not None
    a_round = 1 - (1 - asked.finds * 0.1 * 2 / 3) ** 40
    assert 1 - (1 - a_round) ** 10 == pytest.approx(0.99)
    deterred = 1 - (1 - asked.deters * 2 / 3) ** 40
    assert deterred * 133 == pytest.approx(USUAL.cost)


def test_planting_everything_is_not_enough_for_a_single_round_of_few_segments() -> None:
    few = Replaying(draw=Draw(drawn=1), miners=2, replay=0.22)
    assert planted(few, SEAT, 1).finds is None
    assert planted(replace(few, replay=500.0), SEAT, 1).deters is None
