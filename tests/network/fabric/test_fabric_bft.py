"""Four orderers that agree by BFT, one of them lost, a follower or the leader."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.network.fabric.fabric_net import DESCRIPTION, FabricNet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

VIEW_CHANGE_SECONDS = 180


def minted(net: FabricNet) -> int:
    """Mint one token, tried again while the orderers choose a leader; the balance then."""
    deadline = time.monotonic() + VIEW_CHANGE_SECONDS
    while True:
        code, _, err = net.cli("token", "mint", "OwnerMSP/owner=1", "--as", "treasury/treasury")
        if code == 0:
            return int(net.done("ledger", "account", "OwnerMSP/owner")["balance"])
        assert time.monotonic() < deadline, err


def test_bft_orders_with_one_of_four_lost(executables: None, tmp_path: Path) -> None:
    net = FabricNet(tmp_path, DESCRIPTION.replace("orderers: 3", "consensus: bft"))
    try:
        net.up()
        (leader,) = net.leaders()
        follower = next(name for name in net.orderers() if name != leader)
        assert len(net.orderers()) == 4
        net.kill(follower)
        before = minted(net)
        net.done("network", "up")
        net.kill(leader)
        assert minted(net) > before
        net.done("network", "restart", leader)
        assert len(net.leaders()) <= 1
        minted(net)
        (new,) = net.leaders()
        assert new != leader
    finally:
        net.close()
