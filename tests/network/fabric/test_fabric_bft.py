"""Four orderers that agree by BFT, one of them lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.network.fabric.fabric_net import DESCRIPTION, FabricNet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_bft_orders_with_one_of_four_lost(executables: None, tmp_path: Path) -> None:
    description = DESCRIPTION.replace("orderers: 3", "consensus: bft")
    net = FabricNet(tmp_path, description)
    try:
        nodes = net.up()["fabric"]["nodes"]
        orderers = [one["name"] for one in nodes if one["name"].startswith("orderer")]
        assert len(orderers) == 4
        leader = next(one["name"] for one in nodes if one["leader"])
        net.kill(next(name for name in orderers if name != leader))
        net.done("token", "mint", "OwnerMSP/owner=5", "--as", "treasury/treasury")
        assert net.done("ledger", "account", "OwnerMSP/owner")["balance"] == 5
    finally:
        net.close()
