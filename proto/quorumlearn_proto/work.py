"""What a selection may say of trainings that can be replayed or have replicas: contracts and nodes derive it alike.

Rules:
- Of a team one miner at most CONTRIBUTES. Who has done the same work, by root and steps, is its REPLICA: it has no weight, and is
  paid alike.
- WRONG_WORK names what was replayed, and that must have been drawn: one of the miner's items, and for it these seats.
- UNCONFIRMED is whom seats cannot replay, for want of its numeric profile or of what it takes, or with whom not more than half of its
  team agrees. Of a replay that fails t seats say so, and nothing on the ledger. Where nobody replays, nobody is UNCONFIRMED whose team
  mate contributes with the same root and steps.
- Where seats replay, nobody CONTRIBUTES whom fewer than t of them could replay: two in league would name a profile that no seat has. Where
  they do not, nobody whom not more than half of its team confirms, of two organisations at least.
- Where the task pays by steps, a share is the weight for each chunk trained on. Other tasks pay by weight.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .block_pb2 import Manifest, Reason, Round, Verdict, WorkProof
from .classes import share_of
from .recompute import drawn_items, recomputes, replayers, replays, seats_of_profile, team_of
from .task_pb2 import TaskSpec

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)

OF_WORK = (Reason.NO_TRACE, Reason.WRONG_WORK, Reason.UNCONFIRMED, Reason.REPLICA)
"""What no selection says of a task's miners whose trainings are their own affair."""
Manifests = Mapping[str, Manifest]
"""By miner, of those that have revealed."""


def work_fault(
    spec: TaskSpec,
    now: Round,
    verdicts: Sequence[Verdict],
    manifests: Manifests,
    profiles: Mapping[int, str],
) -> str:
    """What a selection says of trainings that their records do not allow, "" if nothing. `profiles` are the numeric profiles of the
    seats of the round's ceremony, empty ones where the task asks for none."""
    for one in verdicts:
        if one.HasField("proof") != (one.reason == Reason.WRONG_WORK):
            return f"{one.miner}: a proof stands with WRONG_WORK, and with nothing else"
    if not recomputes(spec):
        odd = next((one for one in verdicts if one.reason in OF_WORK), None)
        return f"{odd.miner} is {_name(odd)}, and no training is replayed in this task" if odd else ""
    contributing = {one.miner: one for one in verdicts if one.reason == Reason.CONTRIBUTES}
    for one in verdicts:
        fault = _fault(spec, now, one, contributing, manifests, profiles)
        if fault:
            return f"{one.miner} {fault}"
    return ""


def share_due(spec: TaskSpec, weight: int, steps: int) -> int:
    """The share of a miner that contributes with this weight after so many steps; 0 where it is paid by the weight itself."""
    asked = spec.recompute
    return weight * steps // asked.chunk_steps if recomputes(spec) and asked.pay_by_steps else 0


def same_work(now: Round, manifests: Manifests, miner: str) -> list[str]:
    """The members of a miner's team, itself among them, with the same root and steps."""
    _, team = team_of(now, miner)
    mine = manifests[miner]
    return [
        other
        for other in team.miners
        if (its := manifests.get(other)) is not None
        and (its.trace_root, its.steps) == (mine.trace_root, mine.steps)
    ]


def confirmed(now: Round, manifests: Manifests, miner: str) -> bool:
    """Whether more than half of a miner's team has done its work, and not those of one organisation alone."""
    _, team = team_of(now, miner)
    return agree(same_work(now, manifests, miner), len(team.miners))


def agree(miners: Sequence[str], members: int) -> bool:
    """Whether these of a team of so many members confirm each other's work: they are more than half of it, and of two organisations at
    least, since one could make up the work of all its miners."""
    return 2 * len(miners) > members and len({miner.partition("/")[0] for miner in miners}) > 1


