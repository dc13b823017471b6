"""What a gateway may be told: deadlines, sizes, and how it tries again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Backoff:
    """How often a thing is tried and how long is waited in between: exponential, capped, with jitter.

    The n-th wait is uniform in the upper half of min(cap_s, initial_s * 2^n).
    """

    attempts: int
    initial_s: float
    cap_s: float

    def delays(self, random_source: random.Random) -> Iterator[float]:
        """The waits, in seconds: one fewer than attempts."""
        for attempt in range(self.attempts - 1):
            ceiling = min(self.cap_s, self.initial_s * 2 ** min(attempt, 30))
            yield random_source.uniform(ceiling / 2, ceiling)


@dataclass(frozen=True)
class Timeouts:
    """Deadlines in seconds of one call of each step, its repetitions to an unavailable peer included."""

    evaluate_s: float = 30.0
    endorse_s: float = 60.0
    submit_s: float = 10.0
    commit_status_s: float = 30.0


@dataclass(frozen=True)
class Options:
    """Of a gateway. `seed` makes the jitter repeatable.

    `unavailable` is for calls to a peer that is not there, `conflict` for transactions that lost a race, `disagreement` for
    endorsers that are not at the same block (for each choice of endorsers anew), `reconnect` for streams.

    `submissions` is how often a transaction is submitted while neither its submission nor its commit is heard of
    within the deadlines: an orderer that hangs or fails may have lost it, and it commits at most once.

    `proxy` is the `http://host:port` of an HTTP proxy on the way to the peer; `""` is none. The environment's
    (`https_proxy` and its like) are never used: a peer is on this machine or in the network's own.
    `max_envelope_bytes` is the orderer's AbsoluteMaxBytes. A value passed as an argument usually counts twice
    in the envelope, as the argument and as what is written, and is checked so before peers are asked to
    endorse.

    No wait for a peer that is away is longer than a second: its clients are back within two seconds of the
    moment it listens again.
    """

    timeouts: Timeouts = field(default_factory=Timeouts)
    max_envelope_bytes: int = 10 * MEBIBYTE
    max_message_bytes: int = 100 * MEBIBYTE
    unavailable: Backoff = Backoff(attempts=7, initial_s=0.1, cap_s=1.0)
    conflict: Backoff = Backoff(attempts=10, initial_s=0.02, cap_s=1.0)
    disagreement: Backoff = Backoff(attempts=10, initial_s=0.02, cap_s=1.0)
    reconnect: Backoff = Backoff(attempts=60, initial_s=0.1, cap_s=1.0)
    submissions: int = 4
    keepalive_s: float = 120.0
    proxy: str = ""
    seed: int | None = None
