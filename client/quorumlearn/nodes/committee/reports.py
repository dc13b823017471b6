"""A seat's report of its replays as it is kept and shown, and what another seat reads in it.

Rules:
- it has one entry for each item that is drawn for its seat, in their order, and nothing else;
- what was right has a receipt and a digest, what is not in the store or could not be replayed has neither;
- a nonce keeps everybody from trying what a report may say against its digest, before it is shown.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import (
    MISSING,
    REPLAY_FINDING_UNSPECIFIED,
    RIGHT,
    WRONG,
    Replay,
    ReplayReport,
)

from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import exchange
from quorumlearn.nodes.work.drawn import Item, Key

Report = Mapping[Key, Replay]
FAILED = REPLAY_FINDING_UNSPECIFIED
"""The replay itself failed: of this training the seat cannot tell."""
_DIGEST, _NONCE = 32, 32
_AN_ENTRY = 512
"""More than an entry takes."""


def of_seat(items: Iterable[Item], seat: int) -> list[Item]:
    """Those that are drawn for a seat."""
    return [one for one in items if seat in one.seats]


def made(now: b.Round, seat: int, replays: Iterable[Replay]) -> bytes:
    """The report as the artifact that is shown later, with a fresh nonce."""
    record = ReplayReport(
        task_id=now.task_id,
        round=now.number,
        seat=seat,
        replays=replays,
        nonce=secrets.token_bytes(_NONCE),
    )
    return record.SerializeToString(deterministic=True)


def parsed(data: bytes, wanted: Sequence[Item]) -> Report:
    """What a report says of the items that were drawn for its seat; ExchangeError if it says no such thing."""
    return _checked(ReplayReport.FromString(data), wanted)


def read(store: ArtifactStore, now: b.Round, posted: b.Screening, wanted: Sequence[Item]) -> Report:
    """What a seat posted, of the items that were drawn for it. What `exchange.get` raises; ExchangeError if it does not hold together."""
    record = exchange.get(
        store,
        ReplayReport,
        posted.replays,
        _AN_ENTRY * len(wanted),
        posted.verifier,
        (now.task_id, now.number),
        task_id=now.task_id,
        round=now.number,
        seat=posted.seat,
    )
    return _checked(record, wanted)


def _checked(record: ReplayReport, wanted: Sequence[Item]) -> Report:
    if [(one.miner, one.item) for one in record.replays] != [one.key for one in wanted]:
        raise exchange.ExchangeError(
            f"its report has {len(record.replays)} entries, {len(wanted)} others were drawn for it"
        )
    if len(record.nonce) != _NONCE:
        raise exchange.ExchangeError(f"a report's nonce has {_NONCE} bytes, this one {len(record.nonce)}")
    for one in record.replays:
        sizes = len(one.receipt), len(one.digest)
        allowed = {
            RIGHT: {(_DIGEST, _DIGEST)},
            WRONG: {(receipt, digest) for receipt in (0, _DIGEST) for digest in (0, _DIGEST)},
            MISSING: {(0, 0)},
            FAILED: {(0, 0)},
        }.get(one.found, set())
        if sizes not in allowed:
            raise exchange.ExchangeError(f"its report of item {one.item} of {one.miner} is none")
    return {(one.miner, one.item): one for one in record.replays}
