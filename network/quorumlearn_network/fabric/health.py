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
_RAFT_LEADS, _BFT_LEADER = "consensus_etcdraft_is_leader", "consensus_smartbft_view_leader_id"
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


def leader_of(layout: Layout) -> OrdererNode | None:
    """The one of this machine's orderers that leads them; None while they do not agree on one.

    With Raft the only one that says that it leads. With BFT the one that it and more than half of all name: each names the leader
    of its own view, and one that was away has yet to hear of later ones.
    """
    labels = {"channel": layout.spec.channel}
    if layout.fabric.consensus is Consensus.RAFT:
        leading = [one for one in layout.our_orderers if metric(one.operations, _RAFT_LEADS, labels)]
        return leading[0] if len(leading) == 1 else None
    named = {one.number + 1: metric(one.operations, _BFT_LEADER, labels) for one in layout.our_orderers}
    for one in layout.our_orderers:
        number = one.number + 1  # as a consenter
        if named[number] == number and 2 * list(named.values()).count(number) > len(layout.orderers):
            return one
    return None


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
