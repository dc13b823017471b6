"""Packages as pip would have installed them, made of text, for tests of what is found by entry point."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest


def installed(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    code: str,
    entries: Mapping[str, Mapping[str, str]],
) -> None:
    """A package with one module, whose `entries` are name and place by group, on the path of this test."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    lines = [
        line
        for group, named in entries.items()
        for line in (f"[{group}]", *(f"{n} = {p}" for n, p in named.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(folder))
