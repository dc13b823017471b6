"""examples/hospitals: what it makes of tables, and its README's command in small."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from quorumlearn import learning

from examples.hospitals.heart import HEART, HOSPITALS, INPUTS, held_out
from examples.hospitals.market import written

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^(?P<way>\S.*?) {2,}(?P<figures>[\d.]+(?: +[\d.]+){4})$", re.MULTILINE)
PAID = re.compile(r"^(\w+)(?: \(cheats\))? +(\d+) +(\d+) +(\d+)$", re.MULTILINE)
TABLE = """\
63.0,1.0,1.0,145.0,233.0,1.0,2.0,150.0,0.0,2.3,3.0,0.0,6.0,0
56,1,?,?,0,?,?,?,?,?,?,?,?,1
35,1,4,-9,0,-9,0,130,1,-9,-9,-9,7,3
32,0,1,0,-9,0,0,127,0,-.7,1,-9,0,0
"""


def command(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.hospitals", *options],
        cwd=ROOT,
        env={**os.environ, "QUORUMLEARN_DATA": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_market_keeps_the_cheats_out_where_averaging_follows_them(
    heart_folder: Path, tmp_path: Path
) -> None:
    ended = command("--data", str(heart_folder), "--folder", str(tmp_path / "played"), "--small")
    assert ended.returncode == 0, f"{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
    assert ended.stdout.count("ENDED    ACCEPTED") == 2
    honest = {one["way"]: float(one["figures"].split()[-1]) for one in ROW.finditer(ended.stdout)}
    assert honest["this market"] > honest["plain averaging, va cheats"] + 0.02
    paid = {one[1]: [int(tokens) for tokens in one.groups()[1:]] for one in PAID.finditer(ended.stdout)}
    assert set(paid) == set(HOSPITALS)
    assert sum(paid["va"][:2]) < min(sum(paid[one][:2]) for one in HOSPITALS if one != "va")
    assert min(seat for *_, seat in paid.values()) > 0


def test_what_is_missing_is_filled_by_what_was_declared(tmp_path: Path) -> None:
    (tmp_path / "cleveland.csv").write_text(TABLE)
    workload = HEART.build(HEART.settings())
    parts = [
        workload.load(str(tmp_path / "cleveland.csv"), learning.Part(kind, "1")) for kind in ("train", "test")
    ]
    inputs = np.concatenate([one.inputs for one in parts if isinstance(one, learning.Samples)])
    targets = np.concatenate([one.targets for one in parts if isinstance(one, learning.Samples)])
    assert inputs.shape == (4, INPUTS)
    assert np.isfinite(inputs).all() and np.abs(inputs).max() < 3
    assert sorted(targets.tolist()) == [0, 0, 1, 1]
    assert all(set(one.targets) == {0, 1} for one in parts if isinstance(one, learning.Samples))


def test_every_division_holds_out_a_third_of_each_class(heart_folder: Path) -> None:
    workload = HEART.build(HEART.settings())
    for hospital in HOSPITALS:
        train, test = (
            workload.load(str(heart_folder / f"{hospital}.csv"), learning.Part(kind, "3"))
            for kind in ("train", "test")
        )
        assert isinstance(train, learning.Samples) and isinstance(test, learning.Samples)
        for disease in (0, 1):
            held, all_of_them = (
                (test.targets == disease).sum(),
                (train.targets == disease).sum() + (test.targets == disease).sum(),
            )
            assert held == round(all_of_them / 3)


def test_a_division_is_drawn_by_its_number() -> None:
    ill = np.arange(90) % 2
    assert (held_out(ill, 1) == held_out(ill, 1)).all()
    assert (held_out(ill, 1) != held_out(ill, 2)).any()


def test_a_hospitals_verifier_scores_on_patients_whom_its_miners_have_not(tmp_path: Path) -> None:
    written(tmp_path, seed=4, rounds=3, settings={"hidden": 8})
    for hospital in HOSPITALS:
        node = yaml.safe_load((tmp_path / f"{hospital}.yaml").read_text())
        assert {one["part"] for one in node["identities"]} == {"4"}
        cheats = [one.get("behaviour", "honest") != "honest" for one in node["identities"]]
        assert cheats == [hospital == "va"] * 2 + [False]
    task = yaml.safe_load((tmp_path / "task.yaml").read_text())
    assert (task["seed"], task["rounds"], task["workload"]["config"]) == (4, 3, {"hidden": 8})


@pytest.mark.parametrize("options", [(), ("--data", "nowhere")])
def test_without_data_it_says_where_they_are_to_be_had(options: tuple[str, ...], tmp_path: Path) -> None:
    ended = command(*options, "--folder", str(tmp_path / "played"))
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: no data") and ended.stderr.count("\n") == 1
    assert "10.24432/C52P4X" in ended.stderr
    assert not (tmp_path / "played").exists()
