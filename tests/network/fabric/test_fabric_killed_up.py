"""A first `network up` that is killed wherever it is: the next goes on from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.network.fabric.fabric_net import DESCRIPTION, FabricNet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MOMENTS = (
    "identities",
    "starting 13 nodes",
    "joining the channel",
    "installing the chaincode on peer0.owner",
    "approving the chaincode for verifier2",
    "asking the ledger",
)


def test_an_up_that_is_killed_in_six_moments_is_gone_on_with(executables: None, tmp_path: Path) -> None:
    net = FabricNet(tmp_path, DESCRIPTION)
    arguments = net.up_arguments()
    seen: dict[str, int] = {}
    try:
        for moment in MOMENTS:
            with net.begin(*arguments) as up:
                assert up.stderr is not None
                said = []
                for line in up.stderr:
                    said.append(line.strip())
                    if said[-1] == moment:
                        up.kill()
            assert up.returncode == -9, "\n".join(said)
            if (net.network / "network.yaml").exists():
                running = net.pids()
                assert {name: running.get(name) for name in seen} == seen, "what ran was taken away"
                seen = running
        assert net.up()["running"]
        assert net.pids() == seen and len(seen) == 3 + 2 * 5
        net.done("token", "mint", "OwnerMSP/owner=5", "--as", "treasury/treasury")
        assert net.done("ledger", "account", "OwnerMSP/owner")["balance"] == 5
    finally:
        net.close()
