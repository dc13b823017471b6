"""The same network in containers: up, down and up again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.network.fabric.fabric_net import DESCRIPTION, FabricNet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_containers_come_up_keep_the_ledger_and_take_a_new_version(engine: None, tmp_path: Path) -> None:
    net = FabricNet(tmp_path, DESCRIPTION.replace("runtime: native", "runtime: containers"))
    try:
        assert net.up()["running"]
        before = net.pids()
        assert net.up()["running"] and net.pids() == before
        net.done("token", "mint", "OwnerMSP/owner=5", "--as", "treasury/treasury")
        net.done("network", "down")
        assert net.pids() == {}
        net.done("network", "up")
        assert net.done("ledger", "account", "OwnerMSP/owner")["balance"] == 5
        definition = net.done("network", "upgrade", "1.1")["fabric"]["definition"]
        assert (definition["version"], definition["sequence"]) == ("1.1", 2)
        net.done("token", "mint", "OwnerMSP/owner=5", "--as", "treasury/treasury")
        assert net.cli("network", "logs", "peer0.owner", "--lines", "5")[1].count("\n") > 3
    finally:
        net.close()
    assert not net.network.exists()
