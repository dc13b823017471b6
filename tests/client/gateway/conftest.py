"""One organisation with a user, a scripted peer, and a gateway to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from quorumlearn.gateway import Backoff, Gateway, Identity, Options, Signer, Timeouts, connect, load_msp
from quorumlearn_network.identities import Organisation, ensure_peer, ensure_user, open_organisation

from tests.client.gateway.scripted_peer import ScriptedPeer

QUICK = Options(
    timeouts=Timeouts(10.0, 10.0, 10.0, 10.0),
    unavailable=Backoff(attempts=4, initial_s=0.001, cap_s=0.005),
    conflict=Backoff(attempts=4, initial_s=0.001, cap_s=0.005),
    disagreement=Backoff(attempts=4, initial_s=0.001, cap_s=0.005),
    reconnect=Backoff(attempts=200, initial_s=0.01, cap_s=0.05),
    seed=1,
)


@pytest.fixture(scope="session")
def organisation(tmp_path_factory: pytest.TempPathFactory) -> Organisation:
    made = open_organisation(tmp_path_factory.mktemp("gateway"), "org", "OrgMSP")
    ensure_peer(made, ["127.0.0.1", "localhost"])
    ensure_user(made, "alice")
    return made


@pytest.fixture(scope="session")
def alice(organisation: Organisation) -> tuple[Identity, Signer]:
    return load_msp(organisation.user("alice"), "OrgMSP")


@pytest.fixture(scope="session")
def msp(organisation: Organisation) -> Path:
    return organisation.user("alice")


@pytest.fixture
def peer() -> Iterator[ScriptedPeer]:
    with ScriptedPeer() as running:
        yield running


@pytest.fixture
def gateway(peer: ScriptedPeer, alice: tuple[Identity, Signer]) -> Iterator[Gateway]:
    with connect(peer.address, *alice, tls_root=None, options=QUICK) as opened:
        yield opened
