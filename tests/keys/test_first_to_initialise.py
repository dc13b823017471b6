"""A treasury that is the first to initialise the ledger, with a Config of its own, is refused by every organisation's chaincode."""

from __future__ import annotations

from pathlib import Path

import pytest
from quorumlearn.cli.access import market_contract, open_gateway
from quorumlearn.cli.confirm import confirm_ledger, ledger_config, until
from quorumlearn.gateway import EndorseError
from quorumlearn.nodes.market import refusal
from quorumlearn_chaincode.contracts import configuration
from quorumlearn_network import agreement
from quorumlearn_network.agreement import config_digest
from quorumlearn_network.folder import Waiting
from quorumlearn_network.spec import NetworkSpec, default_spec, load_spec
from quorumlearn_network.up import bring_down, bring_up
from quorumlearn_proto import canonical

from tests.conformance.network import ROOT
from tests.keys.played import UP_S, description


@pytest.mark.parametrize(
    "spec",
    [description("devnet"), default_spec(verifiers=5), load_spec(ROOT / "network" / "market.yaml")],
    ids=["seven", "default", "market.yaml"],
)
def test_organisations_start_their_chaincode_for_the_config_that_the_description_gives(
    spec: NetworkSpec,
) -> None:
    assert config_digest(spec) == canonical.digest(ledger_config(spec))
    assert agreement.CONFIG_DIGEST == configuration.CONFIG_DIGEST


def test_a_greedy_treasury_is_refused_and_the_agreed_config_taken(tmp_path: Path) -> None:
    refused: list[str] = []

    def greedy(spec: NetworkSpec, folder: Path, waiting: Waiting) -> None:
        """Names one verifier organisation, whose word is then enough, before anybody initialises the ledger."""
        mine = ledger_config(spec)
        mine.verifier_msps[:] = mine.verifier_msps[:1]
        mine.verifier_quorum = 1
        with open_gateway(folder, "treasury/admin") as gateway:
            contract = market_contract(gateway, spec)

            def attempt() -> None:
                try:
                    contract.submit("rewards:Initialise", canonical.to_json(mine))
                except EndorseError as error:
                    found = refusal(error)
                    if found is None:
                        raise
                    refused.append(found[0])

            until(waiting, "the ledger does not answer", attempt)
        confirm_ledger(spec, folder, waiting)

    try:
        bring_up(description("devnet"), tmp_path / "network", greedy, timeout_s=UP_S)
    finally:
        bring_down(tmp_path / "network", wipe=True)
    assert refused == ["CONFIG_NOT_AGREED"]
