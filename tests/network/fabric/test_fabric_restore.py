"""A peer and an orderer that lost their ledgers get them back from the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.network.fabric.fabric_net import DESCRIPTION, FabricNet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_lost_ledgers_are_read_again_from_the_other_nodes(executables: None, tmp_path: Path) -> None:
    net = FabricNet(tmp_path, DESCRIPTION)
    try:
        net.up()
        net.done("token", "mint", "OwnerMSP/owner=5", "--as", "treasury/treasury")
        net.done("network", "down")
        shutil.rmtree(net.network / "ledger" / "orderer1.orderer")
        assert net.done("network", "up")["running"]
        net.done("network", "down")
        shutil.rmtree(net.network / "ledger" / "peer0.owner")
        code, _, err = net.cli("network", "up")
        assert code == 1
        assert "peer0.owner has lost with its ledger what its organisation approved" in err
        assert len(net.pids()) == 3 + 2 * 5
        nodes = net.done("network", "upgrade", "1.1")["fabric"]["nodes"]
        assert len({one["height"] for one in nodes if one["name"] in {"peer0.owner", "peer0.treasury"}}) == 1
        assert net.done("ledger", "account", "OwnerMSP/owner", "--as", "owner/owner")["balance"] == 5
    finally:
        net.close()
