"""Workloads of one's own: where they are looked for, what all who train together must have alike, and what is said of those that fail."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
from quorumlearn import learning
from quorumlearn.learning import WorkloadError, digest_of, get_workload, register
from quorumlearn.learning.registry import MOST_BUILT

MODULE = """
from dataclasses import dataclass
import numpy as np
from quorumlearn.learning import Samples, TrainingConfig

class Settings(TrainingConfig):
    width: int = 3
    colours: tuple[str, ...] = ("red",)
    shape: str = "1"

@dataclass(frozen=True)
class Plain:
    name: str
    config: TrainingConfig
    version: str
    fixed: dict
    blocks = ("w",)
    @property
    def shapes(self):
        return {"w": (self.config.width,)}
    def tensors(self, block):
        return ("w",)
    def initial_model(self, seed):
        return {"w": np.zeros(self.config.width, np.float32)}

@dataclass(frozen=True)
class Define:
    name: str
    version: str = "1"
    fixed: str = "a"
    settings: type = Settings
    def build(self, settings):
        return Plain(self.name, settings, self.version, {"base": self.fixed * 64})

RISK = Define("risk")
NEWER = Define("risk", version="2")
OTHER_BASE = Define("risk", fixed="b")
NAMED_ELSE = Define("else")
NO_WORKLOAD = 3
class Exits:
    name, version, settings = "risk", "1", Settings
    def build(self, settings):
        raise SystemExit("no licence")
EXITS = Exits()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a module of its own, which nothing else imports."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def at(folder: Path, attribute: str) -> str:
    (module,) = folder.glob("own_*.py")
    return f"{module.stem}:{attribute}"


def test_a_workload_is_found_where_a_file_says(folder: Path) -> None:
    register("risk", at(folder, "RISK"), folder)
    workload = get_workload("risk", {"width": "5", "colours": '["blue", "red"]', "shape": "7", "epochs": "2"})
    assert workload.shapes == {"w": (5,)}
    assert get_workload("risk", workload.config.as_strings()).config == workload.config
    assert workload is get_workload(
        "risk", {"shape": "7", "width": "5", "epochs": "2", "colours": '["blue", "red"]'}
    )
    assert learning.installed()["risk"] == at(folder, "RISK")


def test_a_strangers_tasks_with_ever_other_configurations_fill_no_memory(folder: Path) -> None:
    register("risk", at(folder, "RISK"), folder)
    kept = get_workload("risk", {"width": "1"})
    others = []
    for width in range(2, 2 * MOST_BUILT):
        others.append(weakref.ref(get_workload("risk", {"width": str(width)})))
        assert get_workload("risk", {"width": "1"}) is kept, "what is in use stays"
    gc.collect()
    assert 0 < sum(one() is not None for one in others) <= MOST_BUILT
    assert others[0]() is None
    assert get_workload("risk", {"width": "2"}).shapes == {"w": (2,)}


@pytest.mark.parametrize(
    ("attribute", "says"),
    [
        ("MISSING", "AttributeError"),
        ("NO_WORKLOAD", "is a int without name"),
        ("NAMED_ELSE", "calls itself 'else'"),
        ("EXITS", "SystemExit: no licence"),
    ],
)
def test_what_is_no_workload_is_said_in_one_sentence(folder: Path, attribute: str, says: str) -> None:
    register("risk", at(folder, attribute), folder)
    with pytest.raises(WorkloadError, match=says) as caught:
        get_workload("risk", {})
    assert "\n" not in str(caught.value)


def test_a_place_without_an_attribute_or_a_module_is_refused(folder: Path) -> None:
    for place, says in (
        ("risk", "write package.module:NAME"),
        ("nowhere.at_all:X", "No module named 'nowhere'"),
    ):
        register("risk", place, folder)
        with pytest.raises(WorkloadError, match=says):
            get_workload("risk", {})
    register("risk", {"colour": "red"}, folder)
    with pytest.raises(WorkloadError, match="one of app, base says which client"):
        get_workload("risk", {})


def test_all_that_must_be_alike_is_in_the_digest(folder: Path) -> None:
    digests = {}
    for attribute in ("RISK", "NEWER", "OTHER_BASE"):
        register("risk", at(folder, attribute), folder)
        digests[attribute] = digest_of(get_workload("risk", {}), ["w"])
    wider = digest_of(get_workload("risk", {"width": "4"}), ["w"])
    assert len({*digests.values(), wider}) == 4
    assert digest_of(get_workload("risk", {"epochs": "9"}), ["w"]) == digests["OTHER_BASE"]
    with pytest.raises(learning.ModelError, match="no block 'x'"):
        digest_of(get_workload("risk", {}), ["x"])


def test_what_needs_no_training_needs_no_torch() -> None:
    script = (
        "import sys; from quorumlearn import learning as l; w = l.get_workload('mnist-cnn', {});"
        "l.digest_of(w, w.blocks); l.to_bytes(w.initial_model(1)); print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == "False\n"


def test_samples_are_as_many_inputs_as_targets_and_can_be_protected() -> None:
    with pytest.raises(learning.DataCorrupt, match="each sample has one of both"):
        learning.Samples(np.zeros((2, 3)), np.zeros(3))
    samples = learning.Samples(np.arange(6).reshape(3, 2), np.arange(3))
    assert samples.writeable
    before = samples.digest()
    assert samples.take(np.array([2, 0])).inputs.tolist() == [[4, 5], [0, 1]]
    assert not samples.protected().writeable
    assert samples.digest() == before != samples.take(np.array([0, 1])).digest()
