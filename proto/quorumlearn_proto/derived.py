"""What contracts and nodes must derive alike from the same records: votes as they are compared, a round's beacon, what may be opened,
by which digest a specification is known, whether tokens are conserved.

The beacon is SHA-256 over `seat (4 bytes, big endian) || secret (32 bytes)` of the seats that revealed, by seat. Each seat
committed to SHA-256 of its secret together with its key, before a miner committed to anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache

from . import canonical
from .block_pb2 import Blame, BlameVote, KeyContribution, Selection, Verdict
from .reward_pb2 import Totals
from .task_pb2 import TaskSpec


def bare_selection(selection: Selection) -> Selection:
    """The selection without its details, which are for people: votes are compared by it."""
    return Selection(
        verdicts=[Verdict(miner=v.miner, weight=v.weight, reason=v.reason) for v in selection.verdicts]
    )


def bare_blame(vote: BlameVote) -> BlameVote:
    """The vote by seat and without its details, which are for people: votes are compared by it."""
    ordered = sorted(vote.blames, key=lambda blame: blame.seat)
    return BlameVote(blames=[Blame(seat=blame.seat, fault=blame.fault) for blame in ordered])


def attempt_failed(parts: Iterable[KeyContribution]) -> bool:
    """Whether these parts of an attempt show why it gives no key: a complaint, or confirmations of two keys."""
    given = list(parts)
    confirmed = {
        (part.confirmed_key.digest, part.confirmed_key.size)
        for part in given
        if part.HasField("confirmed_key")
    }
    return len(confirmed) > 1 or any(part.complaint for part in given)


def spec_digest(spec: TaskSpec) -> str:
    """What a task's state, its block 0 and its nodes' journals know its specification by: canonical.digest, remembered."""
    return _spec_digest(spec.SerializeToString(deterministic=True))


def least_aggregate(spec: TaskSpec) -> int:
    """How many miners an aggregate must hold to be opened."""
    return spec.min_aggregate or min(2, spec.min_miners)


def conserved(totals: Totals) -> bool:
    """Whether every token that was minted is somewhere, or burnt."""
    return bool(totals.minted == totals.balances + totals.escrows + totals.stakes + totals.burnt)


def beacon_commitment(secret: bytes) -> str:
    """What a seat commits to with its key, 64 hex digits, for the 32 secret bytes that it reveals in BEACON."""
    return hashlib.sha256(secret).hexdigest()


def beacon_of(secrets: Mapping[int, str]) -> str:
    """The beacon, 64 hex digits, from each seat's revealed secret in hex."""
    parts = hashlib.sha256()
    for seat in sorted(secrets):
        parts.update(seat.to_bytes(4, "big") + bytes.fromhex(secrets[seat]))
    return parts.hexdigest()


@lru_cache(maxsize=256)
def _spec_digest(spec: bytes) -> str:
    return canonical.digest(TaskSpec.FromString(spec))
