"""What skipping work gains: by hand, and against every play that a cheat has, round by round."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.analysis import Draw
from quorumlearn.analysis.audits import (
    fewest_drawn,
    fewest_drawn_to_find,
    fewest_segments,
    honest_is_best,
    skipping,
    smallest_pay,
    smallest_slash,
    verification,
)
from quorumlearn.analysis.places import Place
from quorumlearn.analysis.segments import found

ISSUE = Draw(segments=100, drawn=5)
PAY = 100.0


def place(cost: float, slash: int = 20, stake: int = 100, pay: float = PAY) -> Place:
    return Place("miner", lambda part: pay * part, cost, stake, slash)


def best_play(draw: Draw, at: Place, rounds: int) -> float:
    """The most tokens that a miner can expect that skips in each round what it likes, and opens what is wrong of it or not."""
    pay = at.pay(1.0)

    @cache
    def worth(left: int, slashes: int) -> float:
        if left == 0:
            return 0.0
        keeps = at.stake - (slashes + 1) * at.slash >= at.slash
        opened = -at.slash + (worth(left - 1, slashes + 1) if keeps else 0.0)
        plays = []
        for wrong in range(draw.segments + 1):
            chance = found(draw, wrong)
            work = at.cost * (1 - wrong / draw.segments)
            unseen = pay + worth(left - 1, slashes)
            plays.append((1 - chance) * unseen + chance * max(opened, 0.0) - work)
        return max(plays)

    return worth(rounds, 0)


DRAWS = st.integers(1, 12).flatmap(
    lambda n: st.builds(
        Draw,
        segments=st.just(n),
        drawn=st.integers(1, n),
        replayers=st.integers(1, 2),
        seats=st.integers(3, 4),
        league=st.integers(0, 2),
    )
)
COSTS = st.floats(0, 1.4 * PAY)


@given(DRAWS, COSTS, st.integers(1, 4), st.integers(1, 60))
def test_honesty_is_best_exactly_where_no_play_at_all_gains(
    draw: Draw, cost: float, rounds: int, slash: int
) -> None:
    """In a task of any length: what can be lost later only adds to what the last round asks for."""
    at = place(cost, slash)
    more = best_play(draw, at, rounds) - rounds * (PAY - cost)
    if honest_is_best(draw, at):
        assert more <= 1e-6
    elif smallest_pay(draw, cost) > PAY + 1e-6:
        assert more > 0


@given(DRAWS, COSTS)
def test_at_the_fewest_drawn_honesty_is_best_and_with_one_less_it_is_not(draw: Draw, cost: float) -> None:
    at, fewest = place(cost), fewest_drawn(draw, place(cost))
    if fewest is None:
        assert not any(honest_is_best(replace(draw, drawn=one), at) for one in range(1, draw.segments + 1))
        return
    assert honest_is_best(replace(draw, drawn=fewest), at)
    assert best_play(replace(draw, drawn=fewest), at, 1) <= PAY - cost + 1e-6
    if fewest > 1:
        assert best_play(replace(draw, drawn=fewest - 1), at, 1) > PAY - cost


@given(DRAWS, COSTS, st.floats(0, 1), st.integers(1, 5))
def test_more_drawn_never_helps_the_cheat(draw: Draw, cost: float, share: float, rounds: int) -> None:
    more = replace(draw, drawn=min(draw.segments, draw.drawn + 1))
    before, after = (skipping(one, share, place(cost), rounds) for one in (draw, more))
    assert after.a_round <= before.a_round + 1e-6
    assert after.opened <= before.opened + 1e-6
    if cost <= PAY:  # otherwise it is glad to lose its place
        assert after.task <= before.task + 1e-6


@given(DRAWS, st.floats(0, PAY), st.integers(1, 5))
def test_nobody_gains_more_than_by_skipping_nothing_or_everything(
    draw: Draw, cost: float, rounds: int
) -> None:
    shares = [wrong / draw.segments for wrong in range(draw.segments + 1)]
    gains = [skipping(draw, share, place(cost), rounds) for share in shares]
    assert max(one.a_round for one in gains) <= max(0.0, gains[-1].a_round) + 1e-6
    assert max(one.opened for one in gains) <= max(0.0, gains[-1].opened) + 1e-6


def test_by_hand() -> None:
    """Half of four segments saves half of a training of 40, and of six draws of two only one shows none of it."""
    at = place(40.0)
    half = skipping(Draw(segments=4, drawn=2), 0.5, at, 1)
    assert (half.wrong, half.found, half.saved) == (2, pytest.approx(5 / 6), 20)
    assert half.a_round == pytest.approx(20 - 5 / 6 * 100)
    assert half.opened == pytest.approx(20 - 5 / 6 * 120)
    assert half.task == pytest.approx(half.a_round)


def test_who_is_found_in_a_task_stays_for_a_slash_or_goes_without_one() -> None:
    """Who skips a twentieth of 100 segments, of which one is drawn, is found in one round of twenty: then a slash of 1 is cheaper than
    the place, and one of 1000 dearer. Honest work gains 60 a round.
    """
    one = Draw(segments=100, drawn=1)
    stays, goes = (skipping(one, 0.05, place(40.0, slash=slash, stake=10 * slash), 10) for slash in (1, 1000))
    assert stays.task == pytest.approx(10 * (2 - 0.05 * (100 + 1)))
    in_place = [0.95**before for before in range(10)]
    assert goes.task == pytest.approx(sum(in_place) * (95 - 38) - 10 * 60)


def test_pay_decides_and_one_segment_is_enough() -> None:
    """Where every drawn segment is really replayed, who skips all is found, and who skips less has less to gain."""
    assert fewest_drawn(ISSUE, place(PAY)) == 1
    assert fewest_drawn(ISSUE, place(PAY + 1)) is None
    assert (smallest_pay(ISSUE, 120.0), smallest_slash(ISSUE, place(120.0))) == (pytest.approx(120), 20)
    assert smallest_slash(ISSUE, place(PAY)) == 0


def test_in_league_with_the_only_replayer_more_must_be_drawn() -> None:
    """One seat of three says right to all: who skips everything is missed with 1 / 3^q."""
    alone = Draw(replayers=1, league=1)
    assert fewest_drawn(alone, place(80.0)) == 2
    assert smallest_pay(replace(alone, drawn=1), 80.0) == pytest.approx(120)
    assert fewest_drawn_to_find(alone, 10) == 7


def test_the_issues_numbers() -> None:
    assert fewest_drawn_to_find(ISSUE, 10) == 5
    assert fewest_drawn_to_find(Draw(segments=2, drawn=1), 1) == 2
    assert verification(ISSUE, 20.0, 8, last=0.0).share == pytest.approx(0.1)
    assert verification(ISSUE, 20.0, 8, last=0.0).tokens == pytest.approx(16)
    assert verification(ISSUE, 20.0, 8, replay=0.4, last=0.001).share == pytest.approx(2 * (5 * 0.02 + 0.001))
    assert verification(ISSUE, 0.0, 8, replay=1.0).share is None


@given(st.integers(1, 20), st.integers(1, 3), st.floats(0, 0.01))
def test_cut_into_so_many_segments_verification_is_within_the_goal(
    drawn: int, replayers: int, last: float
) -> None:
    one = Draw(segments=1000, drawn=drawn, replayers=replayers)
    enough = fewest_segments(one, 0.1, last)
    assert enough is not None
    share = verification(replace(one, segments=enough), 1.0, 1, last=last).share
    assert share is not None
    assert share <= 0.1 + 1e-9
    if enough > drawn:
        less = verification(replace(one, segments=enough - 1), 1.0, 1, last=last).share
        assert less is not None
        assert less > 0.1 - 1e-9


def test_a_check_that_alone_takes_more_than_the_goal_is_never_within_it() -> None:
    assert fewest_segments(ISSUE, 0.1, 0.05) is None
