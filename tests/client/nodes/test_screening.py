"""From revealed submissions to verdicts: whose shares count, who is blamed, and that all honest verifiers say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from quorumlearn import ckks, robust
from quorumlearn.artifacts import ArtifactMissing, ArtifactStore, StoreUnavailable
from quorumlearn.nodes import screening
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.screening import Shares, Sketched
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import Coverage
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import RobustRule, TaskSpec

from tests.scenarios.crafted import overflowing

SEED = b"common"
MINERS = ("M/a", "M/b", "M/c")


class Committee:
    """Three seats of which two open, and updates encrypted under their key."""

    def __init__(self) -> None:
        self.parameters = ckks.Parameters.choose(700, seats=3, threshold=2, max_weight_sum=8, sketch_size=64)
        self.key, self.shares = self._ceremony()
        self.foreign = self._ceremony()[1]
        self.plan = ckks.SketchPlan.from_beacon(self.parameters, b"beacon")
        random = np.random.default_rng(5)
        self.values = {miner: random.integers(-900, 901, 700) for miner in MINERS}

    def _ceremony(self) -> tuple[bytes, dict[int, bytes]]:
        p = self.parameters
        drawn = {seat: ckks.new_key_share(p, SEED) for seat in (1, 2, 3)}
        dealt = [ckks.deal(p, one.secret, (1, 2, 3)) for one in drawn.values()]
        key = ckks.collective_key(p, SEED, {seat: one.public for seat, one in drawn.items()})
        return key, {seat: ckks.sum_shares(p, [part[seat] for part in dealt]) for seat in (1, 2, 3)}

    def update(self, values: NDArray[np.int64]) -> bytes:
        return ckks.encrypt(self.parameters, self.key, values)

    def sketched(self) -> list[Sketched]:
        return [self.sketched_one(miner, self.update(self.values[miner])) for miner in MINERS]

    def sketched_one(self, miner: str, update: bytes) -> Sketched:
        ciphertext = ckks.sketch(self.parameters, self.plan, ckks.parse(self.parameters, update))
        return Sketched(Coverage(miner=miner, reason=b.CONTRIBUTES), ciphertext)

    def posted(self, seat: int, sketched: list[Sketched], *, lies: bool = False) -> Shares:
        """What a seat says that covers everything; a liar's shares are of another key."""
        share = (self.foreign if lies else self.shares)[seat]
        return Shares(
            {one.coverage.miner: b.CONTRIBUTES for one in sketched},
            {
                one.coverage.miner: ckks.sketch_share(self.parameters, self.plan, share, one.ciphertext)
                for one in sketched
                if one.ciphertext is not None
            },
        )

    def plain(self, miner: str) -> NDArray[np.float64]:
        return ckks.plain_sketch(self.parameters, self.plan, self.values[miner])


@pytest.fixture(scope="module")
def committee() -> Committee:
    return Committee()


def opened(committee: Committee, sketched: list[Sketched], shares: dict[int, Shares]) -> dict[str, object]:
    return dict(screening.open_sketches(committee.parameters, committee.plan, sketched, shares))


@pytest.mark.parametrize("liar", [None, 1, 2, 3])
def test_sketches_open_to_their_updates_whoever_of_three_lies(committee: Committee, liar: int | None) -> None:
    sketched = committee.sketched()
    shares = {seat: committee.posted(seat, sketched, lies=seat == liar) for seat in (1, 2, 3)}
    found = opened(committee, sketched, shares)
    for miner in MINERS:
        np.testing.assert_allclose(found[miner], committee.plain(miner), atol=1e-9)


def test_verifiers_with_the_same_posts_open_to_the_same_numbers(committee: Committee) -> None:
    sketched = committee.sketched()
    shares = {seat: committee.posted(seat, sketched, lies=seat == 2) for seat in (3, 2, 1)}
    first = opened(committee, sketched, shares)
    second = opened(committee, sketched, dict(sorted(shares.items())))
    for miner in MINERS:
        assert (np.asarray(first[miner]) == np.asarray(second[miner])).all()


