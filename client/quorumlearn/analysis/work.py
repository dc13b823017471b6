"""What became of trainings that are replayed: whose work is verified, what was wrong where and by whose replay, and how much was replayed.

Everything follows from the ledger's records. Rules:
- steps are verified where their miner CONTRIBUTES or is a REPLICA in a round that was accepted: by this work proposers are drawn;
- replayed are the segments that the beacon drew of the trainings that were opened, each by as many seats as it was drawn for. What seats
  replayed beyond that, because reports differed or one of them said wrong, no record counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.recompute import drawn_segments, kept_chunks, recomputes, replays, segments_of
from quorumlearn_proto.task_pb2 import TaskSpec, VerificationMode

SHOWN = 12
"""Hexadecimal digits of a digest that people are shown."""
_VERIFIED = (b.CONTRIBUTES, b.REPLICA)


@dataclass(frozen=True)
class WrongWork:
    """A miner's training that a replay contradicts. `item` is a segment, from 1, or one more than there are `segments`: the last
    checkpoint, which has another sketch than the update. Digests are hexadecimal; `replayed` is empty where nothing could be replayed.
    `verifiers` are those for whom it was drawn."""

    round: int
    miner: str
    item: int
    segments: int
    claimed: str
    replayed: str
    verifiers: tuple[str, ...]

    @property
    def place(self) -> str:
        return (
            "the last checkpoint" if self.item > self.segments else f"segment {self.item} of {self.segments}"
        )

    @property
    def sentence(self) -> str:
        """What anybody can compute again."""
        by = f"; replayed by {' and '.join(self.verifiers)}" if self.verifiers else ""
        if not self.replayed:
            return f"{self.place}: what it opened contradicts itself or what it had committed to, and cannot be replayed{by}"
        what = "the sketch" if self.item > self.segments else "the checkpoint"
        return f"{self.place}: it claimed {what} {self.claimed[:SHOWN]}, a replay gives {self.replayed[:SHOWN]}{by}"


@dataclass(frozen=True)
class FalseReplay:
    """A seat whose report says otherwise than the replay, and what that cost it."""

    round: int
    verifier: str
    slashed: int
    detail: str


@dataclass(frozen=True)
class WorkReport:
    """`steps` are verified ones, by miner and round. By round: `trained` are the steps of all trainings whose traces were opened,
    `replayed` those that seats replayed of them, over all seats. `segments` counts these replays. Of `assigned` chunks their miners had
    `kept` in the round before."""

    mode: str
    steps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    wrong: tuple[WrongWork, ...] = ()
    false_replays: tuple[FalseReplay, ...] = ()
    trained: tuple[int, ...] = ()
    replayed: tuple[int, ...] = ()
    segments: int = 0
    kept: int = 0
    assigned: int = 0

    @property
    def share(self) -> float:
        """Steps replayed, over all seats, in parts of the steps trained."""
        return sum(self.replayed) / sum(self.trained) if any(self.trained) else 0.0

    def wrong_of(self, miner: str, number: int) -> WrongWork | None:
        """What was wrong in a miner's training of a round."""
        return next((one for one in self.wrong if (one.miner, one.round) == (miner, number)), None)


def work_of(spec: TaskSpec, views: Sequence[b.TaskView], miners: Iterable[str]) -> WorkReport | None:
    """Of the views of a task's rounds, in their order; None where trainings are everybody's own affair."""
    if not recomputes(spec):
        return None
    replayed = [_replayed(spec, view) for view in views]
    before = [None, *(view.round for view in views)]
    chunks = [kept_chunks(view.round, last) for view, last in zip(views, before, strict=False)]
    return WorkReport(
        mode=VerificationMode.Name(spec.mode),
        steps={miner: tuple(_steps(view, miner) for view in views) for miner in miners},
        wrong=tuple(one for view in views for one in wrong_work(spec, view)),
        false_replays=tuple(one for view in views for one in false_replays(view)),
        trained=tuple(sum(one.manifest.steps for one in _opened(view)) for view in views),
        replayed=tuple(map(sum, replayed)),
        segments=sum(map(len, replayed)),
        kept=sum(kept for kept, _ in chunks),
        assigned=sum(assigned for _, assigned in chunks),
    )


def wrong_work(spec: TaskSpec, view: b.TaskView) -> list[WrongWork]:
    """What the selection of the view's round finds wrong, in the verdicts' order."""
    manifests = {one.miner: one.manifest for one in view.submissions}
    return [
        WrongWork(
            round=view.round.number,
            miner=one.miner,
            item=one.proof.item,
            segments=segments_of(spec, manifests[one.miner].steps) if one.miner in manifests else 0,
            claimed=one.proof.claimed,
            replayed=one.proof.replayed,
            verifiers=tuple(verifier_of(view, seat) for seat in one.proof.seats),
        )
        for one in view.round.selection.verdicts
        if one.reason == b.WRONG_WORK
    ]


def false_replays(view: b.TaskView) -> list[FalseReplay]:
    """The seats that were found out in the view's round."""
    return [
        FalseReplay(one.round, one.verifier, one.slashed, one.detail)
        for one in view.misconducts
        if one.fault == b.FALSE_REPLAY and one.round == view.round.number
    ]


def verifier_of(view: b.TaskView, seat: int) -> str:
    """Who held a seat in the view's round; its number if no record says."""
    held = {one.seat: one.verifier for one in view.seats}
    held |= {one.seat: one.verifier for one in view.screenings}
    return held.get(seat, f"seat {seat}")


def _steps(view: b.TaskView, miner: str) -> int:
    if view.round.outcome != b.ACCEPTED:
        return 0
    verified = {one.miner for one in view.round.selection.verdicts if one.reason in _VERIFIED}
    return sum(one.manifest.steps for one in view.submissions if one.miner == miner and miner in verified)


def _opened(view: b.TaskView) -> list[b.Submission]:
    return [one for one in view.submissions if one.HasField("opening")]


def _replayed(spec: TaskSpec, view: b.TaskView) -> list[int]:
    """The steps of each replay that was drawn in the round."""
    found: list[int] = []
    if not replays(spec) or not view.round.beacon:
        return found
    each, count = spec.recompute.segment_steps, spec.committee.threshold
    for one in _opened(view):
        if len(_seats(spec, view, one.manifest.profile)) < count:
            continue
        segments = segments_of(spec, one.manifest.steps)
        for number in drawn_segments(view.round.beacon, one.miner, segments, spec.recompute.segments):
            found += [min(each, one.manifest.steps - each * (number - 1))] * count
    return found


def _seats(spec: TaskSpec, view: b.TaskView, profile: str) -> list[int]:
    """The seats of the round's key that can replay a training of this profile."""
    ceremony = next((one for one in view.ceremonies if one.round == view.round.number), b.Ceremony())
    known = {one.seat: one.profile for one in view.contributions if one.round == view.round.number}
    return [seat for seat in ceremony.seats if not profile or known.get(seat) == profile]
