"""Orderers whose disk was full: status says why they ended, and up has them order again once there is room."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from quorumlearn.cli.access import market_contract, open_gateway
from quorumlearn.gateway import GatewayError
from quorumlearn_network.up import read_network

from tests.network.fabric.fabric_net import DESCRIPTION, FabricNet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SIZE_MIB, ORDERERS = 512, 3


@pytest.fixture
def small(executables: None, tmp_path: Path) -> Iterator[FabricNet]:
    """A network whose orderers have a disk each for their ledgers; the peers have room."""
    net = FabricNet(tmp_path, DESCRIPTION)
    mounted: list[Path] = []
    try:
        for disk in disks(net):
            disk.mkdir(parents=True)
            mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(disk)]
            if subprocess.run(mount, capture_output=True, check=False).returncode:
                pytest.skip("no right to mount a small disk")
            mounted.append(disk)
        net.up()
        yield net
        net.done("network", "down")
    finally:
        for disk in mounted:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


def disks(net: FabricNet) -> list[Path]:
    return [net.network / "ledger" / f"orderer{number}.orderer" for number in range(ORDERERS)]


def fill(disk: Path) -> Path:
    """A file that takes all the room there is."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 10):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                pass
    return filler


def test_orderers_that_ended_on_a_full_disk_order_again_after_up(small: FabricNet) -> None:
    orderers = set(small.orderers())
    small.done("token", "mint", "OwnerMSP/owner=1", "--as", "treasury/treasury")
    fillers = [fill(disk) for disk in disks(small)]
    with open_gateway(small.network, "treasury/treasury") as gateway:
        contract = market_contract(gateway, read_network(small.network))
        deadline = time.monotonic() + 60
        while orderers & set(small.pids()):
            assert time.monotonic() < deadline, "they go on without room"
            with contextlib.suppress(GatewayError):  # as soon as too few are left, nothing is ordered
                contract.propose("rewards:Mint", "OwnerMSP/owner", "5").endorse().submit()
    code, _, err = small.cli("network", "status")
    assert code == 3 and "no space left on device" in err.splitlines()[-1]
    for filler in fillers:
        filler.unlink()
    assert small.done("network", "up")["running"]
    before = small.done("ledger", "account", "OwnerMSP/owner")["balance"]
    small.done("token", "mint", "OwnerMSP/owner=5", "--as", "treasury/treasury")
    assert small.done("ledger", "account", "OwnerMSP/owner")["balance"] >= before + 5
