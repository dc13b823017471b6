"""What is replayed of a round's trainings, and for whom it is drawn: functions of the ledger's view, the same for everybody.

Rules:
- of each training whose miner has revealed and opened its trace: the segments that the beacon draws, and the last checkpoint;
- each of these items is drawn for t seats of the round's key, wherever they are by now. Where float32 is replayed (PROFILE) they are seats
  of the miner's numeric profile; with fewer than t of them nothing of the training is drawn, and it is unconfirmed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.recompute import drawn_items, replayers, replays

from quorumlearn.nodes import steps

Key = tuple[str, int]
"""A miner, and the item's number."""


@dataclass(frozen=True)
class Item:
    """A drawn segment of a miner's training, from 1, or one more than there are segments: its last checkpoint. `seats` are those for whom
    it is drawn."""

    miner: str
    number: int
    seats: tuple[int, ...]

    @property
    def key(self) -> Key:
        return self.miner, self.number


def revealed(view: b.TaskView) -> list[b.Submission]:
    """The round's submissions of which there is a manifest, in the miners' order."""
    known = {one.miner: one for one in view.submissions if one.HasField("manifest")}
    return [known[miner] for miner in view.round.miners if miner in known]


def able_seats(view: b.TaskView, profile: str) -> list[int]:
    """The seats of the round's key that can replay the training of a miner with this numeric profile."""
    ceremony = steps.ceremony_of(view, view.round.number)
    if view.task.spec.recompute.exactness != t.PROFILE:
        return sorted(ceremony.seats)
    parts = steps.contributions(view, view.round.number)
    return sorted(seat for seat in ceremony.seats if seat in parts and parts[seat].profile == profile)


def confirmable(view: b.TaskView, profile: str) -> bool:
    """Whether enough seats can replay the training of a miner with this profile."""
    return len(able_seats(view, profile)) >= view.task.spec.committee.threshold


def unconfirmable(view: b.TaskView) -> list[str]:
    """The miners whose opened trainings too few seats can replay."""
    if not replays(view.task.spec):
        return []
    shown = [one for one in revealed(view) if one.HasField("opening")]
    return [one.miner for one in shown if not confirmable(view, one.manifest.profile)]


def items_of(view: b.TaskView, one: b.Submission) -> list[Item]:
    """What is replayed of a miner's training; nothing if fewer than t seats can."""
    spec, now, manifest = view.task.spec, view.round, one.manifest
    able, threshold = able_seats(view, manifest.profile), spec.committee.threshold
    if len(able) < threshold:
        return []
    return [
        Item(one.miner, number, tuple(replayers(now.beacon, one.miner, number, able, threshold)))
        for number in drawn_items(spec, now.beacon, one.miner, manifest.steps)
    ]


def items(view: b.TaskView) -> list[Item]:
    """What is replayed in the round, by miner in the round's order, then by number; nothing where no seat replays."""
    return list(_items(view)) if replays(view.task.spec) else []


def _items(view: b.TaskView) -> Iterator[Item]:
    for one in revealed(view):
        if one.HasField("opening"):
            yield from items_of(view, one)
