"""The trials of useful work, few of each: what is found is what is false, as often as it should be; honest work is right on every path."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from quorumlearn.replay.cheats import Played
from scipy.stats import binomtest

from benchmarks.useful_work import trials, verdicts
from benchmarks.useful_work.options import Options

ROWS = trials.plays()
QUICK = [at for at, one in enumerate(ROWS) if one.model == "linear" and one.rounds == 1]


@pytest.mark.parametrize("at", QUICK, ids=lambda at: f"{ROWS[at].name} {ROWS[at].share or ''}")
def test_no_item_of_a_trial_is_judged_otherwise_than_it_is(at: int) -> None:
    for number in range(2):
        one = trials.judged(ROWS[at], (1, at, number))
        assert one.misjudged == 0
        if one.chance in (0.0, 1.0):
            assert one.found == bool(one.chance)


def test_who_skips_a_fifth_is_found_as_often_as_a_fifth_is_drawn() -> None:
    at = next(at for at in QUICK if ROWS[at].share == 20)
    done = [trials.judged(ROWS[at], (2, at, number)) for number in range(100)]
    assert {round(one.chance, 4) for one in done} == {0.6807}
    assert abs(sum(one.found for one in done) - 68) < 4 * math.sqrt(100 * 0.68 * 0.32)


def test_who_skips_a_tenth_of_each_round_is_found_within_ten() -> None:
    (at,) = (at for at, one in enumerate(ROWS) if one.rounds == 10)
    assert trials.judged(ROWS[at], (1, at, 0)).chance == pytest.approx(
        1 - (math.comb(90, 5) / math.comb(100, 5)) ** 10
    )
    assert all(trials.judged(ROWS[at], (1, at, number)).found for number in range(10))


@pytest.mark.parametrize("false", [(), (1,), (2, 5), (1, 2, 3, 4), range(1, 9)])
def test_the_chance_is_the_share_of_draws_that_hold_a_false_segment(false: tuple[int, ...]) -> None:
    played = Played(None, (), np.zeros(0, np.int64), frozenset(false))  # type: ignore[arg-type]
    draws = list(itertools.combinations(range(1, 9), trials.DRAWN))
    wanted = sum(bool(set(draw) & set(false)) for draw in draws) / len(draws)
    assert trials.expected(played, 8) == pytest.approx(wanted)


@pytest.mark.parametrize(("found", "count"), [(0, 500), (25, 500), (499, 500), (500, 500), (1, 1)])
def test_intervals_are_wilsons(found: int, count: int) -> None:
    wanted = binomtest(found, count).proportion_ci(method="wilson")
    assert trials.interval(found, count) == pytest.approx((wanted.low, wanted.high), abs=1e-6)


def test_honest_work_is_right_whichever_path_it_and_its_seats_took() -> None:
    (row,) = verdicts.measure(Options(quick=True), ["one layer, SGD (numpy)"])
    assert (row["verdicts"], row["right"], row["wrong"], row["failed"]) == (9, 9, 0, 0)
