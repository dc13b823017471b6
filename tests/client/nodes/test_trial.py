"""A trial finds what would cost a miner rounds: each fault of a workload or its data is a check that fails, and a good one fails none."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quorumlearn import ckks, learning
from quorumlearn.learning import Samples
from quorumlearn.nodes.training import MOST_CLIPPED
from quorumlearn.nodes.trial import Report, Settings, tried
from quorumlearn.nodes.trial import price as price_module
from quorumlearn.nodes.trial.fitting import fit
from quorumlearn.nodes.trial.price import measured

BEGINNING = """
import re
import sys
import numpy as np
import torch
from torch import nn
from quorumlearn.learning import Samples, TorchWorkload, scores

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 6), nn.ReLU())
        self.head = nn.Linear(6, 2)
    def forward(self, inputs):
        return self.head(self.body(inputs))

def rows(count, kind, classes=2, scale=1.0):
    random = np.random.default_rng(3 if kind == "train" else 4)
    inputs = random.normal(size=(count, 3))
    targets = ((inputs[:, 0] + inputs[:, 1] > 0) * (classes - 1)).astype(np.int64)
    return Samples((scale * inputs).astype(np.float32), targets)

def load(source, part):
    return rows(80, part.kind)

metric, loader, model, hook = "auc", load, Net, None
"""
END = """
RISK = TorchWorkload("risk", model, metric=metric, load=loader, after_round=hook)
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Registers `risk` as a module with these lines in it."""
    name = f"tried_{abs(hash(tmp_path))}"
    monkeypatch.setattr(sys, "path", list(sys.path))

    def written(own: str = "") -> None:
        (tmp_path / f"{name}.py").write_text(BEGINNING + own + END)
        learning.register("risk", f"{name}:RISK", tmp_path)

    return written


def failed(report: Report) -> dict[str, str]:
    return {
        one.check: " ".join(other.said for other in report.failed if other.check == one.check)
        for one in report.failed
    }


def noted(report: Report) -> dict[str, str]:
    return {one.check: one.said for one in report.findings if one.verdict == "note"}


def test_a_workload_that_is_in_order_fails_no_check_and_its_proposal_fits(write: Any) -> None:
    write()
    said: list[str] = []
    report = tried(Settings("risk", config={"batch_size": "8", "epochs": "3"}), said.append)
    assert failed(report) == {}
    assert {one.check for one in report.findings} >= {
        *("begins", "data", "repeats", "shapes", "built", "exceptions", "stops", "clipped", "exact")
    }
    assert report.miners == (20, 20, 20, 20)
    assert [one.number for one in report.rounds] == [0, 1, 2]
    assert report.rounds[-1].score > report.rounds[0].score
    assert "round 2 of 2, miner 4 of 4" in said
    travels, fit, price = report.travels, report.fit, report.price
    assert travels is not None
    assert fit is not None
    assert price is not None
    workload = learning.get_workload("risk", {"batch_size": "8", "epochs": "3"})
    assert travels.digest == learning.digest_of(workload, ["body", "head"])
    assert travels.blocks == {"body": 24, "head": 14}
    assert fit.clipped == 0
    assert fit.rounding < 0.05
    assert report.encrypted == pytest.approx(report.rounds[-1].score, abs=0.02)
    assert [one.step_bits for one in fit.grids] == sorted(one.step_bits for one in fit.grids)
    assert fit.free_bits >= fit.step_bits
    fit.parameters.check()
    assert (
        price.update_bytes
        == fit.parameters.update_bytes
        == ckks.Parameters.named(
            "default", 38, seats=3, threshold=2, bound=fit.bound, step_bits=fit.step_bits, max_weight_sum=4
        ).update_bytes
    )


def test_a_private_block_stays_and_each_part_is_a_miners(write: Any) -> None:
    write("loader = lambda source, part: rows(30 if part.text == 'north' else 40, part.kind)")
    report = tried(Settings("risk", parts=("north", "south"), public=("head",)))
    assert failed(report) == {}
    assert report.miners == (30, 40)
    assert report.travels is not None
    assert (report.travels.parameters, report.travels.stays) == (14, ("body",))


@pytest.mark.parametrize(
    ("own", "check", "says"),
    [
        ("Net.forward = lambda self, inputs: 1 / 0", "rounds", r"raised ZeroDivisionError.*\(tried_\d+.py, line \d+\)"),
        ("Net.forward = lambda self, inputs: sys.exit(2)", "rounds", r"called sys.exit\(2\)"),
        ("Net.forward = lambda self, inputs: self.head(self.body(inputs)) * np.nan", "rounds", "the loss is nan"),
        (
            "def hook(module, settings): module.head = nn.Linear(6, 3)",
            "rounds",
            "head",
        ),
        (
            "def hook(module, settings):\n"
            "    with torch.no_grad(): module.head.bias += torch.from_numpy(np.random.default_rng().normal(size=2)).float()",
            "repeats",
            "does not repeat from its seed",
        ),
        (
            "drawn = np.random.default_rng(0)\n"
            "def hook(module, settings):\n"
            "    with torch.no_grad(): module.head.bias += float(drawn.normal())",
            "repeats",
            "keep nothing from one training to the next",
        ),
        ("model = lambda: 1 / 0", "model", "raised ZeroDivisionError"),
        ("def loader(source, part): raise KeyError('age')", "data", r"raised KeyError: 'age' \(tried_\d+.py, line \d+\)"),
        ("loader = lambda source, part: rows(0, part.kind)", "data", "^0 training samples"),
        ("loader = lambda source, part: rows(80, part.kind, classes=1)", "rounds", "auc"),
        ("loader = lambda source, part: rows(80, part.kind, scale=np.nan)", "missing", "80 of 80 training samples hold NaN"),
        ("loader = lambda source, part: rows(80, part.kind, classes=9)", "rounds", "targets from 0 to 8"),
        ("loader = lambda source, part: rows(3, part.kind)", "data", "fewer --miners"),
        ("def metric(outputs, targets): return np.ones(3)", "rounds", "3"),
        ("model = lambda: nn.Sequential(nn.BatchNorm1d(3), Net())\nloader = lambda source, part: rows(80, part.kind, scale=500)",
         "scaled", r"0.running_var \(to "),
        ("def hook(module, settings):\n    with torch.no_grad(): [one.zero_() for one in module.parameters()]\n"
         "def model():\n    net = Net()\n    with torch.no_grad(): [one.zero_() for one in net.parameters()]\n    return net",
         "learns", "no training changed anything"),
    ],
)  # fmt: skip
def test_what_would_cost_rounds_is_a_check_that_fails(write: Any, own: str, check: str, says: str) -> None:
    write(own)
    found = tried(Settings("risk"))
    said = failed(found)
    assert check in said, found.findings

    assert re.search(says, said[check]), said
    assert all("\n" not in one.said for one in found.findings)


def test_what_is_worth_a_look_is_a_note(write: Any) -> None:
    write("metric = 'accuracy'\nloader = lambda source, part: rows(40, part.kind, classes=1, scale=100)")
    notes = noted(tried(Settings("risk", config={"batch_size": "64"})))
    assert "all test samples are of class 0" in notes["classes"]
    assert "column 0, 1, 2 (from 0)" in notes["columns"]


@dataclass(frozen=True, eq=False)
class Rough:
    """A workload by somebody who has not read what a training is to do; everything else is the other's."""

    other: Any
    how: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.other, name)

    def train(self, model: Any, data: Any, *, seed: int, on_step: Any = None) -> Any:
        if not len(data):
            if self.how == "exits":
                raise SystemExit(1)
            raise IndexError("list index out of range")
        try:
            return self.other.train(model, data, seed=seed, on_step=on_step)
        except learning.LearningError:
            raise
        except Exception:  # noqa: BLE001 - that is what is wrong with it
            return self.other.train(model, data, seed=seed)


