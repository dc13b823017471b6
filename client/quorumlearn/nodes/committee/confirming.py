"""From the seats' reports to what holds of each training: agree, or replay (phase SELECT).

Reports were fixed by digest before any was shown, and an item's receipt is known to nobody who has not replayed it. Rules:
- An item whose t seats have all reported it right, with one receipt and one digest, is right. One of them at least is honest.
- Any other item is contested: every seat replays it itself and goes by what it finds. So a wrong word decides nothing, and costs whoever
  said it (FALSE_REPLAY): a report that says right, wrong, or that the replay failed, where the replay gives something else.
- Who does not find an opening in the store says so, and may be right. It is a false report only where this seat had the opening when
  a third of REPLAY was over: from then on it was in the store under this seat's name at least, and others look until two thirds are over.
- A training of which an item is wrong is WRONG_WORK, by the lowest such item. One whose opening this seat does not find either is
  MISSING_ARTIFACT.
- Where a seat's own replay fails it says nothing for or against anybody. t equal reports that an item is wrong are believed then, for
  one of the seats is honest; else the training is UNCONFIRMED, which costs its pay only. So a training that makes replays fail
  wins nothing, and a seat's own trouble costs no miner its stake.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import MISSING, RIGHT, WRONG, Replay

from quorumlearn.nodes.committee.attempt import Finding
from quorumlearn.nodes.committee.reports import FAILED, Report
from quorumlearn.nodes.drawn import Item, Key

Reports = Mapping[int, Report]
"""By seat, those that could be read."""


@dataclass(frozen=True)
class Replayed:
    """What a replay of an item gave: in a report's form, and what the miner had claimed, in hex ("" if its opening claims nothing)."""

    replay: Replay
    claimed: str = ""


@dataclass(frozen=True)
class Unsound:
    """Why a miner's work does not stand."""

    reason: b.Reason
    detail: str
    proof: b.WorkProof | None = None


def contested(items: Iterable[Item], reports: Reports) -> list[Item]:
    """The items that are not right by the word of all seats for whom they are drawn."""
    return [one for one in items if not _agreed(one, reports)]


def false_reports(
    items: Iterable[Item],
    reports: Reports,
    own: Mapping[Key, Replayed],
    had_early: Collection[str],
) -> list[Finding]:
    """The seats whose reports say otherwise than this seat's own replays of contested items, each once. `had_early` are the miners whose
    openings this seat had when a third of REPLAY was over."""
    found: dict[int, Finding] = {}
    for one in items:
        mine = own.get(one.key)
        if mine is None or mine.replay.found not in (RIGHT, WRONG):
            continue
        for seat in one.seats:
            said = reports[seat].get(one.key) if seat in reports else None
            if said is None or seat in found or said == mine.replay:
                continue
            if said.found == MISSING and one.miner not in had_early:
                continue
            why = f"of item {one.number} of {one.miner} its report says {_said(said)}, a replay gives {_said(mine.replay)}"
            found[seat] = Finding(seat, b.FALSE_REPLAY, why)
    return [found[seat] for seat in sorted(found)]


def unsound(
    items: Sequence[Item], reports: Reports, own: Mapping[Key, Replayed], threshold: int
) -> dict[str, Unsound]:
    """By miner, the trainings that do not stand. `own` has this seat's replay of each contested item."""
    found: dict[str, Unsound] = {}
    doubts: dict[str, Unsound] = {}
    for one in items:
        if one.miner in found or _agreed(one, reports):
            continue
        mine = own[one.key]
        proof = mine if mine.replay.found == WRONG else None
        if mine.replay.found == FAILED:
            proof = _believed(one, reports, mine, threshold)
        if proof is not None:
            found[one.miner] = _wrong_work(one, proof)
        elif mine.replay.found == MISSING:
            doubts[one.miner] = Unsound(b.MISSING_ARTIFACT, "its opening is not in the store")
        elif mine.replay.found == FAILED:
            doubts.setdefault(one.miner, Unsound(b.UNCONFIRMED, "its training cannot be replayed"))
    return {**doubts, **found}


def _agreed(one: Item, reports: Reports) -> bool:
    said = [reports[seat].get(one.key) for seat in one.seats if seat in reports]
    first = said[0] if said else None
    return (
        first is not None
        and first.found == RIGHT
        and len(said) == len(one.seats)
        and all(other == first for other in said)
    )


def _believed(one: Item, reports: Reports, mine: Replayed, threshold: int) -> Replayed | None:
    """What t seats alike report as wrong, where this seat's replay failed."""
    said = [reports[seat][one.key] for seat in one.seats if seat in reports and one.key in reports[seat]]
    counted = Counter(other.SerializeToString(deterministic=True) for other in said if other.found == WRONG)
    for data, count in counted.items():
        if count >= threshold:
            return Replayed(Replay.FromString(data), mine.claimed)
    return None


def _wrong_work(one: Item, found: Replayed) -> Unsound:
    proof = b.WorkProof(
        item=one.number, claimed=found.claimed, replayed=found.replay.digest.hex(), seats=one.seats
    )
    return Unsound(b.WRONG_WORK, f"item {one.number} of its training was replayed otherwise", proof)


def _said(one: Replay) -> str:
    if one.found == RIGHT or (one.found == WRONG and one.digest):
        return f"{'right' if one.found == RIGHT else 'wrong'}, {one.digest.hex()[:8]}/{one.receipt.hex()[:8]}"
    return {WRONG: "wrong", MISSING: "that it is missing"}.get(one.found, "that it cannot tell")
