"""Settings of the whole test suite: where data sets are (QUORUMLEARN_DATA, or beside the project)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from quorumlearn.learning import data_folder
from quorumlearn_network import ports

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
# Each of the suite's processes takes ports of its own: a network that is down for a moment finds its own free.
ports.OWN_PORTS = ports.OWN_PORTS[int(WORKER) :: WORKERS]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a background job of a shell: the processes that tests start would ignore an interrupt too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
if BESIDE.is_dir():
    os.environ.setdefault("QUORUMLEARN_DATA", str(BESIDE))


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder with MNIST's four IDX files."""
    folder = data_folder("mnist")
    if folder is None:
        pytest.skip("no MNIST: name the folder that holds its folder `mnist` in QUORUMLEARN_DATA")
    return folder


@pytest.fixture(scope="session")
def heart_folder() -> Path:
    """The folder with the four hospitals' tables."""
    folder = data_folder("heart")
    if folder is None:
        pytest.skip(
            "no heart disease data: name the folder that holds its folder `heart` in QUORUMLEARN_DATA"
        )
    return folder
