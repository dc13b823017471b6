"""Who leads the orderers, as their metrics tell it: one, or nobody while they do not agree."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from quorumlearn_network.fabric.health import leader_of
from quorumlearn_network.fabric.layout import Layout, plan, split
from quorumlearn_network.ports import choose_ports
from quorumlearn_network.spec import parse_spec

from tests.network.fabric.fabric_net import DESCRIPTION


@contextlib.contextmanager
def telling(layout: Layout, metric: str, values: Sequence[int | None]) -> Iterator[None]:
    """Each orderer's operations endpoint with this value of a metric; one without a value does not answer."""
    with contextlib.ExitStack() as servers:
        for node, value in zip(layout.our_orderers, values, strict=True):
            if value is not None:
                text = f'{metric}{{channel="{layout.spec.channel}"}} {value}\n'.encode()
                server = servers.enter_context(HTTPServer(split(node.operations), _answering(text)))
                threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
                servers.callback(server.shutdown)
        yield


def _answering(text: bytes) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.mark.parametrize(
    ("consensus", "values", "leader"),
    [
        ("raft", (0, 1, 0), 1),
        ("raft", (0, 1, None), 1),
        ("raft", (1, 1, 0), None),  # one was frozen, and another chosen
        ("raft", (0, 0, 0), None),
        ("bft", (1, 1, 1, 1), 0),
        ("bft", (1, 2, 2, 2), 1),  # the first was away when the second was chosen
        ("bft", (1, 2, 2, 3), None),
        ("bft", (None, 1, 1, 1), None),  # it is gone, and no other chosen yet
        ("bft", (None, 2, 2, 2), 1),
        ("bft", (0, 0, 0, 0), None),
    ],
)
def test_one_leads_or_nobody(
    tmp_path: Path, consensus: str, values: tuple[int | None, ...], leader: int | None
) -> None:
    text = DESCRIPTION.replace("orderers: 3", f"consensus: {consensus}, orderers: {len(values)}")
    layout = plan(choose_ports(parse_spec(text, "x"), None), tmp_path)
    metric = {"raft": "consensus_etcdraft_is_leader", "bft": "consensus_smartbft_view_leader_id"}[consensus]
    with telling(layout, metric, values):
        found = leader_of(layout)
    assert (found.number if found is not None else None) == leader
