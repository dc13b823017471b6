"""Scenarios' fixtures: one network a module, and the nodes' log in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from quorumlearn.cli.example import WORKING, members
from quorumlearn_network.fabric.native import BINARIES, find_executable
from quorumlearn_network.spec import FabricSpec, Logs, Runtime, default_spec

from tests.scenarios.stage import SEATS, Stage, raised


@pytest.fixture(scope="module")
def miners_each() -> int:
    """Miners in each of the two organisations; a module with a larger cast has a fixture of its own."""
    return 4


@pytest.fixture(scope="module")
def verifiers() -> int:
    """Verifier organisations; a module with a larger committee or reserves has a fixture of its own."""
    return len(SEATS)


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, mnist_folder: Path, miners_each: int, verifiers: int
) -> Iterator[Stage]:
    """A network with funded accounts, for all scenarios of a module."""
    folder = tmp_path_factory.mktemp("stage")
    with (folder / "nodes.log").open("w", buffering=1) as log:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
        raised_stage = raised(folder, mnist_folder, miners_each, verifiers)
        yield raised_stage
        raised_stage.close()
        structlog.reset_defaults()


@pytest.fixture(scope="module")
def fabric_stage(tmp_path_factory: pytest.TempPathFactory, mnist_folder: Path) -> Iterator[Stage]:
    """A stage on native Fabric nodes."""
    for name in ("peer", "orderer"):
        if find_executable(name) is None:
            pytest.skip(
                f"no executable {name!r}: put Fabric 3.1's on the PATH or name their folder in {BINARIES}"
            )
    folder = tmp_path_factory.mktemp("fabric-stage")
    spec = default_spec(miner_organisations=2, miners_each=2, verifiers=len(SEATS))
    spec = spec.model_copy(update={"fabric": FabricSpec(runtime=Runtime.NATIVE), "logs": Logs.JSON})
    with (folder / "nodes.log").open("w", buffering=1) as log:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
        stage = Stage(folder, mnist_folder, spec)
        stage.store_folder.mkdir(parents=True)
        stage.up()
        try:
            stage.fund(*(f"{one}/{user}" for role in WORKING for one, user in members(spec, role)))
            yield stage
        finally:
            stage.close()
            structlog.reset_defaults()
