"""What a selection says of work that can be replayed or has replicas, beside what sketches say (pure; quorumlearn_proto.work has the
ledger's part of it).

Rules:
- a verdict on the work comes before one on the sketch, but who sent what is no ciphertext is MALFORMED, which costs stake, unless it is
  WRONG_WORK too;
- exact work is equal work: members of a team with one root, one number of steps and one sketch have done the same. Where more than half
  of the team has, of two organisations at least, the first of them by lot from the beacon CONTRIBUTES, and the others are its REPLICAs:
  no weight, and paid alike. Whoever differs from them is UNCONFIRMED or, with their root and another sketch, a FALSE_CLAIM. Without such a
  half nobody's claim is false: a mate that keeps its update to itself, or sends another, costs who did the work no standing;
- where no such half agrees, the work counts only of whom seats have replayed, and only if nobody of the team with as many steps has other
  work: of two that differ one is false, and nobody can say which. So replicas are to train on as many chunks as each other;
- where seats replay, they replay every replica by its own draws: a team's work is looked at once a member;
- in mode RECOMPUTE all work that stands weighs alike. Neither distances nor what is new in an update say anything against it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.classes import share_of
from quorumlearn_proto.recompute import replays
from quorumlearn_proto.task_pb2 import TaskSpec
from quorumlearn_proto.work import agree, share_due

from quorumlearn import robust

Sketch = NDArray[np.float64]
Work = tuple[str, int, bytes]
"""What equal work has in common: root, steps, and sketch."""


@dataclass(frozen=True)
class Unsound:
    """Why a miner's work does not stand; `sure`: whatever others may say of it."""

    reason: b.Reason
    detail: str
    proof: b.WorkProof | None = None
    sure: bool = True


def lot(beacon: str, miner: str) -> bytes:
    """By the lowest of these a tie is broken: nobody can choose it, and two runs of a task draw the same."""
    return hashlib.sha256(f"{beacon}/{miner}".encode()).digest()


def rule_out(verdicts: MutableMapping[str, b.Verdict], unsound: Mapping[str, Unsound]) -> None:
    """Put what is said of work in the place of what is said of sketches."""
    for miner, why in unsound.items():
        if why.reason == b.WRONG_WORK or verdicts[miner].reason != b.MALFORMED:
            verdicts[miner] = b.Verdict(miner=miner, reason=why.reason, detail=why.detail, proof=why.proof)


def one_of_each_team(
    spec: TaskSpec,
    now: b.Round,
    submissions: Mapping[str, b.Submission],
    sketches: Mapping[str, Sketch],
    verdicts: MutableMapping[str, b.Verdict],
) -> list[str]:
    """The miners whose sketches are judged, in the round's order: of each team one at most. `sketches` (k,) are of those whose work
    stands; the verdicts on their mates are filled in."""
    chosen: set[str] = set()
    for team in now.teams:
        members = sorted(
            (one for one in team.miners if one in sketches), key=lambda one: lot(now.beacon, one)
        )
        works = {one: _work(submissions[one], sketches[one]) for one in members}
        agreed = _agreed(works, len(team.miners), replayed=replays(spec))
        for one in members:
            if works[one] == agreed:
                if chosen.isdisjoint(team.miners):
                    chosen.add(one)
                else:
                    verdicts[one] = b.Verdict(miner=one, reason=b.REPLICA)
            elif agreed is not None and works[one][:2] == agreed[:2]:
                verdicts[one] = b.Verdict(
                    miner=one, reason=b.FALSE_CLAIM, detail="its team's work has another sketch"
                )
            else:
                verdicts[one] = b.Verdict(
                    miner=one, reason=b.UNCONFIRMED, detail="its team's replicas have other work"
                )
    return [one for one in now.miners if one in chosen]


def weigh_alike(
    miners: Sequence[str], sketches: Sketch, norm_limit: float, levels: robust.Levels
) -> list[b.Verdict]:
    """A verdict for each of these miners by its row of `sketches` (n, k): weight 1, as far as enough of them have it (robust.levels)."""
    within = np.isfinite(sketches).all(axis=1) & (np.linalg.norm(sketches, axis=1) <= norm_limit)
    whole = iter(levels.of(np.flatnonzero(within).tolist()).keep(*_ones(int(within.sum()))).tolist())
    found = []
    for miner, fits in zip(miners, within.tolist(), strict=True):
        if not fits:
            found.append(b.Verdict(miner=miner, reason=b.OUT_OF_RANGE, detail="the norm is over the limit"))
        elif weight := next(whole):
            found.append(b.Verdict(miner=miner, reason=b.CONTRIBUTES, weight=weight))
        else:
            detail = "too few have done work to be added up"
            found.append(b.Verdict(miner=miner, reason=b.NOT_SELECTED, detail=detail))
    return found


def share_out(
    spec: TaskSpec,
    now: b.Round,
    submissions: Mapping[str, b.Submission],
    verdicts: Mapping[str, b.Verdict],
) -> None:
    """Fill in by what each is paid: contributors by steps, if the task says so, and replicas as the mate that contributes. Where that
    mate gets no weight they have none either, for the same reason."""
    for verdict in verdicts.values():
        if verdict.reason == b.CONTRIBUTES:
            verdict.share = share_due(spec, verdict.weight, submissions[verdict.miner].manifest.steps)
    for team in now.teams:
        same = [verdicts[one] for one in team.miners if one in verdicts]
        mate = next((one for one in same if one.reason in _JUDGED), None)
        for verdict in same:
            if verdict.reason == b.REPLICA and mate is not None:
                if mate.reason == b.CONTRIBUTES:
                    verdict.share = share_of(mate)
                else:
                    verdict.reason, verdict.detail = mate.reason, f"as {mate.miner}, whose work is the same"


_JUDGED = (b.CONTRIBUTES, b.OUT_OF_RANGE, b.DUPLICATE, b.OUTLIER, b.NOT_SELECTED, b.NOTHING_NEW)
"""What is said of the one member of a team whose sketch is judged."""


def _work(one: b.Submission, sketch: Sketch) -> Work:
    return one.manifest.trace_root, one.manifest.steps, (sketch + 0.0).tobytes()


def _agreed(works: Mapping[str, Work], members: int, *, replayed: bool) -> Work | None:
    """The work of a team of so many members, of which these stand; None if it has none."""
    for work in works.values():
        if agree([one for one, other in works.items() if other == work], members):
            return work
    if not replayed or not works:
        return None
    most = max(steps for _, steps, _ in works.values())
    longest = {work for work in works.values() if work[1] == most}
    return longest.pop() if len(longest) == 1 else None


def _ones(count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return np.ones(count, dtype=np.int64), np.zeros(count)
