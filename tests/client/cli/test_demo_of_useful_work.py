"""`quorumlearn demo --useful-work`: its files are those of a task that is replayed, and its ending says what was found and what it cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from quorumlearn.analysis import MinerReport, TaskReport, WorkReport
from quorumlearn.attacks import make_behaviour
from quorumlearn.cli import run
from quorumlearn.cli.attack import ATTACKS, OF_REPLAYS, behaviour_of, mode_of
from quorumlearn.cli.ending import cost, found, next_lines
from quorumlearn.cli.scene import DATA_FILE, WORK_CHEATS, Mode, Scene, make_scene
from quorumlearn.cli.spent import Spent, spent
from quorumlearn.cli.terminal import Exit, Failure
from quorumlearn.nodes import config, taskfile
from quorumlearn_chaincode.contracts.specification import check_bounds
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.recompute import most_steps, segments_of

DIGITS, MNIST = 1437, 60_000


def written(folder: Path, samples: int, mode: Mode = "recompute", **changes: object) -> Scene:
    scene = make_scene(folder, 2, 7, None, mode=mode, **changes)  # type: ignore[arg-type]
    scene.write(samples)
    data = {"workload": "mnist-cnn", "digest": "ab" * 32, "size": 100, "chunks": scene.chunks}
    (folder / DATA_FILE).write_text(yaml.safe_dump(data | {"chunk_samples": samples // scene.chunks}))
    return scene


def spec_of(scene: Scene) -> t.TaskSpec:
    file = taskfile.load(scene.folder / "task.yaml")
    return taskfile.spec_of(file, ArtifactRef(digest="cd" * 32, size=1))


@pytest.mark.parametrize("samples", [DIGITS, MNIST])
def test_its_task_is_one_that_the_ledger_takes(tmp_path: Path, samples: int) -> None:
    scene = written(tmp_path, samples)
    spec = spec_of(scene)
    check_bounds(spec)
    assert (spec.mode, spec.recompute.exactness, spec.rule.name) == (t.RECOMPUTE, t.PORTABLE, "mean")
    assert (spec.recompute.segments, spec.committee.threshold) == (5, 2)
    assert 110 <= segments_of(spec, most_steps(spec)) <= 140
    assert spec.min_miners == len(scene.miners) - len(WORK_CHEATS)


def test_a_rule_can_be_asked_for_beside_replays(tmp_path: Path) -> None:
    spec = spec_of(written(tmp_path, MNIST, "robust-and-recompute", cheats={}))
    check_bounds(spec)
    assert (spec.mode, spec.rule.name) == (t.ROBUST_AND_RECOMPUTE, "multi-krum")


def test_its_cheats_are_a_rider_a_skipper_and_a_thief_of_two_organisations(tmp_path: Path) -> None:
    scene = written(tmp_path, MNIST)
    does = {
        f"{file.stem}/{one.user}": make_behaviour(one.behaviour).name
        for file in scene.node_files
        for one in config.load(file).identities
        if one.role == "miner"
    }
    assert {who: what for who, what in does.items() if what != "honest"} == {
        "miners1/miner4": "free-rider",
        "miners2/miner3": "skipper",
        "miners2/miner4": "thief",
    }
    assert len(does) == 8


def test_it_publishes_its_chunks_before_its_task(tmp_path: Path) -> None:
    data, task = written(tmp_path, MNIST).publications()
    assert data[:2] == ("data", "publish")
    assert str(tmp_path / DATA_FILE) in data
    assert task[:2] == ("task", "publish")
    assert [one[:2] for one in make_scene(tmp_path, 2, 7, None).publications()] == [("task", "publish")]


@pytest.mark.parametrize(
    "command", [("demo", "--useful-work"), ("attack", "skipper"), ("attack", "noise", "--useful-work")]
)
def test_a_rule_is_refused_where_all_work_that_stands_counts(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "played"
    assert run([*command, "--rule", "agreement", "--folder", str(folder)]) == Exit.USAGE
    assert "leave --rule agreement out" in capsys.readouterr().err
    assert not folder.exists()


def test_every_other_training_than_asked_for_is_an_attack_on_replays() -> None:
    assert {name for name in ATTACKS if make_behaviour(behaviour_of(name)).spoofs} <= set(OF_REPLAYS)
    assert set(OF_REPLAYS) <= set(ATTACKS)


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_on_replays_are_played_where_there_are_some(name: str) -> None:
    assert mode_of(name, None, useful_work=False) == ("recompute" if name in OF_REPLAYS else "robust")
    assert mode_of(name, None, useful_work=True) == "recompute"
    with pytest.raises(Failure, match="leave --rule"):
        mode_of(name, "agreement", useful_work=True)


def test_what_it_took_is_read_from_its_nodes_logs(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(
        "2026-12-01T13:15:37Z [\x1b[32m\x1b[1minfo     \x1b[0m] \x1b[1mtrained                       \x1b[0m "
        "\x1b[36mcpu_seconds\x1b[0m=\x1b[35m3.5\x1b[0m identity=a\n"
        "2026-12-01T13:15:38Z [info     ] trained                        cpu_seconds=4 identity=b\n"
        "2026-12-01T13:15:39Z [info     ] waits                          cpu_seconds=100\n"
    )
    (tmp_path / "b.log").write_text(
        "2026-12-01T13:15:40Z [info     ] replayed                       cpu_seconds=0.75 identity=c items=7\n"
        "2026-12-01T13:15:41Z [info     ] settled                        cpu_seconds=0.25 identity=c items=1\n"
    )
    assert spent(sorted(tmp_path.glob("*.log"))) == Spent(7.5, 0.75, 0.25)
    assert Spent(7.5, 0.75, 0.25).share == pytest.approx(0.1)
    assert Spent(0.0, 0.0, 0.0).share == 0.0


def report() -> TaskReport:
    """Two rounds of an honest miner and of one that was caught in the second."""
    honest = MinerReport("A/a", (1, 1), ("CONTRIBUTES", "CONTRIBUTES"), ("", ""), 100, 700, 0)
    cheat = replace(
        honest, miner="B/b", weights=(1, 0), verdicts=("CONTRIBUTES", "WRONG_WORK"), paid=50, slashed=20
    )
    work = WorkReport(
        "RECOMPUTE", {"A/a": (300, 300), "B/b": (300, 0)}, trained=(600, 600), replayed=(60, 60), segments=40
    )
    return TaskReport(
        *("t", ("ACCEPTED",) * 2, ("", ""), (True, True), ("", ""), (), "accuracy", False, ()),
        miners=(honest, cheat),
        phases=(),
        update_bytes=1,
        parameters=1,
        work=work,
    )


def test_its_ending_counts_who_was_caught_and_what_it_cost() -> None:
    said = found(report(), {"A/a": "honest", "B/b": "skipper"})
    assert (
        "the 1 that cheat were caught in 1 of their 2 trainings; they earned 50 tokens together and lost 20"
        in said
    )
    assert "each of the 1 honest ones 700. Honest trainings that were rejected: 0." in said
    taken = cost(report(), Spent(12.0, 1.25, 0.0))
    assert taken.startswith("Cost: 10.0 % of 1200 steps of training were replayed, over all verifiers.")
    assert "took 12 s and these replays 1.2 s." in taken
    assert "0.5 s more what their reports left open" in cost(report(), Spent(12.0, 1.25, 0.5))
    assert cost(report(), Spent(0.0, 0.0, 0.0)).endswith("over all verifiers.")


def test_what_to_type_next_are_commands_that_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for mode in ("robust", "recompute"):
        for line in next_lines(make_scene(tmp_path, 2, 7, None, mode=mode)):
            words = line.split()
            assert words[0] == "quorumlearn"
            assert run([*words[1:3], "--help"]) == 0
            options = [word for word in words if word.startswith("--")]
            assert all(option in capsys.readouterr().out for option in options[:1])
