"""The Task record of a running task, attacked on a devnet: by its owner with one verifier, and by all that a quorum could do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from quorumlearn.cli.access import market_contract, open_gateway
from quorumlearn.nodes.market import Market, Refused
from quorumlearn_proto import canonical
from quorumlearn_proto.task_pb2 import RobustRule, Task

from tests.chaincode.contracts.market_actors import TASK
from tests.keys.forging import Forger, Forgery, deleting, writing
from tests.keys.played import played

CHAINCODE, KEY = "quorumlearn", f"\x00task\x00{TASK}\x00"
IN_LEAGUE = ("OwnerMSP", "V2MSP")
QUORUM = ("V1MSP", "V2MSP")


@dataclass
class Attacked:
    """The market as its owner sees it, and whoever forges transactions."""

    market: Market
    forger: Forger

    def forged(self, forgery: Forgery, *endorsers: str) -> str:
        return self.forger.code(self.forger.send(forgery, endorsers))


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    folder = tmp_path_factory.mktemp("attacked") / "network"
    with played("devnet", folder) as spec, open_gateway(Path(folder), "owner/olivia") as gateway:
        forger = Forger(spec, folder)
        yield Attacked(Market(market_contract(gateway, spec)), forger)
        forger.close()


def rewritten(task: Task) -> Forgery:
    """Sums of one, of whoever is nearest, and nothing for miners."""
    other = Task()
    other.CopyFrom(task)
    other.spec.min_aggregate = 0
    other.spec.rule.CopyFrom(RobustRule(name="l-nearest", parameters={"nearest": "1"}))
    other.spec.reward.miners_bp, other.spec.reward.verifiers_bp, other.spec.reward.proposer_bp = 0, 10_000, 0
    other.spec_digest = canonical.digest(other.spec)
    return writing(CHAINCODE, KEY, canonical.to_json(other))


def test_an_owner_and_one_verifier_neither_rewrite_nor_delete_it(attacked: Attacked) -> None:
    before = attacked.market.task(TASK).task
    for forgery in (rewritten(before), deleting(CHAINCODE, KEY)):
        assert attacked.forged(forgery, *IN_LEAGUE) == "ENDORSEMENT_POLICY_FAILURE"
    assert attacked.market.task(TASK).task == before


def test_what_even_a_quorum_rewrites_no_contract_goes_by(attacked: Attacked) -> None:
    before = attacked.market.task(TASK).task
    restored = writing(CHAINCODE, KEY, canonical.to_json(before))
    for forgery in (rewritten(before), deleting(CHAINCODE, KEY)):
        assert attacked.forged(forgery, *QUORUM) == "VALID"
        for call in (attacked.market.view, attacked.market.cancel, attacked.market.advance):
            with pytest.raises(Refused) as caught:
                call(TASK)
            assert caught.value.code == "TASK_ALTERED"
        assert attacked.forged(restored, *QUORUM) == "VALID"
        assert attacked.market.task(TASK).task == before
