"""When a peer that is started listens, and when a client of its organisation is back."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

from quorumlearn_network.spec import OrganisationSpec

_STREAM = re.compile(
    r'^grpc_server_stream_requests_received\{.*method="ChaincodeEvents".*\} (\d+)', re.MULTILINE
)


class BrokenError(Exception):
    """The campaign cannot go on: the message says what does not come back."""


@contextlib.contextmanager
def noticing(peer: OrganisationSpec | None, patience_s: float) -> Iterator[Callable[[], float | None]]:
    """While the block starts a peer: when it listens, and how long after that a client has opened a stream of events on it.

    What the block gives is asked for after it. Only clients of the peer's own organisation open such streams.
    """
    if peer is None:
        yield lambda: None
        return
    found: list[float] = []

    def notice() -> None:
        deadline = time.monotonic() + patience_s
        while not _listens(peer.peer.host, peer.peer.port):
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        listening = time.monotonic()
        while not _streams(f"{peer.peer.host}:{peer.peer.operations_port}"):
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        found.append(time.monotonic() - listening)

    thread = threading.Thread(target=notice, daemon=True)
    thread.start()

    def noticed() -> float:
        thread.join(patience_s)
        if not found:
            raise BrokenError(f"no node of {peer.name} is back at its peer after {patience_s:.0f} s")
        return found[0]

    yield noticed


def _listens(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1.0):
        return True
    return False


def _streams(operations: str) -> int:
    """Streams of chaincode events that clients have asked this peer for since it started."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{operations}/metrics", timeout=5.0) as answer:
            found = _STREAM.search(answer.read().decode())
    except (OSError, urllib.error.URLError):
        return 0
    return int(found[1]) if found else 0
