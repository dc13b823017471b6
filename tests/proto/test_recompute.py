"""Who trains on what and who replays what is a fair draw: of the data, of segments and of seats; and keeping chunks changes no draw."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn_proto.block_pb2 import Round
from quorumlearn_proto.common_pb2 import Head
from quorumlearn_proto.draws import labelled, sample, words
from quorumlearn_proto.recompute import (
    chunks_before,
    drawn_items,
    kept_chunks,
    replayers,
    seats_of_profile,
    segments_of,
    team_of,
    teams,
    training_seed,
)
from quorumlearn_proto.task_pb2 import Exactness, Recompute, TaskSpec, VerificationMode

BEACONS = [hashlib.sha256(f"beacon {number}".encode()).hexdigest() for number in range(2000)]
"""Of which frequencies are taken: always the same, so that a test says the same each time."""


def near(counts: Counter[int] | Counter[str], expected: float, of: int) -> bool:
    """Whether each of so many things came up as often as expected, within five standard deviations."""
    assert len(counts) == of
    return all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


@st.composite
def assignments(draw: st.DrawFn) -> tuple[Recompute, str, list[str], dict[str, list[int]]]:
    """Up to 12 miners of up to 4 organisations, who have had anything at all in the round before."""
    names = draw(st.sets(st.integers(0, 11), min_size=1))
    miners = [f"M{draw(st.integers(1, 4))}MSP/m{name}" for name in sorted(names)]
    chunks = draw(st.integers(1, 20))
    asked = Recompute(
        chunks=chunks,
        chunks_per_miner=draw(st.integers(1, chunks)),
        replicas=draw(st.integers(1, 4)),
    )
    held = {miner: draw(st.lists(st.integers(0, chunks + 2), max_size=6)) for miner in miners}
    return asked, draw(st.sampled_from(BEACONS)), miners, held


@given(assignments())
def test_every_miner_is_in_one_team_with_replicas_enough(
    play: tuple[Recompute, str, list[str], dict[str, list[int]]],
) -> None:
    asked, beacon, miners, held = play
    found = teams(asked, beacon, miners, held)
    assert sorted(miner for team in found for miner in team.miners) == sorted(miners)
    sizes = [len(team.miners) for team in found]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= min(asked.replicas, len(miners))
    organisations = Counter(miner.partition("/")[0] for miner in miners)
    if max(organisations.values()) <= len(found):
        for team in found:
            assert len({miner.partition("/")[0] for miner in team.miners}) == len(team.miners)


@given(assignments())
def test_each_chunk_is_dealt_as_often_as_any_other_and_once_to_a_team_whatever_its_miners_had(
    play: tuple[Recompute, str, list[str], dict[str, list[int]]],
) -> None:
    asked, beacon, miners, held = play
    found, without = teams(asked, beacon, miners, held), teams(asked, beacon, miners, {})
    dealt = Counter(chunk for team in found for chunk in team.chunks)
    assert dealt == Counter(chunk for team in without for chunk in team.chunks)
    assert [team.miners for team in found] == [team.miners for team in without]
    times = [dealt[chunk] for chunk in range(asked.chunks)]
    assert max(times) - min(times) <= 1
    assert sum(times) == len(found) * asked.chunks_per_miner == sum(dealt.values())
    for team in found:
        assert len(set(team.chunks)) == len(team.chunks) == asked.chunks_per_miner


@given(st.sampled_from(BEACONS), st.sampled_from(BEACONS), st.integers(1, 4))
def test_a_miner_keeps_all_of_its_chunks_that_are_drawn_again(first: str, second: str, each: int) -> None:
    asked = Recompute(chunks=20, chunks_per_miner=each, replicas=1)
    miners = [f"M{number}MSP/m" for number in range(5)]
    before = Round(number=1, teams=teams(asked, first, miners, {}))
    now = Round(number=2, teams=teams(asked, second, miners, chunks_before(before)))
    drawn = {chunk for team in now.teams for chunk in team.chunks}
    for miner, had in chunks_before(before).items():
        assert set(had) & drawn == set(had) & set(team_of(now, miner)[1].chunks)
    kept, assigned = kept_chunks(now, before)
    assert assigned == 5 * each
    assert kept == sum(len(set(had) & drawn) for had in chunks_before(before).values())
    if each == 4:
        assert kept == assigned  # all of the data are drawn: everybody keeps what it had


def test_all_chunks_miners_and_mates_come_together_alike() -> None:
    asked = Recompute(chunks=10, chunks_per_miner=2, replicas=2)
    miners = [f"M{number}MSP/m" for number in range(4)]
    chunks: Counter[int] = Counter()
    mates: Counter[str] = Counter()
    had: Counter[int] = Counter()
    for beacon in BEACONS:
        now = Round(number=1, teams=teams(asked, beacon, miners, {}))
        chunks.update(chunk for team in now.teams for chunk in team.chunks)
        number, team = team_of(now, miners[0])
        mates.update(one for one in team.miners if one != miners[0])
        had.update(team.chunks)
        assert number in (1, 2)
    assert near(chunks, 0.4 * len(BEACONS), 10)
    assert near(had, 0.2 * len(BEACONS), 10)
    assert near(mates, len(BEACONS) / 3, 3)


def test_a_sample_is_any_order_alike_and_of_a_large_population_as_soon_as_of_a_small_one() -> None:
    orders: Counter[str] = Counter("".join(sample(words(b"order", beacon), "abcd", 3)) for beacon in BEACONS)
    assert {*orders} == {"".join(one) for one in permutations("abcd", 3)}
    assert near(orders, len(BEACONS) / 24, 24)
    assert len(set(sample(words(b"large", BEACONS[0]), range(10**15), 50))) == 50
    assert sorted(sample(words(b"all", BEACONS[0]), "abc", 9)) == ["a", "b", "c"]
    assert sample(words(b"none", BEACONS[0]), [], 3) == []


@given(st.lists(st.integers(0, 99), unique=True, max_size=30), st.integers(0, 40), st.sampled_from(BEACONS))
def test_a_sample_has_each_at_most_once(population: list[int], count: int, beacon: str) -> None:
    drawn = sample(words(b"once", beacon), population, count)
    assert len(set(drawn)) == len(drawn) == min(count, len(population))
    assert set(drawn) <= set(population)


def test_labels_of_parts_that_join_alike_are_not_alike() -> None:
    assert len({labelled(b"l", *parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""))}) == 4


def spec(**changes: object) -> TaskSpec:
    asked = Recompute(segment_steps=4, segments=3, **changes)  # type: ignore[arg-type]
    return TaskSpec(mode=VerificationMode.RECOMPUTE, recompute=asked)


@given(st.integers(1, 100), st.sampled_from(BEACONS))
def test_of_a_training_are_drawn_segments_that_it_has_and_its_last_checkpoint(
    steps: int, beacon: str
) -> None:
    *segments, last = drawn_items(spec(), beacon, "M1MSP/m", steps)
    there = segments_of(spec(), steps)
    assert 4 * (there - 1) < steps <= 4 * there
    assert last == there + 1
    assert segments == sorted(set(segments))
    assert len(segments) == min(3, there)
    assert {*segments} <= {*range(1, there + 1)}


def test_each_segment_is_drawn_and_each_seat_replays_as_often_as_any_other() -> None:
    segments: Counter[int] = Counter()
    seats: Counter[int] = Counter()
    for beacon in BEACONS:
        segments.update(drawn_items(spec(), beacon, "M1MSP/m", 40)[:-1])
        seats.update(replayers(beacon, "M1MSP/m", 11, [5, 3, 2, 7], 2))
    assert near(segments, 0.3 * len(BEACONS), 10)
    assert near(seats, len(BEACONS) / 2, 4)


@pytest.mark.parametrize("other", [("M1MSP/m", 2), ("M2MSP/m", 1)])
def test_who_replays_is_drawn_for_each_item_of_each_miner(other: tuple[str, int]) -> None:
    both = [
        (replayers(beacon, "M1MSP/m", 1, range(9), 3), replayers(beacon, *other, range(9), 3))
        for beacon in BEACONS[:20]
    ]
    assert any(one != two for one, two in both)


def test_float32_is_replayed_by_seats_of_its_profile_and_what_is_portable_by_all() -> None:
    seats = {3: "b", 1: "a", 2: "a"}
    assert seats_of_profile(spec(exactness=Exactness.PROFILE), "a", seats) == [1, 2]
    assert seats_of_profile(spec(exactness=Exactness.PROFILE), "c", seats) == []
    assert seats_of_profile(spec(exactness=Exactness.PORTABLE), "", seats) == [1, 2, 3]


def test_a_training_has_a_seed_of_its_own_by_team_round_task_base_and_beacon() -> None:
    made = Round(task_id="t", number=1, base=Head(digest="a" * 64), start_beacon=BEACONS[0])
    seeds = {training_seed(made, 1), training_seed(made, 2)}
    for field, value in (
        ("task_id", "u"),
        ("number", 2),
        ("start_beacon", BEACONS[1]),
        ("base", Head(digest="b")),
    ):
        other = Round()
        other.CopyFrom(made)
        other.MergeFrom(Round(**{field: value}))  # type: ignore[arg-type]
        seeds.add(training_seed(other, 1))
    assert len(seeds) == 6
    assert {len(seed) for seed in seeds} == {32}
