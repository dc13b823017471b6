"""A client alone in its process is back soon after its peer is, however long the peer was away and whatever the client did meanwhile.

Alone, since every call in a process polls gRPC for all its channels: where others call, nobody is deaf. Over TLS, from a peer that
drops slow handshakes as Fabric's do: that is where a connection was never made.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import grpc
import pytest
from quorumlearn_network.identities import Organisation

from tests.client.gateway.scripted_peer import ScriptedPeer

BACK_SECONDS = 2.0
LONE_CLIENT = Path(__file__).with_name("lone_client.py")


class LoneClient:
    """The process, told by lines what to do, and what it says with the time it was said."""

    def __init__(self, endpoint: str, msp: Path, tls_root: Path) -> None:
        command = [sys.executable, str(LONE_CLIENT), endpoint, str(msp), str(tls_root)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._said: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stdin = self.process.stdin
        threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True).start()

    def tell(self, what: str) -> None:
        self._stdin.write(f"{what}\n")
        self._stdin.flush()

    def said(self, word: str) -> float:
        """When it next says `word`."""
        while True:
            spoken, at = self._said.get(timeout=60)
            if spoken == word:
                return at

    def _read(self, stdout: IO[str]) -> None:
        for line in stdout:
            self._said.put((line.strip(), time.monotonic()))


class Outages:
    """A peer's address, where it listens or not."""

    def __init__(self, organisation: Organisation) -> None:
        tls = organisation.peer / "tls"
        pair = ((tls / "server.key").read_bytes(), (tls / "server.crt").read_bytes())
        self._credentials = grpc.ssl_server_credentials([pair])
        with ScriptedPeer() as gone:
            self.address = gone.address
        self._peer: ScriptedPeer | None = None

    def begin(self) -> None:
        assert self._peer is not None
        self._peer.stop()
        self._peer = None

    def end(self) -> float:
        """The peer listens; since when."""
        self._peer = ScriptedPeer(self.address, self._credentials)
        self._peer.add_block([], [])
        self._peer.__enter__()
        return time.monotonic()

    def close(self) -> None:
        if self._peer is not None:
            self._peer.stop()


@pytest.fixture
def outages(organisation: Organisation) -> Iterator[Outages]:
    made = Outages(organisation)
    yield made
    made.close()


@pytest.fixture
def lone(outages: Outages, organisation: Organisation, msp: Path) -> Iterator[LoneClient]:
    client = LoneClient(outages.address, msp, organisation.tls_authority)
    yield client
    client.process.kill()
    client.process.wait()


def test_who_starts_before_its_peer_finds_it_when_it_comes(outages: Outages, lone: LoneClient) -> None:
    lone.tell("call")
    for _ in range(2):
        lone.said("failed")
    listening = outages.end()
    assert lone.said("answered") - listening < BACK_SECONDS


def test_who_called_in_an_outage_is_back_when_its_peer_is(outages: Outages, lone: LoneClient) -> None:
    outages.end()
    lone.tell("call")
    lone.said("answered")
    outages.begin()
    lone.tell("call")
    for _ in range(2):
        lone.said("failed")
    listening = outages.end()
    assert lone.said("answered") - listening < BACK_SECONDS


def test_who_idled_in_an_outage_does_not_notice_it(outages: Outages, lone: LoneClient) -> None:
    outages.end()
    lone.tell("call")
    lone.said("answered")
    outages.begin()
    outages.end()
    asked = time.monotonic()
    lone.tell("call")
    assert lone.said("answered") - asked < BACK_SECONDS


def test_a_stream_goes_on_when_its_peer_is_back(outages: Outages, lone: LoneClient) -> None:
    lone.tell("watch")
    lone.tell("call")
    for _ in range(2):
        lone.said("failed")
    listening = outages.end()
    assert lone.said("block") - listening < BACK_SECONDS