def test_a_seat_that_posted_nothing_usable_is_left_out(committee: Committee) -> None:
    sketched = committee.sketched()
    shares = {seat: committee.posted(seat, sketched) for seat in (2, 3)}
    shares[1] = Shares(dict.fromkeys(MINERS, b.MISSING_ARTIFACT), {})
    found = opened(committee, sketched, shares)
    np.testing.assert_allclose(found["M/b"], committee.plain("M/b"), atol=1e-9)


def test_shares_that_no_two_seats_agree_on_blame_no_miner(committee: Committee) -> None:
    sketched = committee.sketched()
    shares = {seat: committee.posted(seat, sketched, lies=seat != 1) for seat in (1, 2)}
    with pytest.raises(ckks.BadPartial, match="not the miners"):
        opened(committee, sketched, shares)


def test_an_update_out_of_range_is_blamed_on_its_miner_alone(committee: Committee) -> None:
    sketched = committee.sketched()
    sketched[2] = committee.sketched_one("M/c", overflowing(committee.parameters, committee.key))
    shares = {seat: committee.posted(seat, sketched) for seat in (1, 2, 3)}
    found = opened(committee, sketched, shares)
    assert found["M/c"] == b.OUT_OF_RANGE
    np.testing.assert_allclose(found["M/a"], committee.plain("M/a"), atol=1e-9)


def test_what_nobody_could_sketch_has_the_reason_that_most_give(committee: Committee) -> None:
    sketched = committee.sketched()
    sketched[0] = Sketched(Coverage(miner="M/a", reason=b.MALFORMED), None)
    shares = {seat: committee.posted(seat, sketched) for seat in (1, 2, 3)}
    given = {1: b.MALFORMED, 2: b.MISSING_ARTIFACT, 3: b.MALFORMED}
    shares = {seat: Shares({**one.reasons, "M/a": given[seat]}, one.shares) for seat, one in shares.items()}
    assert opened(committee, sketched, shares)["M/a"] == b.MALFORMED
    shares[3] = Shares({**shares[3].reasons, "M/a": b.MISSING_ARTIFACT}, shares[3].shares)
    assert opened(committee, sketched, shares)["M/a"] == b.MISSING_ARTIFACT


def test_an_update_that_others_have_and_this_verifier_lacks_is_waited_for(committee: Committee) -> None:
    sketched = committee.sketched()
    shares = {seat: committee.posted(seat, sketched) for seat in (1, 2, 3)}
    sketched[1] = Sketched(Coverage(miner="M/b", reason=b.MISSING_ARTIFACT), None)
    with pytest.raises(ArtifactMissing, match="M/b"):
        opened(committee, sketched, shares)


def submission(miner: str, ref: ArtifactRef) -> b.Submission:
    return b.Submission(miner=miner, commit_tx=miner, manifest=b.Manifest(miner=miner, update=ref))


