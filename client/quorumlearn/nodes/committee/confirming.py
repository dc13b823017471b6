"""From the seats' reports to what holds of each training: agree, or replay (phase SELECT).

Reports were fixed by digest before any was shown, and an item's receipt is known to nobody who has not replayed it. Rules:
- An item whose t seats have all reported it right, with one receipt and one digest, is right. One of them at least is honest.
- One whose t seats have all not found its opening is missing, whatever is in the store by now: a miner that held it back until REPLAY was
  over would have every seat replay it, each round, at no cost.
- Any other item is contested: every seat replays it itself and goes by what it finds. So a wrong word decides nothing, and costs whoever
  said it (FALSE_REPLAY): a report that says right, wrong, or that the replay failed, where the replay gives something else.
- Whose report this seat's own replays contradict, or who was put out for its report, is false. Its word counts no more, and what all
  others for whom an item is drawn report right is right: of t - 1 false seats at most, each that is found leaves one fewer among them. So
  a seat that calls everything wrong is accused before anything is replayed for it, and does not keep the others busy.
- Who does not find an opening in the store says so, and may be right. It is a false report only where this seat had the opening when
  a third of REPLAY was over: from then on it was in the store under this seat's name at least, and others look until two thirds are over.
- A training of which an item is wrong is WRONG_WORK, by the lowest such item. One whose opening this seat does not find either is
  MISSING_ARTIFACT.
- Where a seat cannot replay a contested item (it has another numeric profile, its own replay fails, the opening does not reach it) it says
  nothing for or against anybody, and goes by t equal votes of others, of whom one is honest. Only once it may wait no longer it votes
  MISSING_ARTIFACT or UNCONFIRMED, which cost no stake; at once where no seat for whom it was drawn could do more. So a seat's own trouble
  costs no miner its stake.
- Nor is a replay that failed held against a seat where this one did not find, as early, the chunks that were trained on: their owner may
  have removed them.
- Where a replay stands on an edge (quorumlearn.replay.steadiness) processors differ, and each is right. Nobody is accused for such an item,
  and WRONG_WORK is not said of it: the seat cannot tell. Nor is anybody accused of calling wrong for another reason what is wrong.
- Of sealed data a seat may lack a key by its owner's fault or a miner's. There nobody is accused of saying that it cannot tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import MISSING, RIGHT, WRONG, Replay, ReplayFinding

from quorumlearn.nodes.committee.attempt import Finding
from quorumlearn.nodes.committee.reports import FAILED, Report
from quorumlearn.nodes.work.drawn import Item, Key
from quorumlearn.nodes.work.useful_work import Unsound

_OF_WORK = (b.WRONG_WORK, b.MISSING_ARTIFACT, b.UNCONFIRMED)
"""What a vote says of work that does not stand."""
Reports = Mapping[int, Report]
"""By seat, those that could be read."""


@dataclass(frozen=True)
class Replayed:
    """What a replay of an item gave: in a report's form, and what the miner had claimed, in hex ("" if its opening claims nothing)."""

    replay: Replay
    claimed: str = ""


def contested(items: Iterable[Item], reports: Reports, false: Collection[int] = ()) -> list[Item]:
    """The items that are not right, or missing, by the word of all seats for whom they are drawn, but for those that are known to be
    `false`."""
    return [one for one in items if not (_agreed(one, reports, false) or _held_back(one, reports))]


def false_reports(
    items: Iterable[Item],
    reports: Reports,
    own: Mapping[Key, Replayed],
    had_early: Collection[str],
    *,
    sealed: bool = False,
) -> list[Finding]:
    """The seats whose reports say otherwise than this seat's own replays of contested items, each once. `had_early` are the miners of whom
    the store had the opening and what they trained on, as this seat found, before a third of REPLAY was over."""
    found: dict[int, Finding] = {}
    for one in items:
        mine = own.get(one.key)
        if mine is None or mine.replay.found not in (RIGHT, WRONG):
            continue
        for seat in one.seats:
            said = reports[seat].get(one.key) if seat in reports else None
            if (
                said is None
                or seat in found
                or said == mine.replay
                or said.found == mine.replay.found == WRONG
            ):
                continue
            if said.found in (MISSING, FAILED) and (sealed or one.miner not in had_early):
                continue
            why = f"of item {one.number} of {one.miner} its report says {_said(said)}, a replay gives {_said(mine.replay)}"
            found[seat] = Finding(seat, b.FALSE_REPLAY, why)
    return [found[seat] for seat in sorted(found)]


