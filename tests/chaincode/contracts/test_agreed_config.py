"""Who initialises the ledger chooses nothing: each organisation's chaincode takes the one Config that it was started for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from quorumlearn_chaincode.contracts import Code, Market, Refusal
from quorumlearn_chaincode.contracts.configuration import CONFIG_DIGEST
from quorumlearn_chaincode.contracts.dispatch import agreed_config
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import Config

from tests.chaincode.contracts.ledger_stub import Peer, identity
from tests.chaincode.contracts.market_actors import TREASURY, config, js

ADMIN = identity(TREASURY, units=("admin",))


def another_treasury(made: Config) -> None:
    made.treasury_msp = "OwnerMSP"
    made.organisations[0].roles[:] = ["miner"]
    made.organisations[1].roles[:] = ["treasury", "owner"]


def one_verifier(made: Config) -> None:
    made.verifier_msps[:] = ["V1MSP"]
    made.verifier_quorum = 1


def smaller_quorum(made: Config) -> None:
    made.verifier_quorum = 1


def another_role(made: Config) -> None:
    made.organisations[2].roles.append("verifier")


@pytest.mark.parametrize("change", [another_treasury, one_verifier, smaller_quorum, another_role])
def test_another_config_than_the_agreed_one_is_refused_and_the_agreed_one_then_taken(
    change: Callable[[Config], None],
) -> None:
    peer, wanted = Peer(), config()
    change(wanted)
    peer.agreed = canonical.digest(config())
    caller = identity(f"{wanted.treasury_msp}/admin", units=("admin",))
    with pytest.raises(Refusal) as caught:
        peer.submit(caller, "rewards:Initialise", js(wanted))
    assert caught.value.code == Code.CONFIG_NOT_AGREED
    assert peer.agreed in caught.value.sentence
    assert canonical.digest(wanted) in caught.value.sentence
    assert not peer.state
    peer.submit(ADMIN, "rewards:Initialise", js(config()))
    assert peer.state


def test_a_chaincode_that_was_started_without_the_digest_initialises_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(CONFIG_DIGEST, raising=False)
    assert agreed_config() == ""
    peer = Peer()
    peer.market = Market(clock_ms=lambda: peer.clock_ms, config_digest=agreed_config)
    with pytest.raises(Refusal) as caught:
        peer.submit(ADMIN, "rewards:Initialise", js(config()))
    assert caught.value.code == Code.CONFIG_NOT_AGREED
    assert CONFIG_DIGEST in caught.value.sentence
    monkeypatch.setenv(CONFIG_DIGEST, canonical.digest(config()))
    peer.submit(ADMIN, "rewards:Initialise", js(config()))
    assert peer.state