def test_a_submission_is_sketched_or_says_why_not(committee: Committee, tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"), create=True)
    p, plan = committee.parameters, committee.plan

    def covered(ref: ArtifactRef) -> int:
        found = screening.sketch_submission(store, p, plan, submission("M/a", ref))
        assert (found.ciphertext is not None) == (found.coverage.reason == b.CONTRIBUTES)
        assert (found.coverage.miner, found.coverage.update) == ("M/a", ref.digest)
        return found.coverage.reason

    good = store.put(committee.update(committee.values["M/a"]))
    assert covered(good) == b.CONTRIBUTES
    assert covered(ArtifactRef(digest=good.digest, size=good.size - 1)) == b.MALFORMED
    assert covered(store.put(bytes(p.update_bytes))) == b.MALFORMED
    assert covered(ArtifactRef(digest="ab" * 32, size=p.update_bytes)) == b.MISSING_ARTIFACT
    next((tmp_path / "store").rglob(good.digest)).write_bytes(bytes(good.size))
    assert covered(good) == b.MISSING_ARTIFACT


def test_a_store_that_is_away_is_no_fault_of_the_miner(committee: Committee, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = ArtifactStore(str(folder), create=True)
    ref = store.put(committee.update(committee.values["M/a"]))
    folder.rename(tmp_path / "away")
    with pytest.raises(StoreUnavailable):
        screening.sketch_submission(store, committee.parameters, committee.plan, submission("M/a", ref))


def _spec(committee: Committee, **parameters: str) -> TaskSpec:
    return TaskSpec(
        task_id="t",
        byzantine=1,
        rule=RobustRule(name="multi-krum", parameters=parameters),
        ckks=record_of(committee.parameters),
    )


REF = ArtifactRef(digest="ab" * 32, size=1)


def test_each_miner_of_the_round_has_one_verdict_in_the_rounds_order(committee: Committee) -> None:
    random = np.random.default_rng(3)
    centre = random.normal(size=64)
    near = {f"M/h{i}": centre + 0.1 * random.normal(size=64) for i in range(5)}
    opened_sketches: dict[str, object] = {
        **near,
        "M/copy": near["M/h0"],
        "M/far": 30 * random.normal(size=64),
    }
    opened_sketches |= {"M/bad": b.MALFORMED, "M/lost": b.MISSING_ARTIFACT}
    submissions = {miner: submission(miner, REF) for miner in opened_sketches}
    submissions["M/hidden"] = b.Submission(miner="M/hidden", commit_tx="M/hidden")
    miners = sorted([*submissions, "M/away"])
    chain = {miner: (1, place) for place, miner in enumerate(["M/h0", *(m for m in miners if m != "M/h0")])}
    spec = _spec(committee, norm_limit="1000")
    spec.byzantine = (
        5  # four of them are found by other means: the copy, the malformed, the missing and the hidden
    )
    selection = screening.select(
        spec,
        b.Round(miners=miners),
        submissions,
        opened_sketches,
        lambda tx: chain[tx],  # type: ignore[arg-type]
    )
    assert [one.miner for one in selection.verdicts] == miners
    found = {one.miner: b.Reason.Name(one.reason) for one in selection.verdicts}
    assert {miner: found[miner] for miner in sorted(set(miners) - set(near))} == {
        "M/away": "ABSENT",
        "M/bad": "MALFORMED",
        "M/copy": "DUPLICATE",
        "M/far": "OUTLIER",
        "M/hidden": "WITHHELD",
        "M/lost": "MISSING_ARTIFACT",
    }
    assert {found[miner] for miner in near} == {"CONTRIBUTES"}
    assert next(one for one in selection.verdicts if one.miner == "M/copy").detail == "a copy of M/h0"
    assert all((one.weight > 0) == (one.reason == b.CONTRIBUTES) for one in selection.verdicts)


def test_of_two_equal_updates_the_later_on_the_chain_is_the_copy(committee: Committee) -> None:
    sketch = np.random.default_rng(1).normal(size=64)
    submissions = {miner: submission(miner, REF) for miner in ("M/a", "M/b")}
    for order, copy in (({"M/a": (3, 1), "M/b": (3, 0)}, "M/a"), ({"M/a": (2, 9), "M/b": (3, 0)}, "M/b")):
        selection = screening.select(
            _spec(committee),
            b.Round(miners=["M/a", "M/b"]),
            submissions,
            dict.fromkeys(submissions, sketch),
            order.__getitem__,
        )
        assert [one.miner for one in selection.verdicts if one.reason == b.DUPLICATE] == [copy]


def test_nobody_to_rank_is_a_selection_of_nobody(committee: Committee) -> None:
    selection = screening.select(_spec(committee), b.Round(miners=["M/a"]), {}, {}, lambda _: (0, 0))
    assert [(one.miner, one.weight, one.reason) for one in selection.verdicts] == [("M/a", 0, b.ABSENT)]


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "much", ""])
def test_a_limit_that_is_no_number_above_zero_is_refused(committee: Committee, value: str) -> None:
    with pytest.raises(robust.RuleError, match="norm_limit"):
        screening.rule_of(_spec(committee, norm_limit=value))


def test_a_rule_that_does_not_exist_is_refused(committee: Committee) -> None:
    spec = _spec(committee)
    spec.rule.name = "best"
    with pytest.raises(robust.RuleError, match="best"):
        screening.rule_of(spec)
