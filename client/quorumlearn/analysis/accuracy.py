"""What ballots together say of a model."""

from __future__ import annotations

from collections.abc import Iterable

from quorumlearn_proto import block_pb2 as b


def accuracy(ballots: Iterable[b.Ballot]) -> float | None:
    """Of the model voted on, over all verifiers' test sets; None without any."""
    shown = list(ballots)
    total = sum(ballot.total for ballot in shown)
    return sum(ballot.correct for ballot in shown) / total if total else None
