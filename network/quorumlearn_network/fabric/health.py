"""What a node says of itself over HTTP: whether it is well, and its metrics in Prometheus form.

Source: Fabric, "The Operations Service".
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping

from quorumlearn_network.fabric.layout import Layout, OrdererNode, split
from quorumlearn_network.spec import Consensus

_TIMEOUT_S = 2.0
_MAX_BYTES = 8 << 20
_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LEADER = {Consensus.RAFT: "consensus_etcdraft_is_leader", Consensus.BFT: "consensus_BFT_is_leader"}
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def healthy(address: str) -> bool:
    """Whether the node whose operations endpoint this is answers that it is well."""
    return _get(address, "/healthz")[0] == http.HTTPStatus.OK


def metric(address: str, name: str, labels: Mapping[str, str]) -> float | None:
    """One value of a node's metrics, None if it does not answer or has no such value."""
    status, text = _get(address, "/metrics")
    if status != http.HTTPStatus.OK:
        return None
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match and match["name"] == name:
            found = dict(_LABEL.findall(match["labels"] or ""))
            if all(found.get(key) == value for key, value in labels.items()):
                return float(match["value"])
    return None


def leads(layout: Layout, node: OrdererNode) -> bool:
    """Whether an orderer says that it leads the channel's orderers; one that does not answer does not."""
    name = _LEADER[layout.fabric.consensus]
    return bool(metric(node.operations, name, {"channel": layout.spec.channel}))


def version(address: str) -> str:
    """The node's version, `""` if it does not answer."""
    status, text = _get(address, "/version")
    match = re.search(r'"Version"\s*:\s*"([^"]*)"', text) if status == http.HTTPStatus.OK else None
    return match[1] if match else ""


def _get(address: str, path: str) -> tuple[int, str]:
    host, port = split(address)
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(_MAX_BYTES).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
