"""One gRPC channel to a gateway peer, shared by a Gateway's networks, contracts, streams and threads.

Rules: every unary call has a deadline; a call that finds the peer UNAVAILABLE is made again with capped
exponential back-off and jitter until its deadline, any other failure is final, and so is a peer's word that
it knows no endorsers of an organisation: the caller can name others. All calls made here can be
repeated safely: Evaluate and Endorse change nothing, Submit repeats the same transaction id, which commits
at most once.
"""

from __future__ import annotations

import random
import threading
import time
import weakref
from collections.abc import Callable
from typing import Protocol, TypeVar

import grpc
from fabric_protos.gateway import gateway_pb2_grpc
from fabric_protos.peer import events_pb2_grpc

from quorumlearn.gateway.client_tls import ClientTls
from quorumlearn.gateway.errors import ClosedError, GatewayError, from_rpc, passing
from quorumlearn.gateway.identity import Identity, Signer
from quorumlearn.gateway.options import Options

Request = TypeVar("Request")
Response = TypeVar("Response")


class Closable(Protocol):
    """What ends when its connection does."""

    def close(self) -> None:
        """End it, from any thread."""


class Connection:
    """The channel, the identity that signs on it, and the calls in the way they are made."""

    def __init__(
        self,
        endpoint: str,
        identity: Identity,
        signer: Signer,
        tls_root: bytes | None,
        override_authority: str,
        options: Options,
        client_tls: ClientTls | None = None,
    ) -> None:
        settings: list[tuple[str, int | str]] = [
            ("grpc.max_receive_message_length", options.max_message_bytes),
            ("grpc.max_send_message_length", options.max_message_bytes),
            ("grpc.keepalive_time_ms", int(options.keepalive_s * 1000)),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.enable_retries", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", int(bool(options.proxy))),
        ]
        if options.proxy:
            settings.append(("grpc.http_proxy", options.proxy))
        if override_authority:
            settings.append(("grpc.ssl_target_name_override", override_authority))
        if tls_root is None:
            self.channel = grpc.insecure_channel(endpoint, options=settings)
        else:
            own = (client_tls.key, client_tls.certificate) if client_tls is not None else (None, None)
            credentials = grpc.ssl_channel_credentials(tls_root, *own)
            self.channel = grpc.secure_channel(endpoint, credentials, options=settings)
        self.endpoint = endpoint
        self.identity = identity
        self.signer = signer
        self.options = options
        self.tls_digest = client_tls.digest if client_tls is not None else b""
        """Of the client's TLS certificate, b"" without one."""
        self.random = random.Random(options.seed)
        self.closed = threading.Event()
        self.streams: weakref.WeakSet[Closable] = weakref.WeakSet()
        """Streams to be closed with the connection."""
        self.gateway = gateway_pb2_grpc.GatewayStub(self.channel)
        self.deliver = events_pb2_grpc.DeliverStub(self.channel)

    def call(
        self,
        rpc: Callable[..., Response],
        request: object,
        timeout_s: float,
        kind: type[GatewayError],
        doing: str,
        transaction_id: str = "",
    ) -> Response:
        """The answer to a unary call, else a `kind` of error whose message begins with `doing`."""
        deadline = time.monotonic() + timeout_s
        delays = self.options.unavailable.delays(self.random)
        while True:
            self.check_open()
            try:
                return rpc(request, timeout=max(0.001, deadline - time.monotonic()))
            except grpc.RpcError as error:
                failure = error
            except ValueError as error:  # grpc's answer to a call on a channel that another thread has closed
                self.check_open()
                raise kind(f"{doing}: {error}", transaction_id=transaction_id) from error
            self.check_open()
            delay = next(delays, None) if passing(failure) else None
            if delay is None or time.monotonic() + delay >= deadline:
                raise from_rpc(kind, doing, failure, self.endpoint, transaction_id) from failure
            self.closed.wait(delay)

    def check_open(self) -> None:
        """ClosedError once the gateway is closed."""
        if self.closed.is_set():
            raise ClosedError(f"the gateway to {self.endpoint} is closed", endpoint=self.endpoint)

    def close(self) -> None:
        """Cancel what is under way and close the channel; twice is once."""
        self.closed.set()
        for stream in list(self.streams):
            stream.close()
        self.channel.close()
