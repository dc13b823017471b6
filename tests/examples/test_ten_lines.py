"""From a torch module that trains to a miner that is paid in ten lines: counted, as docs/workloads.md says, in the files that
tests/scenarios/test_own_workload.py plays until the miners are paid."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import yaml
from quorumlearn import learning
from quorumlearn.nodes import config

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "ten_lines"
PAGE = (ROOT / "docs" / "workloads.md").read_text()
MOST = 10


def written(text: str) -> list[str]:
    """Lines that are neither blank nor a comment."""
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def beside_the_module(text: str) -> list[str]:
    """The lines of the workload's file that its module would not have without QuorumLearn: neither the class, nor torch's import, nor the
    docstring."""
    theirs: set[int] = set()
    for node in ast.parse(text).body:
        imports_torch = isinstance(node, ast.ImportFrom) and node.module == "torch"
        said = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.ClassDef) or imports_torch or said:
            assert node.end_lineno is not None
            theirs |= set(range(node.lineno, node.end_lineno + 1))
    ours = [line for number, line in enumerate(text.splitlines(), start=1) if number not in theirs]
    return written("\n".join(ours))


def test_ten_lines_or_fewer_and_as_many_as_the_page_says() -> None:
    workload = beside_the_module((EXAMPLE / "clinic.py").read_text())
    node = written((EXAMPLE / "node.yaml").read_text())
    told = re.search(r"(\d+) lines beside the module and (\d+) of a node's file, (\d+) in all", PAGE)
    assert told is not None
    counted = len(workload), len(node), len(workload) + len(node)
    assert tuple(int(number) for number in told.groups()) == counted
    assert counted[2] <= MOST
    assert any("TorchWorkload(" in line for line in workload)


def test_the_page_shows_the_files() -> None:
    for name in ("clinic.py", "node.yaml"):
        shown = (EXAMPLE / name).read_text()
        assert f"```{name.rpartition('.')[2]}\n{shown}```" in PAGE, name


def test_the_nodes_file_is_one_and_finds_the_workload() -> None:
    loaded = config.load(EXAMPLE / "node.yaml")
    assert loaded.source_of("clinic") is not None
    assert learning.get_workload("clinic", {}).blocks == ("body", "head")
    assert yaml.safe_load((EXAMPLE / "node.yaml").read_text())["workloads"] == loaded.workloads
