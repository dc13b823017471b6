"""What a node counts, in Prometheus' form, and whether it is well: `quorumlearn node run FILE --metrics 127.0.0.1:9100`.

Labels name steps, functions and tasks, never what was in them. Times are wall-clock seconds; a transaction's are those from the
proposal to its commit, conflicts and their repetition included.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from quorumlearn_proto.block_pb2 import TaskView
from quorumlearn_proto.task_pb2 import PUBLISHED, RUNNING

_LIVE = (PUBLISHED, RUNNING)
_WELL = {"/healthz": "well", "/readyz": "ready"}
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)

STEPS = Histogram(
    "quorumlearn_step_seconds", "Steps of owners, miners and verifiers.", ("step",), buckets=_SECONDS
)
TRANSACTIONS = Histogram(
    "quorumlearn_transaction_seconds",
    "Transactions from proposal to commit.",
    ("function",),
    buckets=_SECONDS,
)
REFUSED = Counter(
    "quorumlearn_refusals", "Transactions and queries that the contracts refused.", ("function", "code")
)
RETRIES = Counter("quorumlearn_retries", "Steps that failed and are tried again.", ("task",))
FAILURES = Counter(
    "quorumlearn_failures",
    "Errors that cost an identity a step or a round.",
    ("task", "kind"),
)
CLIPPED = Histogram(
    "quorumlearn_clipped_ratio",
    "The share of an update's values beyond the task's bound.",
    ("task",),
    buckets=(0.0, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0),
)
TRAINED_STEPS = Counter("quorumlearn_trained_steps", "Steps of trainings that can be replayed.", ("task",))
REPLAYED_SEGMENTS = Counter(
    "quorumlearn_replayed_segments", "Segments of trainings that were replayed.", ("task",)
)
REPLAY_SECONDS = Counter(
    "quorumlearn_replay_seconds", "What replaying took, waiting for a slot left out.", ("task",)
)
CHUNK_BYTES = Counter(
    "quorumlearn_chunk_bytes",
    "Bytes of chunks read for trainings and replays: fetched from the store, or kept on the disk of this node.",
    ("task", "source"),
)
BROKEN_TERMS = Gauge(
    "quorumlearn_broken_terms",
    "Terms of the node's file that keep an identity from a task.",
    ("task", "user"),
)
WRITABLE = Gauge("quorumlearn_writable", "Whether the node can write there: 1 or 0.", ("where",))
READY = Gauge("quorumlearn_ready", "Whether the node has its peer, its data and the list of tasks: 1 or 0.")
BUILD = Gauge("quorumlearn_build", "1 for the version that runs.", ("version",))
CERTIFICATE_ENDS = Gauge(
    "quorumlearn_certificate_ends_seconds",
    "When the certificate that an identity signs with runs out, in seconds since 1970.",
    ("account",),
)
ROUND = Gauge("quorumlearn_round", "The round under way.", ("task",))
PHASE = Gauge("quorumlearn_phase", "Its phase, numbered as in block.proto.", ("task",))
HEIGHT = Gauge("quorumlearn_block_height", "The height of the task's head.", ("task",))
LIVE = Gauge("quorumlearn_live", "Whether the task is published or running: 1 or 0.", ("task",))


def serve(
    host: str, port: int, problems: Callable[[], Sequence[str]], lacks: Callable[[], Sequence[str]] = list
) -> int:
    """Answer http://host:port/metrics, /healthz and /readyz from a thread of its own; the port, which 0 leaves to the system.

    /healthz is 200 and "well", or 503 and a line for each of the problems. /readyz is 200 and "ready", or 503 and a line for each thing
    that the node lacks and each of the problems.
    """
    metrics: WSGIApplication = make_wsgi_app()

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path not in {"/healthz", "/readyz"}:
            return metrics(environ, start)
        lines = [*(lacks() if path == "/readyz" else ()), *problems()]
        status = "503 Service Unavailable" if lines else "200 OK"
        start(status, [("Content-Type", "text/plain; charset=utf-8")])
        return ["".join(f"{line}\n" for line in lines or [_WELL[path]]).encode()]

    class Server(ThreadingWSGIServer):
        address_family = socket.getaddrinfo(host, port, flags=socket.AI_PASSIVE)[0][0]

    server = make_server(host, port, answer, Server, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return int(server.server_port)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """A request is nothing to log."""


@contextlib.contextmanager
def timed(histogram: Histogram, label: str) -> Iterator[None]:
    """Observe how long the body takes, if it ends well."""
    began = time.monotonic()
    yield
    histogram.labels(label).observe(time.monotonic() - began)


def seen(view: TaskView) -> None:
    """Show where the task stands."""
    task = view.state.task_id
    ROUND.labels(task).set(view.round.number)
    PHASE.labels(task).set(view.round.phase)
    HEIGHT.labels(task).set(view.state.head.height)
    LIVE.labels(task).set(view.state.status in _LIVE)
