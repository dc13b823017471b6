"""What ballots say of a model, pooled over the verifiers' test sets, and how it is written for people."""

from __future__ import annotations

from collections.abc import Iterable

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.gate import ACCURACY, MILLION


def pooled(ballots: Iterable[b.Ballot], *, base: bool = False) -> float | None:
    """The score of the model voted on, or of its base: the mean over all test sets, by their samples. None if nobody scored it."""
    given = [one for one in ballots if one.total]
    total = sum(one.total for one in given)
    summed = sum((one.base_score if base else one.score) * one.total for one in given)
    return summed / (MILLION * total) if total else None


def scale_of(metric: str) -> tuple[float, str]:
    """By what a score is multiplied for people, and its unit."""
    return (100, "%") if metric == ACCURACY else (1, "")


def shown_score(metric: str, score: float) -> str:
    """An accuracy in per cent, any other with four digits."""
    factor, unit = scale_of(metric)
    return f"{factor * score:.2f} {unit}" if unit else f"{score:.4g}"


def title_of(metric: str) -> str:
    """Its name at the beginning of a line."""
    return metric.upper() if metric in ("auc", "r2") else metric[:1].upper() + metric[1:]
