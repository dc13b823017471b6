"""What a selection says of work: whose stands counts once a team, replicas are paid alike, and no statistics judge it in mode RECOMPUTE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from quorumlearn import ckks
from quorumlearn.nodes import screening
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.screening import Reason, Sketch
from quorumlearn.nodes.work.useful_work import Unsound
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.recompute import drawn_items, replayers
from quorumlearn_proto.work import work_fault

PARAMETERS = ckks.Parameters.choose(300, seats=3, threshold=2)
ROOT, OTHER = "aa" * 32, "bb" * 32
ONE, TWO = np.full(PARAMETERS.sketch_size, 0.25), np.full(PARAMETERS.sketch_size, 0.5)


def spec_of(replicas: int = 1, **changes: object) -> t.TaskSpec:
    spec = t.TaskSpec(
        task_id="task",
        mode=t.RECOMPUTE,
        max_miners=9,
        min_aggregate=2,
        ckks=record_of(PARAMETERS),
        rule=t.RobustRule(name="mean"),
        committee=t.Committee(msp_ids=["V1", "V2", "V3"], threshold=2),
        recompute=t.Recompute(
            chunks=9, chunks_per_miner=2, chunk_steps=4, segment_steps=2, segments=2, replicas=replicas
        ),
    )
    for name, value in changes.items():
        setattr(spec.recompute, name, value)
    return spec


class Round:
    """A round of these teams; each miner did 8 steps, with the root and the sketch that it is given."""

    def __init__(self, spec: t.TaskSpec, teams: Sequence[Sequence[str]]) -> None:
        self.spec = spec
        self.now = b.Round(task_id="task", number=1, beacon="be" * 32)
        self.submissions: dict[str, b.Submission] = {}
        self.sketches: dict[str, Sketch | Reason] = {}
        for team in teams:
            self.now.teams.add(miners=team, chunks=[0, 1])
        self.now.miners.extend(sorted(miner for team in teams for miner in team))

    def did(self, miner: str, root: str = ROOT, sketch: Sketch | Reason = ONE, steps: int = 8) -> None:
        manifest = b.Manifest(miner=miner, trace_root=root, steps=steps)
        self.submissions[miner] = b.Submission(task_id="task", round=1, miner=miner, manifest=manifest)
        self.sketches[miner] = sketch

    def selected(self, unsound: Mapping[str, Unsound] = {}) -> dict[str, b.Verdict]:
        found = screening.select(
            self.spec,
            self.now,
            self.submissions,
            self.sketches,
            lambda _: (0, 0),
            unsound=unsound,
        )
        manifests = {miner: one.manifest for miner, one in self.submissions.items()}
        fault = work_fault(self.spec, self.now, list(found.verdicts), manifests, dict.fromkeys((1, 2, 3), ""))
        assert fault == "", "the ledger takes it"
        return {one.miner: one for one in found.verdicts}


def alone(*miners: str, pay_by_steps: bool = False) -> Round:
    made = Round(spec_of(pay_by_steps=pay_by_steps), [[miner] for miner in miners])
    for place, miner in enumerate(miners):
        made.did(miner, f"{place:064x}", ONE * (place + 1))
    return made


def test_equal_far_and_old_updates_all_count_alike() -> None:
    """A rule would call the second a copy, the third an outlier."""
    made = alone("M/a", "M/b", "M/c")
    made.did("M/b", OTHER, ONE)
    made.did("M/c", OTHER, ONE * 4)
    found = made.selected()
    assert {(one.reason, one.weight, one.share) for one in found.values()} == {(b.CONTRIBUTES, 1, 0)}


def test_a_sketch_beyond_all_updates_is_out_of_range() -> None:
    made = alone("M/a", "M/b", "M/c")
    made.did("M/c", OTHER, ONE * 1e6)
    found = made.selected()
    assert found["M/c"].reason == b.OUT_OF_RANGE
    assert found["M/a"].weight == 1


def test_too_few_to_be_added_up_are_not_selected() -> None:
    found = alone("M/a").selected()
    assert (found["M/a"].reason, found["M/a"].weight) == (b.NOT_SELECTED, 0)


@pytest.mark.parametrize("sketch", [ONE, b.MALFORMED, b.FALSE_CLAIM, b.MISSING_ARTIFACT])
def test_wrong_work_comes_before_whatever_its_sketch_says(sketch: Sketch | Reason) -> None:
    made = alone("M/a", "M/b", "M/c")
    made.did("M/c", OTHER, sketch)
    found = made.selected({"M/c": Unsound(b.WRONG_WORK, "", _proof(made, "M/c"))})
    assert (found["M/c"].reason, found["M/c"].weight, found["M/c"].share) == (b.WRONG_WORK, 0, 0)
    assert [found[one].weight for one in ("M/a", "M/b")] == [1, 1]


def test_what_costs_stake_is_not_hidden_by_an_opening_that_is_missing() -> None:
    made = alone("M/a", "M/b", "M/c")
    made.did("M/c", OTHER, b.MALFORMED)
    found = made.selected({"M/c": Unsound(b.MISSING_ARTIFACT, "")})
    assert found["M/c"].reason == b.MALFORMED


def test_whose_trace_is_not_opened_is_not_sketched_and_says_so() -> None:
    made = alone("M/a", "M/b", "M/c")
    del made.sketches["M/c"]
    assert made.selected()["M/c"].reason == b.NO_TRACE


def test_pay_by_steps_is_the_weight_for_each_chunk() -> None:
    made = alone("M/a", "M/b", pay_by_steps=True)
    made.did("M/b", OTHER, ONE, steps=4)
    found = made.selected()
    assert [(found[one].weight, found[one].share) for one in ("M/a", "M/b")] == [(1, 2), (1, 1)]


def test_with_a_robust_rule_beside_it_statistics_judge_the_work_that_stands_and_no_other() -> None:
    made = alone("M/a", "M/b", "M/c", "M/d")
    made.spec.mode = t.ROBUST_AND_RECOMPUTE
    for miner, sketch in (("M/a", ONE), ("M/b", ONE * 1.1), ("M/c", ONE), ("M/d", ONE * 1.2)):
        made.did(miner, sketch=sketch, root=made.submissions[miner].manifest.trace_root)
    found = made.selected()
    assert found["M/c"].reason == b.DUPLICATE
    found = made.selected({"M/a": Unsound(b.WRONG_WORK, "", _proof(made, "M/a"))})
    assert (found["M/a"].reason, found["M/c"].reason) == (b.WRONG_WORK, b.CONTRIBUTES)


# Replicas

PAIRS = [["A/a", "B/a"], ["A/b", "B/b"], ["A/c", "B/c"]]


def pairs(**changes: object) -> Round:
    made = Round(spec_of(2, **changes), PAIRS)
    for place, team in enumerate(PAIRS):
        for miner in team:
            made.did(miner, f"{place:064x}", ONE * (place + 1))
    return made


@pytest.mark.parametrize("sealed", [False, True])
def test_of_equal_work_one_counts_and_all_are_paid(sealed: bool) -> None:
    found = pairs(sealed=sealed).selected()
    for team in PAIRS:
        assert sorted((found[one].reason, found[one].weight, found[one].share) for one in team) == [
            (b.CONTRIBUTES, 1, 0),
            (b.REPLICA, 0, 1),
        ]


def test_replicas_that_differ_are_unconfirmed_and_lose_no_more_than_pay() -> None:
    made = pairs()
    made.did("B/a", OTHER, TWO)
    found = made.selected()
    assert {found[one].reason for one in PAIRS[0]} == {b.UNCONFIRMED}
    assert {found[one].reason for one in PAIRS[1]} == {b.CONTRIBUTES, b.REPLICA}


def test_where_seats_replay_a_wrong_replica_harms_its_mate_no_more() -> None:
    made = pairs()
    made.did("B/a", OTHER, TWO)
    found = made.selected({"B/a": Unsound(b.WRONG_WORK, "", _proof(made, "B/a"))})
    assert (found["A/a"].reason, found["A/a"].weight) == (b.CONTRIBUTES, 1)


def test_where_nobody_replays_a_replica_alone_confirms_nothing() -> None:
    made = pairs(sealed=True)
    del made.submissions["B/a"], made.sketches["B/a"]
    found = made.selected()
    assert (found["A/a"].reason, found["B/a"].reason) == (b.UNCONFIRMED, b.ABSENT)


def test_a_majority_of_three_decides_and_the_odd_one_is_unconfirmed() -> None:
    team = ["A/a", "B/a", "C/a"]
    made = Round(spec_of(3, sealed=True), [team, ["A/b", "B/b", "C/b"]])
    for number, miners in enumerate(made.now.teams):
        for miner in miners.miners:
            made.did(miner, f"{number:064x}", ONE * (number + 1))
    made.did("C/a", OTHER, TWO)
    found = made.selected()
    assert found["C/a"].reason == b.UNCONFIRMED
    assert {found[one].reason for one in team[:2]} == {b.CONTRIBUTES, b.REPLICA}


def test_another_update_behind_the_same_root_is_a_false_claim() -> None:
    team = ["A/a", "B/a", "C/a"]
    made = Round(spec_of(3, sealed=True), [team, ["A/b", "B/b", "C/b"]])
    for number, miners in enumerate(made.now.teams):
        for miner in miners.miners:
            made.did(miner, f"{number:064x}", ONE * (number + 1))
    made.did("C/a", f"{0:064x}", TWO)
    found = made.selected()
    assert found["C/a"].reason == b.FALSE_CLAIM
    assert {found[one].reason for one in team[:2]} == {b.CONTRIBUTES, b.REPLICA}


@pytest.mark.parametrize("lie", [b.MISSING_ARTIFACT, b.MALFORMED, TWO], ids=str)
def test_a_mate_of_the_same_root_that_sends_nothing_or_another_update_costs_no_standing(
    lie: Sketch | Reason,
) -> None:
    """It has trained, or has the root of who has, and would have its honest mate called a liar for it."""
    made = pairs(sealed=True)
    made.did("B/a", f"{0:064x}", lie)
    found = made.selected()
    assert found["A/a"].reason == b.UNCONFIRMED
    assert {found[one].reason for one in PAIRS[1]} == {b.CONTRIBUTES, b.REPLICA}


def test_an_organisation_alone_confirms_nothing() -> None:
    """Its miners can have made up the same work, and nobody replays it."""
    teams = [["A/a", "A/b"], ["A/c", "B/c"], ["C/a", "B/b"]]
    made = Round(spec_of(2, sealed=True), teams)
    for place, team in enumerate(teams):
        for miner in team:
            made.did(miner, f"{place:064x}", ONE * (place + 1))
    found = made.selected()
    assert {found[one].reason for one in teams[0]} == {b.UNCONFIRMED}
    assert all(found[one].reason in (b.CONTRIBUTES, b.REPLICA) for team in teams[1:] for one in team)


def test_two_of_three_are_no_majority_if_one_organisation_has_both() -> None:
    teams = [["A/a", "A/b", "B/a"], ["A/c", "B/c", "C/c"], ["A/d", "B/d", "C/d"]]
    made = Round(spec_of(3, sealed=True), teams)
    for place, team in enumerate(teams):
        for miner in team:
            made.did(miner, f"{place:064x}", ONE * (place + 1))
    made.did("B/a", OTHER, TWO)
    found = made.selected()
    assert {found[one].reason for one in teams[0]} == {b.UNCONFIRMED}


def test_what_one_organisation_has_done_twice_counts_where_seats_replay_it() -> None:
    made = Round(spec_of(2), [["A/a", "A/b"], ["A/c", "B/c"]])
    for place, team in enumerate([["A/a", "A/b"], ["A/c", "B/c"]]):
        for miner in team:
            made.did(miner, f"{place:064x}", ONE * (place + 1))
    found = made.selected()
    assert {found[one].reason for one in ("A/a", "A/b")} == {b.CONTRIBUTES, b.REPLICA}


def test_replicas_share_the_fate_of_the_mate_that_is_judged() -> None:
    made = pairs()
    for miner in PAIRS[0]:
        made.did(miner, ROOT, ONE * 1e6)
    found = made.selected()
    assert {(found[one].reason, found[one].share) for one in PAIRS[0]} == {(b.OUT_OF_RANGE, 0)}


def _proof(made: Round, miner: str) -> b.WorkProof:
    """A proof that the ledger takes: of a drawn item, by the seats for whom it is drawn."""
    steps = made.submissions[miner].manifest.steps
    item = drawn_items(made.spec, made.now.beacon, miner, steps)[0]
    seats = replayers(made.now.beacon, miner, item, [1, 2, 3], 2)
    return b.WorkProof(item=item, claimed="aa" * 32, replayed="bb" * 32, seats=seats)
