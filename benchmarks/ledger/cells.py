"""What is measured on a network that is up.

submissions   latency from the call to the commit, and how many a second, of `blocks:Commit` by 1 to 64 clients
burst         100 submissions at once, and how many of them lost a race
rounds        the chain time of a whole round: each phase's transactions from first sent to last committed, and
              the same from the ledger, by the transactions' timestamps
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from quorumlearn.gateway import TransactionRecord, read_block
from quorumlearn.nodes.market import Market, StepOptions
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.derived import fixed_ballot

from benchmarks.ledger.empty_market import SEATS, Ledger, Play, Submission, patient, ref, secret

PER_CLIENT = 4
FEWEST, MOST = 40, 256
BURST = 100
ROUND_MINERS = 10
CLAIM = ref("claim").digest
WAITING = StepOptions(pending=True)
"""A seat that knows of others who have yet to act."""
FUNCTIONS = frozenset(
    f"blocks:{name}"
    for name in (
        *("Commit", "Reveal", "RevealBeacon", "PostSketch", "VoteSelection", "PostPartial", "Propose"),
        *("VoteBlock", "ShowBallots", "Advance"),
    )
)
"""What a round is made of, its key apart, which is made while the one before trains."""


@dataclass(frozen=True)
class Submissions:
    """`clients` at a time; latencies in milliseconds, throughput in transactions a second of wall time."""

    clients: int
    count: int
    p50_ms: float
    p95_ms: float
    per_second: float
    codes: Mapping[str, int]


@dataclass(frozen=True)
class RoundTime:
    """A whole round with `miners` and three verifiers, in milliseconds.

    `phases_ms` is from the first call of a phase until every peer shows the next, `total_ms` their sum; `ledger_ms`
    is from the timestamp of the round's first transaction to that of its last.
    """

    miners: int
    phases_ms: Mapping[str, float]
    total_ms: float
    ledger_ms: float
    transactions: int
    blocks: int


def submissions(ledger: Ledger, clients: int) -> Submissions:
    """Each of `clients` sends one submission after another, each a miner's own."""
    count = min(MOST, max(FEWEST, PER_CLIENT * clients))
    play = ledger.open_task(count)
    base = play.view().round.base.digest
    waiting = [play.commitment(who, base) for who in play.miners]
    lock = threading.Lock()
    latencies: list[float] = []
    codes: Counter[str] = Counter()

    def client() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                send = waiting.pop()
            code, seconds = _timed(send)
            with lock:
                codes[code] += 1
                latencies.append(seconds)

    seconds = _together([client] * clients)
    return _submissions(clients, latencies, codes, seconds)


def burst(ledger: Ledger) -> Submissions:
    """`BURST` miners' submissions, all at once."""
    play = ledger.open_task(BURST)
    base = play.view().round.base.digest
    found = _Found()
    seconds = _together([found.taking(play.commitment(who, base)) for who in play.miners])
    return _submissions(BURST, found.latencies, found.codes, seconds)


def whole_round(ledger: Ledger) -> RoundTime:
    """A round in which every party acts the moment it may and computes nothing."""
    play = ledger.open_task(ROUND_MINERS)
    first = int(ledger.network().chain_info().height)
    moves = _moves(play)
    phases: dict[str, float] = {}
    for (phase, move), (following, _) in zip(moves, [*moves[1:], (b.ENDED, None)], strict=True):
        began = time.perf_counter()
        move()
        play.reached(following)
        phases[b.Phase.Name(phase)] = (time.perf_counter() - began) * 1000
    status = play.view()
    if status.round.outcome != b.ACCEPTED:
        raise RuntimeError(f"the round ended {b.Outcome.Name(status.round.outcome)}, not ACCEPTED")
    last = int(ledger.network().chain_info().height)
    records = [read_block(ledger.network().block(number)) for number in range(first, last)]
    transactions = [one for record in records for one in record.transactions if _of(play, one)]
    stamps = [one.timestamp_ms for one in transactions]
    return RoundTime(
        ROUND_MINERS,
        phases,
        sum(phases.values()),
        float(max(stamps) - min(stamps)),
        len(transactions),
        sum(any(_of(play, one) for one in record.transactions) for record in records),
    )