@pytest.mark.parametrize(("how", "verdict"), [("exits", "fails"), ("raises", "note")])
def test_what_no_node_could_bear_of_somebody_elses_training_is_found(
    write: Any, monkeypatch: pytest.MonkeyPatch, how: str, verdict: str
) -> None:
    write()
    rough = Rough(learning.get_workload("risk", {}), how)
    monkeypatch.setattr(learning, "get_workload", lambda *_: rough)
    report = tried(Settings("risk"))
    assert "stops" in failed(report)
    (given,) = [one for one in report.findings if one.said.startswith("given no samples")]
    assert given.verdict == verdict
    assert "test_trial.py, line" in given.said


@pytest.mark.parametrize("scale", [1e-6, 0.01, 1.0, 1e4])
def test_a_proposal_clips_nothing_and_rounds_little_whatever_the_updates_size(scale: float) -> None:
    random = np.random.default_rng(1)
    updates = [scale * random.normal(size=400) for _ in range(3)]
    found = fit(updates, {"a.w": (300,), "b.w": (100,)}, preset="fast", miners=3)
    assert found.clipped == 0
    assert found.rounding < 0.02
    assert found.bound >= max(float(np.abs(one).max()) for one in updates)
    assert bool(found.beyond) == (scale >= 1)
    price = measured(found.parameters, updates[:2], 3)
    assert price.exact
    assert price.miners == 3
    assert min(price.encrypt, price.screen) > 0


def test_where_bound_and_grid_do_not_go_together_less_than_a_hundredth_is_clipped() -> None:
    random = np.random.default_rng(1)
    update = 1e-6 * random.normal(size=1000)
    update[:2] = 1e9
    found = fit([update], {"a.w": (998,), "b.w": (2,)}, preset="fast", miners=3)
    assert 0 < found.clipped < MOST_CLIPPED
    assert [(one.tensor, one.values) for one in found.beyond] == [("a.w", 2)]
    assert ckks.quantise(update, found.parameters).any()


def test_samples_look_as_they_are() -> None:
    inputs = np.array([[1, 0, 11], [2, 0, 3], [np.nan, 0, 3]], np.float32)
    seen = learning.inspected(Samples(inputs, np.array([0, 1, 1])))
    assert (seen.rows, seen.not_finite, seen.classes) == (3, 1, {0: 1, 1: 2})
    assert (seen.constant, seen.wide) == ((1,), (2,))
    pixels = learning.inspected(
        Samples(np.zeros((4, 5, 5), np.uint8), np.linspace(0, 1, 4, dtype=np.float32))
    )
    assert (pixels.classes, pixels.constant, pixels.wide) == (None, (), ())
    assert learning.inspected(Samples(np.zeros((0, 2), np.float32), np.zeros(0, np.int64))).rows == 0


def test_of_a_large_model_a_part_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(price_module, "MOST_MEASURED", 3000)
    updates = [np.random.default_rng(seed).normal(size=20_000) for seed in range(2)]
    found = fit(updates, {"a.w": (200, 100)}, preset="fast", miners=2)
    price = measured(found.parameters, updates, 2)
    assert (price.measured, price.update_bytes) == (3000, found.parameters.update_bytes)
    assert price.exact
