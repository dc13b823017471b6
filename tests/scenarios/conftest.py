"""Scenarios' fixtures: one network a module, and the nodes' log in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

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
