"""The benchmark behind `--last` of `quorumlearn analyse economics` works as anybody would call it."""

from __future__ import annotations

import json

import pytest

from benchmarks.useful_work import last_check


def test_it_prints_one_record(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["last_check", "--steps", "2", "--json"])
    assert last_check.main() == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["a step", "the check", "the check and a plan"]
    assert all(milliseconds > 0 for milliseconds in found.values())
