"""What a node counts, in Prometheus' form: `quorumlearn node run FILE --metrics 127.0.0.1:9100`.

Labels name steps, functions and tasks, never what was in them. Times are wall-clock seconds; a transaction's are those from the
proposal to its commit, conflicts and their repetition included.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram, start_http_server
from quorumlearn_proto.block_pb2 import TaskView

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
    "Errors that nobody foresaw: each cost an identity a step or a round.",
    ("task", "kind"),
)
ROUND = Gauge("quorumlearn_round", "The round under way.", ("task",))
PHASE = Gauge("quorumlearn_phase", "Its phase, numbered as in block.proto.", ("task",))
HEIGHT = Gauge("quorumlearn_block_height", "The height of the task's head.", ("task",))


def serve(host: str, port: int) -> int:
    """Answer http://host:port/metrics from a thread of its own; the port, which 0 leaves to the system."""
    server, _ = start_http_server(port, host)
    return int(server.server_port)


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
