"""Real Fabric nodes for the tests that need them: skipped, with the reason, where there are none."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from quorumlearn_network.fabric.layout import Layout, plan
from quorumlearn_network.fabric.native import BINARIES, find_executable
from quorumlearn_network.ports import choose_ports
from quorumlearn_network.spec import NetworkSpec, parse_spec

from tests.network.fabric.fabric_net import DESCRIPTION, FabricNet


@pytest.fixture
def spec() -> NetworkSpec:
    """A small network of Fabric nodes, ports chosen."""
    return choose_ports(parse_spec(DESCRIPTION, "x"), None)


@pytest.fixture
def layout(spec: NetworkSpec, tmp_path: Path) -> Layout:
    return plan(spec, tmp_path)


@pytest.fixture(scope="session")
def executables() -> None:
    """Fabric's executables on this machine."""
    for name in ("peer", "orderer"):
        if find_executable(name) is None:
            pytest.skip(
                f"no executable {name!r}: put Fabric 3.1's on the PATH or name their folder in {BINARIES}"
            )


@pytest.fixture(scope="session")
def engine() -> None:
    """A container engine with the images of a network."""
    if shutil.which("docker") is None:
        pytest.skip("no docker on this machine")
    for image in ("hyperledger/fabric-peer:3.1", "hyperledger/fabric-orderer:3.1", "quorumlearn-chaincode"):
        found = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False)
        if found.returncode:
            pytest.skip(f"no image {image}, or no Docker that answers")


@pytest.fixture(scope="module")
def net(executables: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabricNet]:
    """A network of native nodes that is up, for all tests of a module."""
    running = FabricNet(tmp_path_factory.mktemp("fabric"), DESCRIPTION)
    try:
        running.up()
        yield running
    finally:
        running.close()