def _fault(
    spec: TaskSpec,
    now: Round,
    one: Verdict,
    contributing: Mapping[str, Verdict],
    manifests: Manifests,
    profiles: Mapping[int, str],
) -> str:
    if one.reason == Reason.CONTRIBUTES:
        return _contribution_fault(spec, now, one, contributing, manifests, profiles)
    if one.reason == Reason.REPLICA:
        mates = [other for other in same_work(now, manifests, one.miner) if other in contributing]
        if not mates:
            return "is a REPLICA, and nobody of its team contributes with the same root and steps"
        due = share_of(contributing[mates[0]])
        return "" if one.share == due else f"has a share of {one.share}: {due}, as {mates[0]} has"
    if one.share:
        return f"has a share of {one.share}: it neither contributes nor is a REPLICA"
    if one.reason == Reason.WRONG_WORK:
        return _proof_fault(spec, now, one, manifests[one.miner], profiles)
    if one.reason == Reason.UNCONFIRMED:
        return _unconfirmed_fault(spec, now, one.miner, contributing, manifests)
    return ""


def _contribution_fault(
    spec: TaskSpec,
    now: Round,
    one: Verdict,
    contributing: Mapping[str, Verdict],
    manifests: Manifests,
    profiles: Mapping[int, str],
) -> str:
    _, team = team_of(now, one.miner)
    twice = next((other for other in team.miners if other in contributing and other != one.miner), None)
    if twice is not None:
        return f"contributes, and {twice} of its team does: one of a team at most"
    if replays(spec) and not _replayable(spec, manifests[one.miner], profiles):
        return "contributes, and fewer than t seats have its numeric profile: nobody could replay it"
    if not replays(spec) and not confirmed(now, manifests, one.miner):
        return "contributes, and not more than half of its team, of two organisations at least, has the same root and steps"
    due = share_due(spec, one.weight, manifests[one.miner].steps)
    return "" if one.share == due else f"has a share of {one.share}: {due}, by its weight and steps"


def _unconfirmed_fault(
    spec: TaskSpec, now: Round, miner: str, contributing: Mapping[str, Verdict], manifests: Manifests
) -> str:
    """The same root and steps are not the same update: of that only seats know, so a team of one root may be unconfirmed as a whole."""
    mate = next((one for one in same_work(now, manifests, miner) if one in contributing), None)
    if not replays(spec) and mate is not None:
        return f"is UNCONFIRMED, and {mate} of its team contributes with the same root and steps"
    return ""


def _replayable(spec: TaskSpec, manifest: Manifest, profiles: Mapping[int, str]) -> bool:
    """Whether t seats can replay a training."""
    return len(seats_of_profile(spec, manifest.profile, profiles)) >= spec.committee.threshold


def _proof_fault(
    spec: TaskSpec, now: Round, one: Verdict, manifest: Manifest, profiles: Mapping[int, str]
) -> str:
    proof, t = one.proof, spec.committee.threshold
    if not replays(spec):
        return "is WRONG_WORK, and nobody replays in this task"
    items = drawn_items(spec, now.beacon, one.miner, manifest.steps)
    if proof.item not in items:
        return f"has a proof of item {proof.item}: drawn of its training are {items}"
    able = seats_of_profile(spec, manifest.profile, profiles)
    if len(able) < t:
        return f"is WRONG_WORK, and only {len(able)} seats have its numeric profile: it takes {t} to replay"
    drawn = replayers(now.beacon, one.miner, proof.item, able, t)
    if list(proof.seats) != drawn:
        return f"has a proof by the seats {list(proof.seats)}: drawn for item {proof.item} are {drawn}"
    return _digests_fault(proof)


def _digests_fault(proof: WorkProof) -> str:
    for name in ("claimed", "replayed"):
        value = getattr(proof, name)
        if value and not _DIGEST.fullmatch(value):
            return f"has a proof whose {name} is no digest: 64 lower-case hex digits, or nothing"
    same = proof.claimed == proof.replayed != ""
    return "has a proof in which the replay gives what was claimed" if same else ""


def _name(one: Verdict) -> str:
    return Reason.Name(one.reason) if one.reason in Reason.values() else str(int(one.reason))
