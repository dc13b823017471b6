"""What needs no extra runs without any, and what needs one says which: the extras' modules are kept from a process and all it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from quorumlearn.extras import EXTRAS, ExtraMissing, lacking, missing, require

ROOT = Path(__file__).resolve().parents[2]
WITHOUT = """
import sys

EXTRAS = {extras!r}


class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)


sys.meta_path.insert(0, Without())
"""
ALL_HELP = """
import typer
from quorumlearn.cli import app, run

def helped(command, path):
    assert run([*path, "--help"]) == 0, path
    found = 1
    for name, sub in getattr(command, "commands", {}).items():
        found += helped(sub, [*path, name])
    return found

assert helped(typer.main.get_command(app), []) > 40
"""
ROOMS = """
import importlib, pkgutil
for room in ("quorumlearn.ckks", "quorumlearn.robust", "quorumlearn.gateway", "quorumlearn.nodes", "quorumlearn.analysis"):
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        if module.name != "quorumlearn.ckks.worker":
            importlib.import_module(module.name)
"""


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """An environment in which Python, and what it starts, finds no module of an extra."""
    folder = tmp_path_factory.mktemp("light")
    (folder / "sitecustomize.py").write_text(WITHOUT.format(extras=sorted(EXTRAS)))
    paths = [str(folder), *(str(ROOT / room) for room in ("proto", "chaincode", "client", "network"))]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder),
    }


def told(
    light: Mapping[str, str], *arguments: str, where: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=dict(light), capture_output=True, text=True, cwd=where, check=False
    )


def test_the_extras_are_those_of_the_installation() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    brought = {name.lower() for line in project["dependencies"] for name in [_name(line)]}
    for library, extra in EXTRAS.items():
        package = {"sklearn": "scikit-learn", "mlflow": "mlflow-skinny", "PIL": "pillow"}.get(
            library, library
        )
        assert package in [_name(line) for line in extras[extra]], library
        assert package not in brought, f"{package} is brought to all"
    assert "quorumlearn" in [_name(line) for line in extras["dev"]]
    (everything,) = extras["all"]
    assert set(EXTRAS.values()) <= set(everything.removeprefix("quorumlearn[").removesuffix("]").split(","))


def _name(requirement: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else " " for c in requirement).split()[0].lower()


def test_the_sentence_names_library_and_extra() -> None:
    error = ModuleNotFoundError("No module named 'sklearn.datasets'", name="sklearn.datasets")
    assert lacking("training", error) == "training needs scikit-learn: pip install 'quorumlearn[train]'"
    assert isinstance(missing("training", error), ExtraMissing)
    other = ModuleNotFoundError("No module named 'elsewhere'", name="elsewhere")
    assert lacking("training", other) is None
    assert missing("training", other) is other
    require("matplotlib", "a picture")


def test_every_commands_help_and_every_room_that_needs_no_training(light: Mapping[str, str]) -> None:
    for program in (ALL_HELP, ROOMS):
        ended = told(light, "-c", program)
        assert ended.returncode == 0, ended.stderr


def test_importing_the_package_imports_nothing_else(light: Mapping[str, str]) -> None:
    ended = told(
        light,
        "-c",
        "import sys; import quorumlearn; print([m for m in sys.modules if m.startswith(('quorumlearn.', 'numpy'))])",
    )
    assert ended.stdout.strip() == "[]", ended.stderr


@pytest.mark.parametrize(
    ("arguments", "library", "extra"),
    [
        (("demo",), "torch", "train"),
        (("attack", "noise"), "torch", "train"),
        (("task", "report", "mnist-1", "--picture", "a.png"), "matplotlib", "plots"),
    ],
)
def test_a_command_that_needs_an_extra_says_so_in_one_sentence(
    light: Mapping[str, str], tmp_path: Path, arguments: tuple[str, ...], library: str, extra: str
) -> None:
    ended = told(light, "-m", "quorumlearn.cli", *arguments, where=tmp_path)
    assert ended.returncode == 2, ended.stderr
    (sentence,) = ended.stderr.splitlines()
    assert sentence.endswith(f"needs {library}: pip install 'quorumlearn[{extra}]'")


def test_a_network_comes_up_and_its_ledger_is_read(light: Mapping[str, str], tmp_path: Path) -> None:
    def command(*arguments: str) -> str:
        ended = told(light, "-m", "quorumlearn.cli", *arguments, where=tmp_path)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    command("network", "up", "--miners", "1")
    try:
        command("token", "mint", "OwnerMSP/owner=100")
        assert json.loads(command("ledger", "account", "OwnerMSP/owner", "--json"))["balance"] == 100
        assert json.loads(command("task", "list", "--json")) == {"tasks": []}
        assert command("ledger", "blocks")
        assert "miner1" in command("node", "example", "miners1")
        (tmp_path / "task.yaml").write_text(command("task", "example"))
        assert "checked" in command("task", "publish", "task.yaml", "--store", "artifacts", "--dry-run")
        assert "pays from" in command("analyse", "economics", "task.yaml")
    finally:
        command("network", "down")
