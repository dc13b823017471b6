"""When a node looks at the ledger again: pure functions of the events since it last looked.

Looking costs every peer and node more than anything else a node does between its steps, so nobody looks at what is not for it:
miners and owners when the round or the task moved, verifiers when a ceremony did too, and of the verifiers the first alone when so
many have acted that a step may be complete, for it closes the steps that nobody else's transaction does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.event_pb2 import LedgerEvent

from quorumlearn.nodes.steps import seats_to_act

COMMIT, REVEAL = "blocks:Commit", "blocks:Reveal"
SEATS_CALLS = {
    b.BEACON: "blocks:RevealBeacon",
    b.SCREEN: "blocks:PostSketch",
    b.SELECT: "blocks:VoteSelection",
    b.OPEN: "blocks:PostPartial",
    b.VALIDATE: "blocks:VoteBlock",
}
KEY_CALLS = {
    b.KEY_COMMIT: "blocks:CommitKey",
    b.KEY_REVEAL: "blocks:RevealKey",
    b.KEY_TEST: "blocks:TestKey",
    b.KEY_CONFIRM: "blocks:ConfirmKey",
    b.KEY_OPEN: "blocks:OpenKey",
    b.KEY_BLAME: "blocks:BlameKey",
}
FOR_EVERY_SEAT = {"blocks:Accuse", "blocks:Challenge"}
"""What other seats answer although nothing moved."""


def moved(events: Sequence[LedgerEvent]) -> bool:
    """Whether the task, its round or a ceremony went on."""
    return any(event.moved for event in events)


def round_moved(events: Sequence[LedgerEvent]) -> bool:
    """Whether the task or its round went on: not if it was only the ceremony of a round that has not begun."""
    return any(event.moved and (event.phase or event.status != t.RUNNING) for event in events)


def concerns_seats(events: Sequence[LedgerEvent]) -> bool:
    """Whether a seat may have something to do."""
    return moved(events) or any(event.kind in FOR_EVERY_SEAT for event in events)


def may_complete(view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
    """Whether what was open in the view may be complete by these events; so, too, if something else happened."""
    missing = _missing(view)
    return any(count >= missing.get(kind, 1) for kind, count in Counter(e.kind for e in events).items())


def _missing(view: b.TaskView) -> dict[str, int]:
    """How many of each call the steps that are open wait for."""
    now = view.round
    missing = {
        COMMIT: len(now.miners) - len(view.submissions),
        REVEAL: sum(not one.HasField("manifest") for one in view.submissions),
    }
    if now.phase in SEATS_CALLS:
        missing[SEATS_CALLS[now.phase]] = len(seats_to_act(view, now.number))
    for ceremony in view.ceremonies:
        if ceremony.step in KEY_CALLS:
            missing[KEY_CALLS[ceremony.step]] = len(seats_to_act(view, ceremony.round))
    return missing
