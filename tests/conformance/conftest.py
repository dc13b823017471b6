"""The networks under test, and the official Node packages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.network import KINDS, Network, running, why_not


@pytest.fixture(scope="session", params=KINDS)
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """The devnet, then a real Fabric network, each with the conformance chaincode."""
    reason = why_not(request.param)
    if reason is not None:
        pytest.skip(reason)
    with running(request.param, tmp_path_factory.mktemp(request.param) / "network") as found:
        yield found
