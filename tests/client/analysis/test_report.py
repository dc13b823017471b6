"""A task's report: what failed rounds paid, what stakes are left, in tables that fit the terminal, and a picture."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest
from PIL import Image
from quorumlearn.analysis import draw_scores, report_of
from quorumlearn.analysis.reasons import ROUND_ENDS
from quorumlearn.cli.account import fields_of, print_report
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import reward_pb2 as r
from quorumlearn_proto import task_pb2 as t

MINERS = ["Miners1MSP/miner1", "Miners1MSP/miner2"]
WHY = f"NO_PROPOSAL: {ROUND_ENDS['NO_PROPOSAL']}"


def played(rounds: int) -> tuple[t.TaskSpec, list[b.TaskView], dict[str, r.Stake]]:
    """An ended task of which every second round was aborted; the last miner was slashed 20 in every round."""
    spec = t.TaskSpec(task_id="t", rounds=rounds, stakes=t.Stakes(miner=1000))
    spec.ckks.update_size = 10
    views = []
    for number in range(1, rounds + 1):
        view = b.TaskView()
        view.round.number, view.round.phase = number, b.ENDED
        view.round.miners.extend(MINERS)
        view.round.outcome = b.ACCEPTED if number % 2 else b.ABORTED
        view.round.reason = "" if number % 2 else "NO_PROPOSAL"
        view.round.selection.verdicts.add(miner=MINERS[0], weight=1, reason=b.CONTRIBUTES)
        view.round.selection.verdicts.add(miner=MINERS[1], reason=b.OUTLIER)
        views.append(view)
    stakes = {MINERS[0]: r.Stake(paid=700), MINERS[1]: r.Stake(slashed=20 * rounds)}
    return spec, views, stakes


def test_after_the_end_no_stake_is_left_and_a_failed_round_says_why() -> None:
    spec, views, stakes = played(2)
    fields = fields_of(report_of(spec, views, [], stakes))
    miners = fields["miners"]
    assert isinstance(miners, list)
    assert [(one["stake"], one["slashed"], one["paid"]) for one in miners] == [(0, 0, 700), (0, 40, 0)]
    assert (fields["outcomes"], fields["reasons"]) == (["ACCEPTED", "ABORTED"], ["", WHY])


def test_a_stake_that_the_task_holds_is_told_as_it_is() -> None:
    spec, views, _ = played(1)
    held = report_of(spec, views, [], {MINERS[0]: r.Stake(amount=960, slashed=40)})
    assert (held.miners[0].stake, held.miners[0].slashed) == (960, 40)


def test_a_weight_in_a_round_that_failed_is_unpaid(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(report_of(*played(2)[:2], [], {}))
    out = capsys.readouterr().out
    assert re.search(r"miner1 +1 ok +1 unpaid$", out, re.MULTILINE)
    assert re.search(r"miner2 +OUTLIER +OUTLIER$", out, re.MULTILINE)
    assert f"round 2 was aborted and paid no miner: {WHY}" in out


def test_a_weight_in_a_round_that_failed_once_it_was_opened_is_paid(
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec, views, _ = played(2)
    views[1].screenings.add(seat=1).partial.digest = "ab" * 32
    print_report(report_of(spec, views, [], {}))
    out = capsys.readouterr().out
    assert re.search(r"miner1 +1 ok +1 ok$", out, re.MULTILINE)
    assert f"round 2 was aborted and paid its miners all the same: {WHY}" in out


def test_a_round_under_way_has_no_outcome_yet() -> None:
    spec, views, _ = played(1)
    views[0].round.outcome, views[0].round.phase = b.OUTCOME_UNSPECIFIED, b.OPEN
    assert report_of(spec, views, [], {}).outcomes == ("UNDER_WAY",)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_tables_of_many_rounds_fit_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    spec, views, stakes = played(16)
    print_report(report_of(spec, views, [], stakes))
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in out.getvalue().splitlines()]
    heads = [line for line in lines if line.startswith("miner ") and "round" in line]
    assert re.findall(r"round \d+", " ".join(heads)) == [f"round {number}" for number in range(1, 17)]
    tables = [line for line in lines if line.startswith(("miner ", "Miners1MSP/"))]
    assert max(map(len, tables)) <= width
    assert sum(line.startswith(MINERS[0]) for line in lines) == len(heads) + 1
    assert any(line.split() == [MINERS[1], "0", "320", "0"] for line in lines)


def test_the_picture_of_failed_rounds_is_a_png_whatever_it_is_called(tmp_path: Path) -> None:
    for name in ("picture.png", "picture", "picture.what"):
        draw_scores(report_of(*played(2)[:2], [], {}), tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def scored(metric: str, *, lower: bool) -> tuple[t.TaskSpec, list[b.Block]]:
    """Two blocks, each voted on by two verifiers, of 100 and of 300 samples."""
    spec, _, _ = played(1)
    spec.workload.metric, spec.workload.lower_is_better = metric, lower
    blocks = [b.Block(digest=f"{height:064x}") for height in range(2)]
    for total, score, base in ((100, 400_000, 1_500_000), (300, 800_000, 500_000)):
        blocks[1].ballots.add(total=total, score=score, base_score=base)
    blocks[1].ballots.add(seat=3)  # it said UNAVAILABLE
    return spec, blocks


def test_scores_are_pooled_over_the_verifiers_by_their_samples() -> None:
    spec, blocks = scored("loss", lower=True)
    fields = fields_of(report_of(spec, [], blocks, {}))
    assert fields["scores"] == pytest.approx([0.75, 0.7])
    assert (fields["metric"], fields["lower_is_better"]) == ("loss", True)
    assert fields["score"] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("metric", "lower", "says"),
    [
        ("auc", False, "AUC of the public model"),
        ("loss", True, "less is better"),
        ("accuracy", False, "70.00 %"),
    ],
)
def test_a_report_names_its_metric(
    metric: str, lower: bool, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    spec, blocks = scored(metric, lower=lower)
    report = report_of(spec, [], blocks, {})
    print_report(report)
    out = capsys.readouterr().out
    assert says in out
    assert ("accuracy" in out.lower()) == (metric == "accuracy")
    draw_scores(report, tmp_path / "scores.png")
    said = json.loads(Image.open(tmp_path / "scores.png").info["Comment"])
    assert said[metric] == pytest.approx([0.75, 0.7])
