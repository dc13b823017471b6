"""What a draw finds: by hand, by counting every draw, and by the draws that the ledger makes."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.analysis import Draw, draw_of
from quorumlearn.analysis.segments import found, found_with_repeats, within, wrong_segments
from quorumlearn_proto.recompute import drawn_segments, replayers
from quorumlearn_proto.task_pb2 import RECOMPUTE, ROBUST, Committee, Recompute, TaskSpec

ISSUE = Draw(segments=100, drawn=5)
SMALL = st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n), st.integers(0, n)))
SEATS = st.integers(1, 5).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n), st.integers(0, n - 1)))


def draw(segments: int, drawn: int, seats: tuple[int, int, int]) -> Draw:
    return Draw(segments=segments, drawn=drawn, seats=seats[0], replayers=seats[1], league=seats[2])


def test_99_of_100_who_skip_a_tenth_are_found_within_ten_rounds_of_five_segments() -> None:
    """The issue's figure, and no fewer will do."""
    assert within(found(ISSUE, 10), 10) > 0.99
    assert within(found(replace(ISSUE, drawn=4), 10), 10) < 0.99


def test_by_hand() -> None:
    """Of four segments two are wrong and two are drawn: of six draws one has neither, one has both, four have one."""
    four = Draw(segments=4, drawn=2)
    assert found(four, 2) == pytest.approx(5 / 6)
    assert found_with_repeats(four, 2) == pytest.approx(3 / 4)
    shared = Draw(segments=4, drawn=2, replayers=1, seats=4, league=1)  # one in four is hidden
    assert found(shared, 2) == pytest.approx(1 - (1 / 6 + 4 / 6 / 4 + 1 / 6 / 16))


@given(SMALL, SEATS)
def test_it_is_what_counting_every_draw_gives(
    numbers: tuple[int, int, int], seats: tuple[int, int, int]
) -> None:
    segments, drawn, wrong = (min(8, one) for one in numbers)
    one = draw(segments, drawn, seats)
    draws = list(combinations(range(segments), drawn))
    unseen = sum(one.hidden ** sum(segment < wrong for segment in chosen) for chosen in draws)
    assert found(one, wrong) == pytest.approx(1 - unseen / len(draws))


@given(SMALL, SEATS)
def test_no_more_is_found_where_a_segment_could_be_drawn_twice(
    numbers: tuple[int, int, int], seats: tuple[int, int, int]
) -> None:
    one = draw(numbers[0], numbers[1], seats)
    assert found_with_repeats(one, numbers[2]) <= found(one, numbers[2]) + 1e-9


@given(SMALL, SEATS)
def test_more_wrong_is_found_more_and_each_further_one_adds_less(
    numbers: tuple[int, int, int], seats: tuple[int, int, int]
) -> None:
    one = draw(numbers[0], numbers[1], seats)
    chances = [found(one, wrong) for wrong in range(one.segments + 1)]
    steps = [after - before for before, after in pairwise(chances)]
    assert chances[0] == pytest.approx(0)
    assert all(step >= -1e-9 for step in steps)
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(steps))


@given(SMALL, SEATS)
def test_more_drawn_never_finds_less(numbers: tuple[int, int, int], seats: tuple[int, int, int]) -> None:
    segments, drawn, wrong = numbers
    fewer, more = draw(segments, drawn, seats), draw(segments, min(segments, drawn + 1), seats)
    assert found(more, wrong) >= found(fewer, wrong) - 1e-9


@pytest.mark.parametrize(
    ("one", "wrong"),
    [
        (ISSUE, 10),
        (ISSUE, 1),
        (Draw(segments=20, drawn=3, replayers=1, league=1), 4),
        (Draw(segments=20, drawn=3, replayers=2, seats=5, league=3), 10),
    ],
)
def test_the_ledgers_draws_find_as_often(one: Draw, wrong: int) -> None:
    """4,000 beacons: the ledger's own draws of segments and replayers, within four standard errors."""
    trials, caught = 4000, 0
    skipped, league = set(range(1, wrong + 1)), set(range(1, one.league + 1))
    for trial in range(trials):
        beacon = f"{trial:064x}"
        drawn = skipped & set(drawn_segments(beacon, "M1MSP/a", one.segments, one.drawn))
        seats = range(1, one.seats + 1)
        caught += any(
            set(replayers(beacon, "M1MSP/a", item, seats, one.replayers)) - league for item in drawn
        )
    chance = found(one, wrong)
    assert abs(caught / trials - chance) <= 4 * math.sqrt(chance * (1 - chance) / trials)


def test_many_segments_are_no_trouble() -> None:
    many = Draw(segments=200_000, drawn=2000)
    assert found(many, 200) == pytest.approx(1 - 0.99**200, abs=0.002)
    hidden = replace(many, replayers=1, league=1)
    assert found(hidden, 200) == pytest.approx(1 - (1 - 0.01 * 2 / 3) ** 200, abs=0.002)


def test_skipped_steps_are_put_into_as_few_segments_as_can_be() -> None:
    assert [wrong_segments(ISSUE, share) for share in (0, 0.001, 0.01, 0.07, 0.105, 1)] == [
        0,
        1,
        1,
        7,
        11,
        100,
    ]


def spec(recompute: Recompute | None = None) -> TaskSpec:
    return TaskSpec(
        mode=ROBUST if recompute is None else RECOMPUTE,
        committee=Committee(msp_ids=["A", "B", "C", "D", "E"], threshold=3),
        recompute=recompute,
    )


def test_a_draw_is_the_tasks_where_it_replays_and_the_issues_where_not() -> None:
    asked = spec(Recompute(chunks_per_miner=2, chunk_steps=115, segment_steps=3, segments=4))
    assert draw_of(asked) == Draw(segments=77, drawn=4, replayers=3, seats=5, league=2)
    assert draw_of(spec()) == Draw(segments=100, drawn=5, replayers=3, seats=5, league=2)
    assert draw_of(asked, segments=3, replayers=1, league=0) == Draw(
        segments=3, drawn=3, replayers=1, seats=5, league=0
    )


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ({"segments": 4, "drawn": 5}, "5 of 4 segments"),
        ({"drawn": 0}, "0 of 100 segments"),
        ({"replayers": 6}, "6 of 5 seats cannot replay"),
        ({"league": 5}, "leave no honest one"),
    ],
)
def test_what_cannot_be_drawn_is_refused(said: dict[str, int], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        draw_of(spec(), **said)
