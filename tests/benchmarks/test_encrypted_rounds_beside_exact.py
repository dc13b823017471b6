"""The comparison of multi-Krum on sketches with multi-Krum on whole updates, and the market's times, say what they claim."""

from __future__ import annotations

import numpy as np
import pytest
from quorumlearn import robust
from quorumlearn_proto import block_pb2 as b

from benchmarks.encrypted_aggregation import exact
from benchmarks.overhead import played_task


@pytest.mark.timeout(300)
def test_noise_is_kept_out_by_both_and_the_encrypted_sketches_are_the_plain_ones() -> None:
    """Round 11 is a small one, ten miners; `play` compares every opened sketch with its twin."""
    one = exact.play(11, ("noise",), None, encrypted=True)
    assert one.kept_out == one.kept_out_by_both == one.clearly_out == one.clearly_out_by_both == one.byzantine
    assert one.differing == 0
    assert one.excess == 0.0
    told = exact.summary([one])
    assert told["kept_out_by_both"] == told["clearly_out_by_both"] == told["rounds_within"] == 1.0


def test_with_a_margin_fewer_are_kept_and_none_that_were_not_without() -> None:
    """Label flips are hard to tell from honest updates in round 3."""
    plain = exact.play(3, ("label-flip",), None, encrypted=False)
    strict = exact.play(3, ("label-flip",), None, encrypted=False, margin=0.07)
    assert plain.kept == plain.kept_by_sketches == strict.kept == plain.miners - plain.byzantine
    assert strict.kept / 2 <= strict.kept_by_sketches < strict.kept
    assert strict.kept_out_by_both >= plain.kept_out_by_both
    assert strict.honest_kept_by_both <= plain.honest_kept_by_both <= plain.honest_kept


def test_what_attackers_expect_is_multi_krums_answer() -> None:
    rng = np.random.default_rng(5)
    for byzantine in (1, 3, 5):
        sketches = rng.normal(size=(13, 40)) * rng.uniform(0.5, 2, (13, 1))
        weights = robust.MultiKrum(byzantine).weights(sketches).values
        assert np.array_equal(exact.expected(sketches, byzantine), weights)


def test_a_round_lasts_until_the_next_and_its_phases_add_up() -> None:
    first: dict[int, int] = {b.KEY: 0, b.COMMIT: 1000, b.BEACON: 1500, b.REVEAL: 1600, b.ENDED: 4000}
    last: dict[int, int] = {b.KEY: 4000, b.COMMIT: 4200, b.BEACON: 5000, b.REVEAL: 5000, b.ENDED: 6000}
    assert played_task.ends([first, last]) == [4200, 6000]
    assert played_task.phases(first) == {"COMMIT": 0.5, "BEACON": 0.1, "REVEAL": 2.4}
    assert played_task.phases(last) == {"COMMIT": 0.8, "BEACON": 0.0, "REVEAL": 1.0}
