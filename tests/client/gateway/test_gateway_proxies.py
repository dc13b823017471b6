"""Proxies of the environment, which who needs them for other things has set, are not on the way to a peer."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from quorumlearn.gateway import EvaluateError, Gateway, Identity, Signer, connect, connect_profile
from quorumlearn_network.identities import Organisation

from tests.client.gateway.conftest import QUICK
from tests.client.gateway.scripted_peer import CHANNEL, ScriptedPeer
from tests.client.gateway.test_gateway_credentials import profile_of

NAMES = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy")


class Proxy:
    """Notes the request line of each connection and ends it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://{}:{}".format(*self._listener.getsockname())
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(4096).decode(errors="replace").partition("\r\n")[0])
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    running = Proxy()
    yield running
    running.close()


def ask(gateway: Gateway) -> bytes:
    return gateway.network(CHANNEL).contract("cc").evaluate("echo", "x")


@pytest.mark.parametrize("name", [*NAMES, *(name.upper() for name in NAMES)])
def test_a_proxy_of_the_environment_is_not_asked(
    peer: ScriptedPeer,
    alice: tuple[Identity, Signer],
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    for other in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, proxy.url)
    with connect(peer.address, *alice, tls_root=None, options=QUICK) as gateway:
        assert ask(gateway) == b"x"
    assert proxy.asked == []


def test_a_proxy_that_the_profile_names_is_asked(
    tmp_path: Path, organisation: Organisation, msp: Path, proxy: Proxy
) -> None:
    fields = profile_of(organisation, "peer.example:7051")
    fields["peers"]["peer0.org"]["grpcOptions"]["grpc.http_proxy"] = proxy.url
    path = tmp_path / "connection.json"
    path.write_text(json.dumps(fields))
    with connect_profile(path, msp, QUICK) as gateway, pytest.raises(EvaluateError):
        ask(gateway)
    assert proxy.asked[0] == "CONNECT peer.example:7051 HTTP/1.1"
