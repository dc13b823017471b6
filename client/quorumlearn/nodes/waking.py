"""When a node looks at the ledger again: pure functions of the events since it last looked.

Looking costs the peers more than most steps do, so nobody looks at what is not for it: miners and owners when a phase begins that has
a part for them, verifiers whenever something moved. Who has acted since is told by the events; so the last seat of a step knows
that it is the last, the first seat, which leaves the others a moment to act before it does, closes most steps with its own part, and
it sees when a step is complete that nobody's transaction has closed.
What an event says is only ever a reason to try: the contract decides.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.event_pb2 import LedgerEvent

from quorumlearn.nodes.steps import yet_to_act

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
MINERS_PHASES = (b.KEY, b.COMMIT, b.REVEAL, b.PROPOSE, b.ENDED)
"""What begins with something for miners in it; a round's end begins the next one."""
OWNERS_PHASES = (b.KEY, b.COMMIT, b.ENDED)
AFTER_SCREEN = (b.SELECT, b.OPEN, b.PROPOSE, b.VALIDATE, b.ENDED, b.KEY, b.COMMIT)
"""Where a round is that has gone on from SCREEN; the last two are the next round's."""
CHALLENGE = "blocks:Challenge"
FOR_EVERY_SEAT = {"blocks:Accuse", CHALLENGE}
"""What other seats answer although nothing moved."""


def moved(events: Sequence[LedgerEvent]) -> bool:
    """Whether the task, its round or a ceremony went on."""
    return any(event.moved for event in events)


def entered(events: Sequence[LedgerEvent], phases: Collection[b.Phase]) -> bool:
    """Whether the task's round went on to one of these phases, or the task to another status."""
    return any(event.moved and (event.phase in phases or event.status != t.RUNNING) for event in events)


def concerns_seats(events: Sequence[LedgerEvent]) -> bool:
    """Whether a seat may have something to do."""
    return moved(events) or any(event.kind in FOR_EVERY_SEAT for event in events)


def challenged(events: Sequence[LedgerEvent]) -> bool:
    """Whether a block of the task was challenged, or the task ended, after which nobody else looks."""
    return any(event.kind == CHALLENGE or event.status != t.RUNNING for event in events)


def completed(view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
    """Whether everybody has done what was open in the view to them, and nobody's transaction has moved the task on."""
    return not moved(events) and any(
        missing and missing <= _actors(call, number, events) for call, number, missing in open_steps(view)
    )


def others_pending(view: b.TaskView, number: int, me: str, events: Sequence[LedgerEvent]) -> bool:
    """Whether another seat has yet to do what is open in this round, or in this ceremony, as far as is known."""
    return any(
        missing - {me} - _actors(call, number, events)
        for call, of, missing in open_steps(view)
        if of == number
    )


def open_steps(view: b.TaskView) -> Iterator[tuple[str, int, set[str]]]:
    """The steps that are open: the contract's function, the round, and who has yet to call it."""
    now = view.round
    if now.phase == b.COMMIT:
        yield COMMIT, now.number, set(now.miners) - {one.miner for one in view.submissions}
    if now.phase == b.REVEAL:
        yield REVEAL, now.number, {one.miner for one in view.submissions if not one.HasField("manifest")}
    if now.phase in SEATS_CALLS:
        yield SEATS_CALLS[now.phase], now.number, yet_to_act(view, now.number)
    for ceremony in view.ceremonies:
        if ceremony.step in KEY_CALLS:
            yield KEY_CALLS[ceremony.step], ceremony.round, yet_to_act(view, ceremony.round)


def _actors(call: str, number: int, events: Sequence[LedgerEvent]) -> set[str]:
    return {
        event.actor
        for event in events
        if (event.kind, event.round) == (call, number) or (event.key_step, event.round + 1) == (call, number)
    }
