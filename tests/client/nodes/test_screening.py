"""From revealed submissions to coverages, and from opened sketches to verdicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn import ckks, robust
from quorumlearn.artifacts import ArtifactStore, StoreUnavailable
from quorumlearn.ckks import workers as pool
from quorumlearn.nodes import candidate, screening
from quorumlearn.nodes.encryption import record_of
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import RobustRule, TaskSpec

from tests.client.ckks.programs import deadly_program
from tests.client.nodes.committee import Committee, committee_of


@pytest.fixture(scope="module")
def committee() -> Committee:
    return committee_of(3, 2, 3)


def submission(miner: str, ref: ArtifactRef) -> b.Submission:
    return b.Submission(miner=miner, commit_tx=miner, manifest=b.Manifest(miner=miner, update=ref))


def test_each_submission_is_sketched_or_says_why_not(committee: Committee, tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"), create=True)
    p, plan = committee.parameters, committee.plan
    good, lost = (store.put(committee.update(committee.values[miner])) for miner in ("M/a", "M/b"))
    next((tmp_path / "store").rglob(lost.digest)).write_bytes(bytes(lost.size))
    refs = {
        "M/short": (ArtifactRef(digest=good.digest, size=good.size - 1), b.MALFORMED),
        "M/good": (good, b.CONTRIBUTES),
        "M/zeros": (store.put(bytes(p.update_bytes)), b.MALFORMED),
        "M/away": (ArtifactRef(digest="ab" * 32, size=p.update_bytes), b.MISSING_ARTIFACT),
        "M/lost": (lost, b.MISSING_ARTIFACT),
        "M/again": (good, b.CONTRIBUTES),
    }
    sent = [submission(miner, ref) for miner, (ref, _) in refs.items()]
    found = screening.sketch_submissions(store, p, plan, sent, ckks.Workers(0))
    assert [one.coverage.miner for one in found] == list(refs)
    for one, (ref, reason) in zip(found, refs.values(), strict=True):
        assert (one.coverage.reason, one.coverage.update) == (reason, ref.digest)
        assert (one.ciphertext is not None) == (reason == b.CONTRIBUTES)


def test_bytes_that_kill_their_reader_are_malformed_and_nothing_else_is(
    committee: Committee, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ArtifactStore(str(tmp_path / "store"), create=True)
    refs = [store.put(committee.update(committee.values[miner])) for miner in committee.miners]
    ending = store.get(refs[1], committee.parameters.update_bytes)[-32:]
    monkeypatch.setattr(pool, "PROGRAM", deadly_program(tmp_path, ending))
    sent = [submission(miner, ref) for miner, ref in zip(committee.miners, refs, strict=True)]
    with ckks.Workers(1) as workers:
        found = screening.sketch_submissions(store, committee.parameters, committee.plan, sent, workers)
    assert [one.coverage.reason for one in found] == [b.CONTRIBUTES, b.MALFORMED, b.CONTRIBUTES]


def test_an_update_that_was_read_once_can_be_summed_when_the_store_has_lost_it(
    committee: Committee, tmp_path: Path
) -> None:
    store = ArtifactStore(str(tmp_path / "store"), create=True, copies=tmp_path / "copies")
    p, plan = committee.parameters, committee.plan
    ref = store.put(committee.update(committee.values["M/a"]))
    sent = submission("M/a", ref)
    screening.sketch_submissions(store, p, plan, [sent], ckks.Workers(0))
    assert store.delete(ref)
    chosen = b.Selection(verdicts=[b.Verdict(miner="M/a", weight=1, reason=b.CONTRIBUTES)])
    assert candidate.aggregate_ciphertexts(store, p, b.Round(selection=chosen), {"M/a": sent}).to_bytes()


def test_a_store_that_is_away_is_no_fault_of_the_miner(committee: Committee, tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = ArtifactStore(str(folder), create=True)
    ref = store.put(committee.update(committee.values["M/a"]))
    folder.rename(tmp_path / "away")
    with pytest.raises(StoreUnavailable):
        screening.sketch_submissions(
            store, committee.parameters, committee.plan, [submission("M/a", ref)], ckks.Workers(0)
        )


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
    opened_sketches: dict[str, screening.Sketch | screening.Reason] = {
        **near,
        "M/copy": near["M/h0"],
        "M/far": 30 * random.normal(size=64),
    }
    opened_sketches |= {"M/bad": b.MALFORMED, "M/lost": b.MISSING_ARTIFACT, "M/liar": b.FALSE_CLAIM}
    submissions = {miner: submission(miner, REF) for miner in opened_sketches}
    submissions["M/hidden"] = b.Submission(miner="M/hidden", commit_tx="M/hidden")
    miners = sorted([*submissions, "M/away"])
    chain = {miner: (1, place) for place, miner in enumerate(["M/h0", *(m for m in miners if m != "M/h0")])}
    spec = _spec(committee, norm_limit="1000")
    spec.byzantine = 6  # five of them are found by other means: the copy, the malformed, the missing, the liar and the hidden
    spec.min_aggregate = 5
    selection = screening.select(
        spec,
        b.Round(miners=miners),
        submissions,
        opened_sketches,
        lambda tx: chain[tx],
    )
    assert [one.miner for one in selection.verdicts] == miners
    found = {one.miner: b.Reason.Name(one.reason) for one in selection.verdicts}
    assert {miner: found[miner] for miner in sorted(set(miners) - set(near))} == {
        "M/away": "ABSENT",
        "M/bad": "MALFORMED",
        "M/copy": "DUPLICATE",
        "M/far": "OUTLIER",
        "M/hidden": "WITHHELD",
        "M/liar": "FALSE_CLAIM",
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


@pytest.mark.parametrize("value", ["0", "1", "1.5", "-0.1", "nan", "some"])
def test_the_part_that_must_be_new_is_one(committee: Committee, value: str) -> None:
    with pytest.raises(robust.RuleError, match=r"least_new = .*; it must be a number above 0 and below 1"):
        screening.rule_of(_spec(committee, least_new=value))


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "much", ""])
def test_a_limit_that_is_no_number_above_zero_is_refused(committee: Committee, value: str) -> None:
    with pytest.raises(robust.RuleError, match="norm_limit"):
        screening.rule_of(_spec(committee, norm_limit=value))


def test_a_rule_that_does_not_exist_is_refused(committee: Committee) -> None:
    spec = _spec(committee)
    spec.rule.name = "best"
    with pytest.raises(robust.RuleError, match="best"):
        screening.rule_of(spec)


def test_the_chain_is_asked_for_the_order_of_commits_only_if_there_are_copies(committee: Committee) -> None:
    random = np.random.default_rng(5)
    opened = {f"M/m{i}": random.normal(size=64) for i in range(6)}
    submissions = {miner: submission(miner, REF) for miner in opened}
    asked: list[str] = []

    def position(transaction: str) -> tuple[int, int]:
        asked.append(transaction)
        return 1, -len(asked)

    def chosen(beacon: str) -> list[str]:
        now = b.Round(miners=sorted(opened), beacon=beacon)
        selection = screening.select(_spec(committee, norm_limit="1000"), now, submissions, opened, position)
        return [one.miner for one in selection.verdicts if one.weight]

    assert len(chosen("aa")) == 5
    assert not asked
    opened["M/m5"] = opened["M/m2"]
    assert "M/m2" not in chosen("aa")  # which committed later, as this chain has it
    assert sorted(asked) == sorted(opened)


def test_a_tie_is_broken_by_the_beacon_and_not_by_names_or_haste(committee: Committee) -> None:
    corners = np.eye(64)[:5]  # of five equally far from each other one too many
    opened = {f"M/m{i}": corner for i, corner in enumerate(corners)}
    submissions = {miner: submission(miner, REF) for miner in opened}

    def left(beacon: str) -> list[str]:
        now = b.Round(miners=sorted(opened), beacon=beacon)
        spec = _spec(committee, norm_limit="1000")
        verdicts = screening.select(spec, now, submissions, opened, lambda _: (0, 0)).verdicts
        return [one.miner for one in verdicts if not one.weight]

    drawn = [left(f"{number:02x}") for number in range(60)]
    assert drawn == [left(f"{number:02x}") for number in range(60)]
    assert {miner for (miner,) in drawn} == set(opened)
