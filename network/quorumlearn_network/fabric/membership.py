"""Nodes join the channel: orderers by the channel participation API, peers by the system chaincode `cscc`.

Joining what has joined is no error. Source: Fabric, "Channel participation API" (swagger), `cscc`.
"""

from __future__ import annotations

import http.client
import json
import ssl
import uuid
from pathlib import Path

from fabric_protos.common import ledger_pb2
from fabric_protos.peer import query_pb2

from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.fabric.errors import FabricError, RefusedError, UnreachableError
from quorumlearn_network.fabric.layout import OrdererNode, split
from quorumlearn_network.fabric.transactions import Target, call

_TIMEOUT_S = 30.0


def join_orderer(node: OrdererNode, channel: str, genesis: bytes) -> bool:
    """Have an orderer serve the channel; False if it did."""
    if channel_of(node, channel) is not None:
        return False
    boundary = uuid.uuid4().hex
    body = (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="config-block"; filename="channel.block"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    body += genesis + f"\r\n--{boundary}--\r\n".encode()
    status, text = _request(node, "POST", "", body, f"multipart/form-data; boundary={boundary}")
    if status != http.HTTPStatus.CREATED:
        raise RefusedError(node.name, f"to join {channel}", _problem(text) or f"status {status}")
    return True


def channel_of(node: OrdererNode, channel: str) -> dict[str, object] | None:
    """What an orderer says of its part in the channel (`height`, `status`, ...), None if it has none."""
    status, text = _request(node, "GET", f"/{channel}", b"", "")
    if status == http.HTTPStatus.NOT_FOUND:
        return None
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if status != http.HTTPStatus.OK or not isinstance(fields, dict):
        raise RefusedError(node.name, f"to tell of {channel}", _problem(text) or f"status {status}")
    return fields


def join_peer(peer: Target, admin: SigningIdentity, channel: str, genesis: bytes) -> bool:
    """Have a peer join the channel; False if it has."""
    answer = call(peer, admin, "", "cscc", "GetChannels")
    joined = query_pb2.ChannelQueryResponse.FromString(answer).channels
    if any(one.channel_id == channel for one in joined):
        return False
    call(peer, admin, "", "cscc", "JoinChain", genesis)
    return True


def chain_info(peer: Target, admin: SigningIdentity, channel: str) -> ledger_pb2.BlockchainInfo:
    """A peer's height and last hashes."""
    return ledger_pb2.BlockchainInfo.FromString(call(peer, admin, channel, "qscc", "GetChainInfo", channel))


def _request(node: OrdererNode, method: str, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
    host, port = split(node.admin)
    context = _context(node.identity / "tls")
    connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
    headers = {"Content-Type": kind} if kind else {}
    try:
        connection.request(method, f"/participation/v1/channels{path}", body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(1 << 20)
    except (OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"{node.name} does not answer at {node.admin}: {error}") from error
    finally:
        connection.close()


def _context(tls: Path) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(tls / "ca.crt"))
        context.load_cert_chain(tls / "server.crt", tls / "server.key")
    except (OSError, ssl.SSLError) as error:
        raise FabricError(f"{tls} holds no usable TLS certificate: {error}") from error
    return context


def _problem(text: bytes) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text.decode(errors="replace").strip()[:200]
