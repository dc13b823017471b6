"""The version that the chaincode tells is the one that is released."""

from __future__ import annotations

import tomllib
from pathlib import Path

from quorumlearn_proto.version import VERSION

ROOT = Path(__file__).resolve().parents[2]


def test_the_chaincode_tells_the_version_of_the_release() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
