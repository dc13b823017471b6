"""docs/workloads.md does what it says: its blocks run from the first to the last, and print what the page shows."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "workloads.md"
BLOCK = re.compile(r"(?:`(?P<name>[\w/.]+)`:\n)?```(?P<kind>python|pycon|csv)\n(?P<text>.*?)```", re.DOTALL)


def test_the_pages_blocks_run_and_print_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "workloads_page"}
    ran = dict.fromkeys(("python", "pycon", "csv"), 0)
    text = PAGE.read_text()
    for block in BLOCK.finditer(text):
        line = text[: block.start("text")].count("\n")
        ran[block["kind"]] += 1
        if block["kind"] == "csv":
            assert block["name"] is not None, f"line {line}: the table has no name"
            place = tmp_path / block["name"]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block["text"])
        elif block["kind"] == "python":
            exec(compile("\n" * line + block["text"], str(PAGE), "exec"), names)
        else:
            example = doctest.DocTestParser().get_doctest(block["text"], names, PAGE.name, str(PAGE), line)
            report: list[str] = []
            runner = doctest.DocTestRunner()
            assert runner.run(example, out=report.append, clear_globs=False).failed == 0, "".join(report)
    assert min(ran.values()) >= 2
