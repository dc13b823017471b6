"""A report on trainings that are replayed: verified steps, what was wrong at which segment, and how much was replayed; told and drawn."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image
from quorumlearn.analysis import OF_WORK, draw_scores, report_of
from quorumlearn.cli.account import fields_of, print_report
from quorumlearn.cli.live import TaskWatch
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import reward_pb2 as r
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.recompute import drawn_segments
from rich.console import Console

from tests.client.replayed_rounds import (
    AWAY,
    CLAIMED,
    DRAWN,
    HONEST,
    MATE,
    MINERS,
    REPLAYED,
    RIDER,
    SEGMENT_STEPS,
    SEGMENTS,
    STEPS,
    THRESHOLD,
    spec,
    view,
)


def replayed(number: int, miner: str) -> int:
    """Steps that are replayed of a miner's training in a round, by two seats each."""
    drawn = drawn_segments(f"{number:064x}", miner, SEGMENTS, DRAWN)
    return THRESHOLD * sum(2 if one == SEGMENTS else SEGMENT_STEPS for one in drawn)


def test_a_robust_task_has_no_report_on_work() -> None:
    found = report_of(spec(t.ROBUST), [b.TaskView()], [], {})
    assert found.work is None
    assert "work" not in fields_of(found)


def test_steps_count_once_verified_in_an_accepted_round() -> None:
    work = report_of(spec(), [view(1), view(2, outcome=b.ABORTED)], [], {}).work
    assert work is not None
    assert work.steps == {HONEST: (STEPS, 0), RIDER: (0, 0), MATE: (STEPS, 0), AWAY: (0, 0)}


def test_replayed_are_the_drawn_segments_of_whoever_opened_by_each_of_their_seats() -> None:
    work = report_of(spec(), [view(1), view(2)], [], {}).work
    assert work is not None
    assert work.trained == (3 * STEPS, 3 * STEPS)
    assert work.replayed == tuple(sum(replayed(number, one) for one in MINERS[:3]) for number in (1, 2))
    assert work.segments == 2 * 3 * DRAWN * THRESHOLD
    assert work.share == pytest.approx(sum(work.replayed) / (6 * STEPS))
    # of its two chunks each miner keeps one in round 2
    assert (work.kept, work.assigned) == (4, 16)


def test_a_training_of_a_profile_that_too_few_seats_have_is_not_replayed() -> None:
    odd = view(1)
    for one in odd.submissions:
        one.manifest.profile = "12" * 32
    odd.contributions.add(round=1, seat=1, profile="12" * 32)
    work = report_of(spec(), [odd], [], {}).work
    assert work is not None
    assert (work.trained, work.replayed, work.segments) == ((3 * STEPS,), (0,), 0)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (7, "segment 7 of 10: it claimed the checkpoint abababababab, a replay gives cdcdcdcdcdcd"),
        (11, "the last checkpoint: it claimed the sketch abababababab, a replay gives cdcdcdcdcdcd"),
    ],
)
def test_what_was_wrong_is_told_with_its_place_its_digests_and_who_replayed_it(
    item: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stakes = {RIDER: r.Stake(slashed=20)}
    print_report(report_of(spec(), [view(1, item)], [], stakes))
    out = capsys.readouterr().out
    assert f"round 1, {RIDER}: {said}; replayed by V1/verifier and V3/verifier" in out
    assert "round 1, V2/verifier: FALSE_REPLAY, slashed 50: it made it up" in out
    for code in ("WRONG_WORK", "NO_TRACE", "REPLICA", "FALSE_REPLAY"):
        assert f"{code}: {OF_WORK[code]}" in out
    assert OF_WORK["UNCONFIRMED"] not in out
    assert "replica ok" in out


def test_an_opening_that_leads_nowhere_is_told_as_such() -> None:
    bare = view(1)
    bare.round.selection.verdicts[1].proof.replayed = ""
    work = report_of(spec(), [bare], [], {}).work
    assert work is not None
    assert "contradicts itself or what it had committed to" in work.wrong[0].sentence


def test_json_has_the_whole_digests_and_the_seats() -> None:
    fields = fields_of(report_of(spec(), [view(1)], [], {}))
    work = json.loads(json.dumps(fields))["work"]
    assert work["wrong"] == [
        {
            "round": 1,
            "miner": RIDER,
            "item": 7,
            "segments": SEGMENTS,
            "claimed": CLAIMED,
            "replayed": REPLAYED,
            "verifiers": ["V1/verifier", "V3/verifier"],
        }
    ]
    assert work["mode"] == "RECOMPUTE"
    miners = {one["id"]: one["verified_steps"] for one in json.loads(json.dumps(fields["miners"]))}
    assert miners == {HONEST: [STEPS], RIDER: [0], MATE: [STEPS], AWAY: [0]}


def test_bytes_of_openings_and_reports_stand_with_their_phases() -> None:
    sizes = {one.phase: one.bytes for one in report_of(spec(), [view(1)], [], {}).phases}
    assert (sizes["TRACE"], sizes["REPLAY"]) == (3 * 1000, 3 * 50)


@pytest.mark.parametrize("rounds", [0, 1, 5, 30])
def test_the_picture_of_any_number_of_rounds_is_drawn(rounds: int, tmp_path: Path) -> None:
    path = tmp_path / "work.png"
    draw_scores(
        report_of(spec(), [view(one + 1) for one in range(rounds)], [], {}), path, {RIDER: "free-rider"}
    )
    assert Image.open(path).info["Title"] == "t"


def test_the_live_view_shows_who_was_caught_where_and_by_whom() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=200, height=30)
    watch = TaskWatch(terminal, 2)
    watch.show(view(1))
    with terminal.capture() as capture:
        terminal.print(watch, end="")
    shown = capture.get()
    assert "trace" in shown
    assert "replay" in shown
    assert f"round 1 finds {RIDER}: segment 7 of 10: it claimed the checkpoint abababababab" in shown
    assert "round 1 finds V2/verifier: FALSE_REPLAY, it made it up" in shown
    plain = Console(file=io.StringIO(), width=80)
    TaskWatch(plain, 2).show(view(1))
    assert isinstance(plain.file, io.StringIO)
    assert f"found {RIDER}: segment 7 of 10" in plain.file.getvalue()


def test_the_live_view_of_a_robust_task_has_no_column_of_replays() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=200, height=30)
    watch = TaskWatch(terminal, 2)
    robust = view(1)
    robust.task.spec.CopyFrom(spec(t.ROBUST))
    robust.round.ClearField("selection")
    watch.show(robust)
    with terminal.capture() as capture:
        terminal.print(watch, end="")
    assert "replay " not in capture.get().splitlines()[0]