def contradicted(item: Item, reports: Reports, mine: Replay) -> bool:
    """Whether another seat's replay of an item is reported to have come to something else, and not both to what is wrong."""
    said = [reports[seat].get(item.key) for seat in item.seats if seat in reports]
    return any(
        one is not None and one != mine and one.found in (RIGHT, WRONG) and RIGHT in (one.found, mine.found)
        for one in said
    )


def without_edges(own: Mapping[Key, Replayed], edges: Collection[Key]) -> dict[Key, Replayed]:
    """This seat's replays, of which those that are wrong on an edge (quorumlearn.replay.steadiness) tell nothing."""
    return {
        key: replace(one, replay=Replay(miner=key[0], item=key[1], found=FAILED))
        if key in edges and one.replay.found == WRONG
        else one
        for key, one in own.items()
    }


def unsound(
    items: Sequence[Item], reports: Reports, own: Mapping[Key, Replayed], false: Collection[int] = ()
) -> dict[str, Unsound]:
    """By miner, the trainings that do not stand, as this seat finds. `own` has its replay of each contested item. Of those that it cannot
    tell of (they are not `sure`) others' votes are to be heard first."""
    found: dict[str, Unsound] = {}
    for one in items:
        known = found.get(one.miner)
        if _agreed(one, reports, false) or (known is not None and known.reason == b.WRONG_WORK):
            continue
        if _held_back(one, reports):
            sure = known is None or known.sure
            found[one.miner] = Unsound(b.MISSING_ARTIFACT, "its opening was not in the store", sure=sure)
            continue
        mine = own[one.key]
        if mine.replay.found == WRONG:
            found[one.miner] = _wrong_work(one, mine)
        elif mine.replay.found == MISSING:
            sure = _all_said(one, reports, MISSING) and (known is None or known.sure)
            found[one.miner] = Unsound(b.MISSING_ARTIFACT, "its opening is not in the store", sure=sure)
        elif mine.replay.found == FAILED and known is None:
            sure = _all_said(one, reports, FAILED)
            found[one.miner] = Unsound(b.UNCONFIRMED, "its replay failed here", sure=sure)
    return found


def by_votes(view: b.TaskView, miner: str) -> Unsound | Literal["stands"] | None:
    """What t equal votes of the round's seats say of a miner's work; None while there are no t."""
    said: Counter[bytes] = Counter()
    for one in view.screenings:
        if one.seat in view.round.seats and one.HasField("selection"):
            verdict = next((of for of in one.selection.verdicts if of.miner == miner), b.Verdict())
            kept = b.Verdict(reason=verdict.reason) if verdict.reason in _OF_WORK else b.Verdict()
            if verdict.HasField("proof"):
                kept.proof.CopyFrom(verdict.proof)
            said[kept.SerializeToString(deterministic=True)] += 1
    for data, count in said.items():
        if count >= view.task.spec.committee.threshold:
            verdict = b.Verdict.FromString(data)
            if verdict.reason not in _OF_WORK:
                return "stands"
            proof = verdict.proof if verdict.HasField("proof") else None
            return Unsound(verdict.reason, f"as {count} seats have voted", proof)
    return None


def _agreed(one: Item, reports: Reports, false: Collection[int]) -> bool:
    said = [reports.get(seat, {}).get(one.key) for seat in one.seats if seat not in false]
    first = said[0] if said else None
    return first is not None and first.found == RIGHT and all(other == first for other in said)


def _held_back(one: Item, reports: Reports) -> bool:
    """Whether no seat for whom an item is drawn has found its opening in REPLAY."""
    return all(seat in reports for seat in one.seats) and _all_said(one, reports, MISSING)


def _all_said(one: Item, reports: Reports, found: ReplayFinding) -> bool:
    """Whether all seats for whom an item is drawn, and that have reported, say this of it."""
    said = [reports[seat][one.key].found for seat in one.seats if one.key in reports.get(seat, {})]
    return bool(said) and all(other == found for other in said)


def _wrong_work(one: Item, found: Replayed) -> Unsound:
    proof = b.WorkProof(
        item=one.number, claimed=found.claimed, replayed=found.replay.digest.hex(), seats=one.seats
    )
    return Unsound(b.WRONG_WORK, f"item {one.number} of its training was replayed otherwise", proof)


def _said(one: Replay) -> str:
    if one.found == RIGHT or (one.found == WRONG and one.digest):
        return f"{'right' if one.found == RIGHT else 'wrong'}, {one.digest.hex()[:8]}/{one.receipt.hex()[:8]}"
    return {WRONG: "wrong", MISSING: "that it is missing"}.get(one.found, "that it cannot tell")
