"""A rule on opened sketches and an aggregate of ciphertexts give what the plain twin gives on the same updates."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from quorumlearn import ckks
from quorumlearn.robust import MIXTURES, RULES, Finding, make_rule, select, weight_room

MINERS, F, SIZE = 9, 2, 3000
SEED = b"task/1/round/1"
NAMES = (*RULES, *(f"{mixture}+geometric-median" for mixture in MIXTURES), "nnm+multi-krum")


@lru_cache(maxsize=1)
def round_() -> tuple[
    ckks.Parameters, np.ndarray, list[ckks.Ciphertexts], dict[int, bytes], np.ndarray, np.ndarray, np.ndarray
]:
    """Parameters, plain updates (n, d), their ciphertexts, the seats' shares, opened sketches, plain sketches, and
    the root update's sketch."""
    p = ckks.Parameters.choose(
        SIZE, seats=3, threshold=2, max_weight_sum=8 * MINERS, sketch_size=128, minimum_security_bits=0
    )
    keys = {seat: ckks.new_key_share(p, SEED) for seat in (1, 2, 3)}
    dealt = {seat: ckks.deal(p, key.secret, (1, 2, 3)) for seat, key in keys.items()}
    shares = {to: ckks.sum_shares(p, [dealt[seat][to] for seat in keys]) for to in keys}
    key = ckks.collective_key(p, SEED, {seat: one.public for seat, one in keys.items()})
    random = np.random.default_rng(5)
    common = random.normal(size=SIZE)
    updates = 0.1 * (common + random.normal(size=(MINERS + 1, SIZE)))
    updates[2] *= -1
    updates[5] = random.normal(size=SIZE)
    updates[7] = updates[1]
    values = np.stack([ckks.quantise(update, p) for update in updates])
    sent = [ckks.parse(p, ckks.encrypt(p, key, one)) for one in values[:MINERS]]
    plan = ckks.SketchPlan.from_beacon(p, b"beacon")
    opened = []
    for one in sent:
        s = ckks.sketch(p, plan, one)
        opened.append(
            ckks.open_sketch(p, plan, s, {i: ckks.sketch_share(p, plan, shares[i], s) for i in (1, 3)})
        )
    plain = np.stack([ckks.plain_sketch(p, plan, one) for one in values])
    return p, values[:MINERS], sent, shares, np.stack(opened), plain[:MINERS], plain[MINERS]


@pytest.mark.parametrize("name", NAMES)
def test_findings_and_aggregate_are_those_of_the_plain_twin(name: str) -> None:
    p, values, sent, shares, opened, plain, root = round_()

    def found(sketches: np.ndarray) -> list[Finding]:
        return select(
            sketches,
            commit_order=range(MINERS),
            rule=make_rule(name, {}, F, root),
            norm_limit=1e3,
            max_weight_sum=weight_room(name, MINERS),
        )

    if name.startswith("bucketing"):  # whose order is by the sketches' own bytes: opened ones are whole steps
        plain = np.rint(plain / unit(p)) * unit(p)
    findings = found(opened)
    assert findings == found(plain)
    assert findings[7].reason == "DUPLICATE"
    if name not in ("mean", "norm-clipping"):
        assert findings[5].weight <= min(findings[i].weight for i in (0, 3, 4) if findings[i].weight)
    weights = [finding.weight for finding in findings]
    total = ckks.aggregate(p, [(weight, one) for weight, one in zip(weights, sent, strict=True) if weight])
    steps = ckks.open_partials(
        p, total, {seat: ckks.partial_decrypt(p, shares[seat], total) for seat in (2, 3)}
    )
    np.testing.assert_array_equal(steps, np.array(weights) @ values)


def unit(p: ckks.Parameters) -> float:
    return float(np.ldexp(1.0, -p.step_bits) * np.sqrt(2 / p.sketch_size))
