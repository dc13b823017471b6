"""The pure parts: payouts never exceed the reward, the lottery is fair and repeatable."""

from __future__ import annotations

import hashlib
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from quorumlearn_chaincode.contracts.lottery import draw_order
from quorumlearn_chaincode.contracts.payment import by_share, miners_part, proposer_share, verifier_share
from quorumlearn_proto.block_pb2 import Reason, Verdict
from quorumlearn_proto.task_pb2 import RewardSplit

SPLITS = st.tuples(st.integers(1, 10**15), st.integers(0, 10_000), st.integers(0, 10_000)).map(
    lambda drawn: RewardSplit(
        per_round=drawn[0],
        miners_bp=min(drawn[1:]),
        verifiers_bp=max(drawn[1:]) - min(drawn[1:]),
        proposer_bp=10_000 - max(drawn[1:]),
    )
)


@given(SPLITS, st.lists(st.integers(0, 1000), min_size=1, max_size=40), st.integers(1, 16))
def test_a_round_never_pays_more_than_its_reward(split: RewardSplit, weights: list[int], seats: int) -> None:
    verdicts = [
        Verdict(miner=f"M/{i}", weight=w, reason=Reason.CONTRIBUTES if w else Reason.NOT_SELECTED)
        for i, w in enumerate(weights)
    ]
    shares = by_share(miners_part(split), verdicts)
    total = sum(share for _, share in shares) + seats * verifier_share(split, seats) + proposer_share(split)
    assert total <= split.per_round
    # rounding loses less than a token for each who is paid, and one a part
    assert any(weights) is False or split.per_round - total < len(weights) + seats + 3
    assert [name for name, _ in shares] == [v.miner for v in verdicts if v.weight]
    paid = dict(shares)
    for one in verdicts:
        for other in verdicts:
            if 0 < one.weight <= other.weight:
                assert paid[one.miner] <= paid[other.miner]


@given(st.binary(min_size=32, max_size=32), st.lists(st.integers(1, 10_001), max_size=30))
def test_the_order_names_everyone_once_and_is_repeatable(beacon: bytes, chances: list[int]) -> None:
    entries = [(f"M/{index}", chance) for index, chance in enumerate(chances)]
    order = draw_order(beacon.hex(), entries)
    assert sorted(order) == sorted(name for name, _ in entries)
    assert order == draw_order(beacon.hex(), entries)


def test_who_did_more_work_is_drawn_first_in_proportion() -> None:
    beacons = [hashlib.sha256(bytes([i >> 8, i & 255])).hexdigest() for i in range(4000)]
    firsts = Counter(draw_order(beacon, [("a", 1), ("b", 3), ("c", 4)])[0] for beacon in beacons)
    # 4000 draws: 500, 1500, 2000 expected; six standard deviations are under 190
    assert abs(firsts["a"] - 500) < 190
    assert abs(firsts["b"] - 1500) < 190
    assert abs(firsts["c"] - 2000) < 190
