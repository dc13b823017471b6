"""The same training in three processes, as if on three kinds of processor: what is portable comes to the same bytes in each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.client.learning.exact.played import MIDDLES

ROOT = Path(__file__).resolve().parents[4]
PATHS: Mapping[str, Mapping[str, str]] = {
    "as it is": {},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"},
    "default": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX2 FMA3",
    },
}


def played(path: str, logs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the trainings come to on this path, replayed by these logs."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.client.learning.exact.played"],
        cwd=ROOT,
        env={**os.environ, **PATHS[path], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        input=json.dumps(logs or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def trained() -> dict[str, Any]:
    """The trainings as a miner does them, on this machine's own path."""
    return played("as it is")


@pytest.fixture(scope="module")
def replayed(trained: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The same as others replay them, by the miner's logs."""
    logs = {name: one["ties"] for name, one in trained["trainings"].items()}
    return {path: played(path, logs) for path in ("avx2", "default")}


def test_a_portable_training_replays_to_the_same_bytes_on_every_path(
    trained: dict[str, Any], replayed: dict[str, dict[str, Any]]
) -> None:
    """SGD and Adam, BatchNorm, dropout, noise, convolutions, and a step whose gradient lies in the middle between grid points."""
    for other in replayed.values():
        assert other["trainings"] == trained["trainings"]


def test_gradients_in_the_middle_are_all_logged(trained: dict[str, Any]) -> None:
    middle = [one[:2] for one in trained["trainings"]["middles"]["ties"]]
    assert [[0, 1 + column] for column in range(MIDDLES)] == middle


def test_float32_differs_between_paths_and_so_do_their_profiles(
    trained: dict[str, Any], replayed: dict[str, dict[str, Any]]
) -> None:
    """Where the machine has a path besides the default one at all."""
    other = replayed["default"]
    if trained["path"] == other["path"]:
        pytest.skip(f"this machine has the path {other['path']} only")
    assert trained["float32"]["end"] != other["float32"]["end"]
    assert trained["profile"] != other["profile"]
