"""An organisation that joins later: who admits it, with which roles, and what it may do then."""

from __future__ import annotations

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto.common_pb2 import Config, OrganisationRoles

from tests.chaincode.contracts.ledger_stub import identity
from tests.chaincode.contracts.market_actors import OWNER, TREASURY, Play, js


def organisation(msp_id: str, *roles: str) -> str:
    return js(OrganisationRoles(msp_id=msp_id, roles=roles))


def test_what_is_admitted_has_its_roles_and_an_account() -> None:
    play = Play()
    with pytest.raises(Refusal) as before:
        play.send(TREASURY, "rewards:Mint", "LateMSP/mia", "5")
    assert before.value.code == Code.WRONG_ORGANISATION
    play.send(TREASURY, "rewards:Admit", organisation("LateMSP", "miner"))
    play.send(TREASURY, "rewards:Mint", "LateMSP/mia", "5")
    config: Config = play.ask(Config, "rewards:Config")
    assert config.organisations[-1] == OrganisationRoles(msp_id="LateMSP", roles=["miner"])
    with pytest.raises(Refusal) as spec:
        play.peer.endorse(identity("LateMSP/mia"), "tasks:Publish", "{}")
    assert spec.value.code == Code.WRONG_ORGANISATION
    with pytest.raises(Refusal) as joined:
        play.peer.endorse(identity("LateMSP/mia"), "tasks:Join", "nowhere-1")
    assert joined.value.code == Code.NO_SUCH_TASK


@pytest.mark.parametrize(
    ("msp_id", "roles"),
    [
        ("LateMSP", ()),
        ("LateMSP", ("verifier",)),
        ("LateMSP", ("miner", "treasury")),
        ("LateMSP", ("miner", "miner")),
        ("LateMSP", ("banker",)),
        ("Late/MSP", ("miner",)),
        ("", ("miner",)),
        (OWNER.partition("/")[0], ("miner",)),
    ],
)
def test_what_may_not_be_admitted_is_refused(msp_id: str, roles: tuple[str, ...]) -> None:
    play = Play()
    before = dict(play.peer.state)
    with pytest.raises(Refusal) as refused:
        play.send(TREASURY, "rewards:Admit", organisation(msp_id, *roles))
    assert refused.value.code == Code.BAD_ARGUMENT
    assert play.peer.state == before


def test_only_the_treasury_admits() -> None:
    play = Play()
    with pytest.raises(Refusal) as refused:
        play.send(OWNER, "rewards:Admit", organisation("LateMSP", "miner"))
    assert refused.value.code == Code.WRONG_ORGANISATION
