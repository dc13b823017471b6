"""What a devnet's peer counts, in Prometheus form at `http://<operations address>/metrics`.

Names and labels are those of Fabric's peer (its metrics reference), so that one dashboard serves both; Python's
Prometheus client adds `_total` to a counter's name.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter as Tally
from collections.abc import Iterator

from fabric_protos.peer import transaction_pb2
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from quorumlearn_network.devnet.chain import CommittedBlock
from quorumlearn_network.devnet.errors import ConfigError

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class PeerMetrics:
    """One peer's counters, and the thread that answers for them once `serve` was called."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._registry = CollectorRegistry()
        self._height = Gauge(
            "ledger_blockchain_height", "Height of the chain in blocks.", ["channel"], registry=self._registry
        )
        self._transactions = Counter(
            "ledger_transaction_count",
            "Number of transactions processed.",
            ["channel", "validation_code"],
            registry=self._registry,
        )
        self._processing = Histogram(
            "ledger_block_processing_time",
            "Time taken in seconds for ledger block processing.",
            ["channel"],
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self._received = Counter(
            "endorser_proposals_received", "The number of proposals received.", registry=self._registry
        )
        self._successful = Counter(
            "endorser_successful_proposals", "The number of successful proposals.", registry=self._registry
        )
        self._duration = Histogram(
            "endorser_proposal_duration",
            "The time to complete a proposal.",
            ["channel", "chaincode", "success"],
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self._close: contextlib.ExitStack = contextlib.ExitStack()

    def serve(self, host: str, port: int) -> None:
        """Answer there until `stop`. ConfigError if the address cannot be listened on."""
        try:
            server, thread = start_http_server(port, host, self._registry)
        except OSError as error:
            raise ConfigError(f"metrics cannot listen on {host}:{port}: {error.strerror}") from error
        self._close.callback(thread.join)
        self._close.callback(server.server_close)
        self._close.callback(server.shutdown)

    def stop(self) -> None:
        self._close.close()

    def begin(self, height: int) -> None:
        """What the ledger held when the peer started."""
        self._height.labels(self._channel).set(height)

    def committed(self, block: CommittedBlock) -> None:
        """A block was validated and stored."""
        self.begin(block.number + 1)
        self._processing.labels(self._channel).observe(block.seconds)
        for flag, count in Tally(block.flags).items():
            code = transaction_pb2.TxValidationCode.Name(flag)
            self._transactions.labels(self._channel, code).inc(count)

    @contextlib.contextmanager
    def proposal(self, chaincode: str) -> Iterator[None]:
        """Counts the proposal that the block works on; one that raises has failed."""
        self._received.inc()
        began, success = time.perf_counter(), False
        try:
            yield
            success = True
            self._successful.inc()
        finally:
            self._duration.labels(self._channel, chaincode, str(success).lower()).observe(
                time.perf_counter() - began
            )
