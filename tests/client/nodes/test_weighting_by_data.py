"""Weighting by data, as nodes do it: rules do not see classes, and a liar moves weights within bounds and no token."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from quorumlearn.nodes import screening
from quorumlearn.nodes.audit.pay import due
from quorumlearn.nodes.committee import guard
from quorumlearn.nodes.training import Told
from quorumlearn_chaincode.contracts.payment import by_share
from quorumlearn_chaincode.contracts.phases import selection_fault
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.classes import least_miners_by_class
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, ArtifactRef
from quorumlearn_proto.derived import least_aggregate

K = 32
TOP = 4
RULES = st.sampled_from(["mean", "multi-krum", "geometric-median", "nnm+multi-krum", "agreement"])


def task(rule: str = "multi-krum", f: int = 1, more: int = 0) -> t.TaskSpec:
    spec = t.TaskSpec(
        task_id="t",
        byzantine=f,
        rule=t.RobustRule(name=rule),
        sample_classes=[100, 1000, 5000],
        reward=t.RewardSplit(per_round=1000, miners_bp=10_000),
        ckks=t.CkksParameters(update_size=100, bound_steps=1 << 14, step_bits=14),
    )
    spec.min_miners = spec.max_miners = least_miners_by_class(spec) + more
    spec.ckks.max_weight_sum = 8 * TOP * spec.max_miners
    return spec


def submissions(spec: t.TaskSpec, claims: Sequence[int]) -> dict[str, b.Submission]:
    return {
        f"M/{number:02d}": b.Submission(
            miner=f"M/{number:02d}",
            manifest=b.Manifest(sample_class=claim, update=ArtifactRef(digest=f"{number:064x}", size=1)),
        )
        for number, claim in enumerate(claims)
    }


def voted(spec: t.TaskSpec, claims: Sequence[int], seed: int = 1) -> b.Selection:
    random = np.random.default_rng(seed)
    came = submissions(spec, claims)
    sketches: dict[str, NDArray[np.float64] | int] = {
        miner: 0.5 + 0.3 * random.random() * random.normal(size=K) for miner in came
    }
    now = b.Round(task_id="t", number=1, miners=sorted(came), beacon="be" * 32)
    selection = screening.select(spec, now, came, sketches, lambda _: (1, 0))
    assert selection_fault(spec, selection, now, came, []) == ""
    return selection


@settings(deadline=None, max_examples=60)
@given(RULES, st.integers(0, 3), st.integers(0, 6), st.integers(0, 1000), st.data())
def test_a_liar_changes_no_share_and_no_pay_and_stays_within_its_bound(
    rule: str, f: int, more: int, seed: int, data: st.DataObject
) -> None:
    """Whatever f liars claim against honest nodes whose classes stay as they are."""
    spec = task(rule, f, more)
    honest = data.draw(st.lists(st.integers(1, TOP), min_size=spec.max_miners, max_size=spec.max_miners))
    lies = data.draw(st.lists(st.integers(1, TOP), min_size=f, max_size=f))
    truth, lie = voted(spec, honest, seed), voted(spec, [*lies, *honest[f:]], seed)
    assert [(one.share, one.reason) for one in truth.verdicts] == [
        (one.share, one.reason) for one in lie.verdicts
    ]
    assert by_share(700, truth.verdicts) == by_share(700, lie.verdicts)
    least = least_aggregate(spec)
    chosen = [one for one in lie.verdicts if one.weight]
    assert len(chosen) >= least
    for one in chosen:
        alike = [other for other in chosen if other.weight == one.weight]
        assert len(alike) >= least
    liars = sum(one.weight for one in lie.verdicts[:f])
    # of a level with a liar in it at least two others are members
    assert liars * (f + 2) <= f * sum(one.weight for one in chosen)


def test_who_claims_the_top_alone_is_weighed_as_the_next_that_is_shared() -> None:
    spec = task("mean", 1, 2)
    claims = [TOP, *[2] * 4, *[1] * (spec.max_miners - 5)]
    assert sorted({one.weight for one in voted(spec, claims).verdicts}) == [1, 2]
    assert voted(spec, claims).verdicts[0].weight == 2


def test_the_top_class_weighs_as_often_as_it_says() -> None:
    spec = task("mean", 1, 4)
    claims = [*[TOP] * 3, *[1] * (spec.max_miners - 3)]
    weights = [one.weight for one in voted(spec, claims).verdicts]
    assert weights == claims


def opened(spec: t.TaskSpec, selection: b.Selection, claims: Sequence[int]) -> b.TaskView:
    view = b.TaskView()
    view.task.spec.CopyFrom(spec)
    came = submissions(spec, claims)
    view.round.task_id, view.round.number = "t", 1
    view.round.miners.extend(sorted(came))
    view.round.selection.CopyFrom(selection)
    view.submissions.extend(came.values())
    return view


def test_the_guard_and_so_the_audit_compute_weights_again() -> None:
    """A ledger whose quorum wrote past the contracts gives a liar the top class alone."""
    spec = task("mean", 1, 2)
    claims = [TOP, *[1] * (spec.max_miners - 1)]
    view = opened(spec, voted(spec, claims), claims)
    assert guard.fault(view, guard.expected(view, AGGREGATE_DECRYPTION)) == ""
    view.round.selection.verdicts[0].weight = TOP
    assert "M/00 has weight 4: 1" in guard.fault(view, guard.expected(view, AGGREGATE_DECRYPTION))


@pytest.mark.parametrize(("private", "samples", "told"), [(False, 999, (0, 2)), (True, 1000, (1000, 3))])
def test_a_manifest_tells_a_class_and_no_number_unless_training_is_private(
    private: bool, samples: int, told: tuple[int, int]
) -> None:
    given = Told.of(task(), samples, private=private)
    assert (given.samples, given.sample_class) == told
    assert Told.of(t.TaskSpec(), samples, private=False) == Told(0, 0)


def test_the_audits_own_pay_is_by_share() -> None:
    spec = task("mean", 1, 4)
    claims = [*[TOP] * 3, *[1] * (spec.max_miners - 3)]
    view = opened(spec, voted(spec, claims), claims)
    view.round.phase, view.round.outcome = b.ENDED, b.ABORTED
    view.screenings.add(seat=1).partial.digest = "ab" * 32
    found, _ = due(SimpleNamespace(spec=spec, views=[view], attempts={}))  # type: ignore[arg-type]
    assert {tokens for (_, who), tokens in found.items() if who.startswith("M/")} == {1000 // spec.max_miners}