class _Found:
    """Codes and latencies of submissions, from any number of threads."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.codes: Counter[str] = Counter()
        self._lock = threading.Lock()

    def taking(self, send: Submission) -> Callable[[], None]:
        def client() -> None:
            code, seconds = _timed(send)
            with self._lock:
                self.codes[code] += 1
                self.latencies.append(seconds)

        return client


def _moves(play: Play) -> list[tuple[int, Callable[[], None]]]:
    """The phases and what is done in each; what a move needs to know is asked before its clock starts."""
    task = play.task
    base = play.view().round.base.digest
    owner = play.ledger.market("org1/owner")
    manifests = {play.ledger_name(who): play.manifest(play.ledger_name(who), base) for who in play.miners}
    commits = [play.commitment(who, base) for who in play.miners]
    verdicts = [b.Verdict(miner=name, weight=1, reason=b.CONTRIBUTES) for name in manifests]
    by_name = {play.ledger_name(who): who for who in play.miners}

    def commit() -> None:
        codes = Counter(_parallel(commits))
        if set(codes) != {"VALID"}:
            raise RuntimeError(f"submissions ended {dict(codes)}")
        patient(partial(owner.advance, task))

    def reveal() -> None:
        play.each_miner(lambda market, name: market.reveal(task, 1, manifests[name], CLAIM))
        patient(partial(owner.advance, task))

    def together(act: Callable[[Market, int], None]) -> Callable[[], None]:
        """All seats act at once, as each knows; then one of them moves the round on."""

        def move() -> None:
            play.each_seat(act)
            patient(partial(owner.advance, task))

        return move

    def select(market: Market, seat: int) -> None:
        order = list(play_round().miners)
        chosen = sorted(verdicts, key=lambda verdict: order.index(verdict.miner))
        market.vote_selection(task, 1, b.Selection(verdicts=chosen), ref("basis").digest, WAITING)

    def play_round() -> b.Round:
        return owner.round(task, 1)

    def propose() -> None:
        round_ = play_round()
        proposer = by_name[round_.proposers[round_.proposer_turn]]
        candidate = b.Candidate(model=ref("next model", 1000), aggregate=ref("opened"))
        patient(partial(play.ledger.market(proposer).propose, task, 1, candidate))

    total = ref("sum").digest
    ballots = [
        b.Ballot(
            task_id=task,
            round=1,
            seat=seat,
            model=ref("next model").digest,
            reason=b.GOOD,
            score=900_000,
            base_score=800_000,
            chance=107_724,
            total=100,
            nonce=secret(seat).hex(),
        )
        for seat in range(1, SEATS + 1)
    ]

    def vote(market: Market, seat: int) -> None:
        kept = fixed_ballot(ballots[seat - 1])
        market.vote_block(task, 1, ArtifactRef(digest=sha256(kept).hexdigest(), size=len(kept)), WAITING)

    def validate() -> None:
        """All fix a ballot at once; then the first seat shows all."""
        play.each_seat(vote)
        first = play.ledger.market("org1/verifier")
        patient(partial(first.show_ballots, task, 1, b.Ballots(ballots=ballots)))

    return [
        (b.COMMIT, commit),
        (b.BEACON, together(lambda market, seat: market.reveal_beacon(task, 1, secret(seat), WAITING))),
        (b.REVEAL, reveal),
        (b.SCREEN, together(lambda market, seat: market.post_sketch(task, 1, ref(f"s{seat}"), WAITING))),
        (b.SELECT, together(select)),
        (
            b.OPEN,
            together(lambda market, seat: market.post_partial(task, 1, total, ref(f"p{seat}"), WAITING)),
        ),
        (b.PROPOSE, propose),
        (b.VALIDATE, validate),
    ]


def _of(play: Play, transaction: TransactionRecord) -> bool:
    """Whether it is one of the task's round."""
    arguments = transaction.arguments
    return len(arguments) > 1 and arguments[0].decode() in FUNCTIONS and arguments[1] == play.task.encode()


def _submissions(
    clients: int, latencies: Sequence[float], codes: Mapping[str, int], seconds: float
) -> Submissions:
    ordered = sorted(latencies)
    return Submissions(
        clients,
        len(ordered),
        statistics.median(ordered) * 1000,
        ordered[max(0, -(-95 * len(ordered) // 100) - 1)] * 1000,
        len(ordered) / seconds,
        dict(codes),
    )


def _together(clients: Sequence[Callable[[], None]]) -> float:
    """Wall seconds of all of them, begun at the same time."""
    start = threading.Barrier(len(clients) + 1)

    def begun(client: Callable[[], None]) -> None:
        start.wait()
        client()

    with ThreadPoolExecutor(len(clients)) as pool:
        running = [pool.submit(begun, client) for client in clients]
        start.wait()
        began = time.perf_counter()
        for one in running:
            one.result()
        return time.perf_counter() - began


def _parallel(sends: Sequence[Submission]) -> list[str]:
    with ThreadPoolExecutor(len(sends)) as pool:
        return list(pool.map(lambda send: send(), sends))


def _timed(send: Submission) -> tuple[str, float]:
    began = time.perf_counter()
    return send(), time.perf_counter() - began
