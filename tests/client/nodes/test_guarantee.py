"""How many miners rules need; what a rule withstands is said where a task is published and shown, and of each round."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from quorumlearn.analysis import report_of
from quorumlearn.cli import run
from quorumlearn.cli.account import fields_of, print_report
from quorumlearn.cli.live import TaskWatch
from quorumlearn.nodes.guarantee import round_lacks, task_lacks
from quorumlearn.robust import (
    MIXTURES,
    RULES,
    MultiKrum,
    TooFewVectors,
    largest_byzantine,
    make_rule,
)
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.rules import NEEDED, UnknownNeed, vectors_needed
from rich.console import Console


def spec(
    minimum: int, maximum: int, byzantine: int, rule: str = "multi-krum", **parameters: str
) -> t.TaskSpec:
    return t.TaskSpec(
        task_id="t",
        rounds=1,
        min_miners=minimum,
        max_miners=maximum,
        byzantine=byzantine,
        rule=t.RobustRule(name=rule, parameters=parameters),
    )


def selection(**counts: int) -> b.Selection:
    """So many verdicts of each reason."""
    made = b.Selection()
    for reason, count in counts.items():
        for _ in range(count):
            made.verdicts.add(
                miner=f"M/{len(made.verdicts)}", reason=reason, weight=int(reason == "CONTRIBUTES")
            )
    return made


@pytest.mark.parametrize("f", range(1, 6))
def test_multi_krum_weighs_as_many_as_it_needs_and_not_one_less(f: int) -> None:
    needed = vectors_needed("multi-krum", {}, f)
    assert needed is not None
    x = np.random.default_rng(f).normal(size=(needed, 16))
    MultiKrum(f).weights(x)
    assert largest_byzantine(needed) == f
    with pytest.raises(TooFewVectors):
        MultiKrum(f).weights(x[1:])


@pytest.mark.parametrize("name", [*RULES, *(f"{before}+{rule}" for before in MIXTURES for rule in RULES)])
def test_every_rule_says_what_it_needs_and_more_for_more_cheats(name: str) -> None:
    assert set(NEEDED) == set(RULES)
    needed = [vectors_needed(name, {}, f) for f in range(5)]
    assert needed[0] == 1
    if None in needed:
        assert needed[1:] == [None] * 4
    else:
        assert needed == sorted({one for one in needed if one is not None})


def test_with_too_few_a_majority_of_copies_of_one_lie_wins_and_with_enough_it_does_not() -> None:
    """The line between 2 f and 2 f + 1, for rules that need an honest majority."""
    for name in ("geometric-median", "centred-clipping"):
        for f in (2, 3):
            needed = vectors_needed(name, {}, f)
            assert needed == 2 * f + 1
            honest = 1 + 0.01 * np.random.default_rng(f).normal(size=(needed - f, 8))
            x = np.vstack([np.full((f, 8), -50.0), honest])
            weights = make_rule(name, {}, f).weights(x).values
            assert ((weights @ x) / weights.sum() > 0).all()


def test_buckets_need_as_many_as_the_rule_needs_buckets() -> None:
    assert vectors_needed("bucketing+multi-krum", {}, 2) == 2 * 6 + 1
    assert vectors_needed("bucketing+multi-krum", {"bucket_size": "3"}, 2) == 3 * 6 + 1
    assert vectors_needed("bucketing+nnm+geometric-median", {"bucket_size": "1"}, 2) == 5
    for name, parameters in (("best", {}), ("best+mean", {}), ("bucketing+multi-krum", {"bucket_size": "x"})):
        with pytest.raises(UnknownNeed, match=r"best|bucket_size = 'x'"):
            vectors_needed(name, parameters, 2)


@pytest.mark.parametrize(
    ("task", "says"),
    [
        (spec(9, 9, 2, "mean"), "mean withstands no cheat"),
        (spec(9, 9, 2, "nnm+l-nearest"), "nnm+l-nearest withstands no cheat"),
        (spec(9, 9, 2, "of-the-future"), "not known here"),
    ],
)
def test_a_task_says_what_its_rule_lacks(task: t.TaskSpec, says: str) -> None:
    assert says in task_lacks(task)


@pytest.mark.parametrize(
    "task", [spec(7, 8, 2), spec(1, 8, 0), spec(5, 9, 2, "agreement"), spec(3, 9, 0, "mean")]
)
def test_a_task_that_lacks_nothing_says_nothing(task: t.TaskSpec) -> None:
    assert task_lacks(task) == ""


@pytest.mark.parametrize(
    ("verdicts", "says"),
    [
        (selection(CONTRIBUTES=4, NOT_SELECTED=2), "l-nearest withstands no cheat, and 2 of 6 might be one"),
        (selection(CONTRIBUTES=5, DUPLICATE=1, ABSENT=1), "and 1 of 5 might be one"),
        (selection(CONTRIBUTES=4, WITHHELD=1, MALFORMED=1), ""),
        (selection(), ""),
    ],
)
def test_a_round_says_how_many_cheats_its_rule_may_have_missed(verdicts: b.Selection, says: str) -> None:
    found = round_lacks(spec(6, 8, 2, "l-nearest"), verdicts)
    assert says in found
    assert bool(says) == bool(found)
    assert round_lacks(spec(7, 8, 2), verdicts) == ""


def test_the_report_and_the_live_view_tell_of_a_weak_round(capsys: pytest.CaptureFixture[str]) -> None:
    task = spec(6, 8, 2, "l-nearest")
    task.ckks.update_size = 10
    view = b.TaskView(task=t.Task(spec=task))
    view.round.number, view.round.phase, view.round.outcome = 1, b.ENDED, b.ACCEPTED
    view.round.times.add(phase=b.ENDED, entered_ms=1)
    view.round.selection.CopyFrom(selection(CONTRIBUTES=6))
    view.round.miners.extend(one.miner for one in view.round.selection.verdicts)
    report = report_of(task, [view], [], {})
    print_report(report)
    why = round_lacks(task, view.round.selection)
    assert f"round 1: {why}" in capsys.readouterr().out
    assert fields_of(report)["weak"] == [why]
    console = Console(file=io.StringIO(), width=400)
    TaskWatch(console, 1).show(view)
    assert isinstance(console.file, io.StringIO)
    assert why in console.file.getvalue()


FILE = {
    "id": "some-task",
    "rounds": 2,
    "workload": {"name": "mnist-cnn"},
    "committee": {"organisations": ["A", "B", "C"], "threshold": 2},
    "reward": {"per_round": 1000},
}


def dry_run(folder: Path, miners: dict[str, int], **fields: object) -> int:
    path = folder / "task.yaml"
    (folder / "store").mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(FILE | {"miners": miners} | fields))
    return run(["task", "publish", str(path), "--store", str(folder / "store"), "--dry-run", "--json"])


def test_a_dry_run_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    miners = {"minimum": 8, "maximum": 8, "byzantine": 3}
    assert dry_run(tmp_path, miners, rule={"name": "l-nearest"}) == 0
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert "l-nearest withstands no cheat" in warning
    assert dry_run(tmp_path, {"minimum": 7, "maximum": 8, "byzantine": 2}) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []


def test_a_dry_run_says_what_colluders_can_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dry_run(tmp_path, {"minimum": 7, "maximum": 8, "byzantine": 2}, min_aggregate=5) == 0
    exposed = json.loads(capsys.readouterr().out)["exposure"]
    assert (exposed["colluders"], exposed["level"], exposed["honest"]) == (2, 5, 3)
    assert (exposed["bound"], exposed["step"], exposed["noise"]) == (1.0, 2.0**-14, 0.0)
    assert exposed["sentence"] == (
        "the owner and 2 colluders read of an honest value at best the sum of 3 honest ones, each within ±1 in steps of 6.1e-05; "
        "training adds no noise"
    )
    private = {"name": "mnist-cnn", "config": {"dp_clip": "0.5", "dp_noise": "3"}}
    assert dry_run(tmp_path, {"minimum": 2, "maximum": 8}, workload=private) == 0
    exposed = json.loads(capsys.readouterr().out)["exposure"]
    assert (exposed["honest"], exposed["noise"]) == (2, 1.5)
    assert "noise of deviation 1.5 to each step's sum of gradients" in exposed["sentence"]
    assert exposed["regrouped"] is False
    grouped = {"per_round": 1000, "by": "contribution"}
    assert dry_run(tmp_path, {"minimum": 7, "maximum": 8, "byzantine": 2}, reward=grouped) == 0
    exposed = json.loads(capsys.readouterr().out)["exposure"]
    assert exposed["regrouped"] is True
    assert "many rounds show what a miner's updates have in common" in exposed["sentence"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"miners": {"minimum": 6, "maximum": 8, "byzantine": 4}}, "byzantine is 4: 0 to 3"),
        ({"miners": {"minimum": 6, "maximum": 8, "byzantine": 2}}, "needs 7 in every round"),
        ({"min_aggregate": 3}, "min_aggregate, unless it is left out, is 3: 4 to 7"),
        ({"rounds": 10_001}, "rounds is 10001: 1 to 10000"),
        ({"challenge_window": 10**8}, "challenge_window_seconds is 100000000"),
        ({"id": "Some task"}, "is not a task id"),
        ({"committee": {"organisations": ["A", "B", "A"], "threshold": 2}}, "names an organisation twice"),
        ({"stakes": {"miner": 10, "miner_slash": 20}}, "stakes.miner_slash is 20"),
    ],
)
def test_a_dry_run_refuses_what_the_ledger_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: dict[str, object], says: str
) -> None:
    miners = fields.pop("miners", {"minimum": 7, "maximum": 8, "byzantine": 2})
    assert isinstance(miners, dict)
    assert dry_run(tmp_path, miners, **fields) == 4
    said = capsys.readouterr().err
    assert "the ledger would refuse this task" in said
    assert says in said
    assert list((tmp_path / "store").iterdir()) == []
