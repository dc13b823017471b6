"""The gRPC service that peers dial: `protos.Chaincode/Connect`, any number of peers at once.

`serve` runs it until SIGTERM or SIGINT; `ChaincodeService` is for a program with a life of its own. The
stream's messages pass as bytes, so that what cannot be parsed ends one stream with a reason instead of in
gRPC's own log.

Source: Fabric, "Running chaincode as an external service"; keepalive as in fabric-chaincode-go,
`shim/internal/server.go`.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import grpc

from .errors import ServiceError
from .settings import ServiceSettings, TlsCredentials
from .stream import PeerStream
from .stub import Chaincode
from .workers import WorkerPool

_log = logging.getLogger(__name__)
_KEEPALIVE = [
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
]
_LOOK_SECONDS = 1.0


class ChaincodeService:
    """Runs a chaincode for the peers that connect, from `start` to `stop`; not to be started twice."""

    def __init__(self, chaincode: Chaincode, settings: ServiceSettings) -> None:
        self._chaincode = chaincode
        self._settings = settings
        self._workers = WorkerPool(settings.workers)
        self._streams: set[PeerStream] = set()
        self._lock = threading.Lock()
        self._server = grpc.server(
            ThreadPoolExecutor(settings.max_peers, thread_name_prefix="peer"),
            maximum_concurrent_rpcs=settings.max_peers,
            options=[
                ("grpc.max_receive_message_length", settings.max_message_bytes),
                ("grpc.max_send_message_length", settings.max_message_bytes),
                ("grpc.so_reuseport", 0),
                *_KEEPALIVE,
            ],
        )
        connect = grpc.stream_stream_rpc_method_handler(self._connect)
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("protos.Chaincode", {"Connect": connect})]
        )

    def start(self) -> str:
        """Listens, and returns the address with the real port. Raises `ServiceError` if it cannot."""
        address = self._settings.address
        try:
            if self._settings.tls is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, _credentials(self._settings.tls))
        except RuntimeError:
            port = 0
        if port == 0:
            raise ServiceError(f"cannot listen on {address}: it is taken, or not an address of this machine")
        self._server.start()
        return f"{self._settings.host}:{port}"

    def stop(self) -> None:
        """Lets transactions under way finish for `drain_timeout` at most, then ends all streams."""
        deadline = time.monotonic() + self._settings.drain_timeout
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.drain(deadline)
        for stream in streams:
            stream.close()
        self._server.stop(grace=0.2).wait()
        self._workers.close()

    def _connect(self, incoming: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        stream = PeerStream(context.peer(), self._chaincode, self._settings, self._workers)
        with self._lock:
            self._streams.add(stream)
        try:
            if not context.add_callback(stream.close):
                return
            reader = threading.Thread(target=stream.read, args=(incoming,), name="reader", daemon=True)
            reader.start()
            yield from stream.outgoing()
            if stream.fault is not None:
                context.set_code(grpc.StatusCode.FAILED_PRECONDITION)
                context.set_details(stream.fault)
        finally:
            stream.close()
            with self._lock:
                self._streams.discard(stream)


def serve(
    chaincode: Chaincode, settings: ServiceSettings, ready: Callable[[str], None] = lambda _: None
) -> None:
    """Runs `chaincode` until SIGTERM or SIGINT; only in a program's main thread.

    `ready` is called once with the address that peers can dial. Raises `ServiceError` if it cannot listen
    there.
    """
    stop = threading.Event()

    def on_signal(number: int, _: FrameType | None) -> None:
        stop.set()

    service = ChaincodeService(chaincode, settings)
    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ready(service.start())
        while not stop.wait(_LOOK_SECONDS):  # a signal that comes just before a wait does not wake it
            pass
        _log.info("stopping")
        service.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _credentials(tls: TlsCredentials) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)],
        root_certificates=tls.client_ca,
        require_client_auth=tls.client_ca is not None,
    )
