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
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.event_pb2 import LedgerEvent
from quorumlearn_proto.protocol import ACCUSE, CEREMONY, GRANT, OF_MINERS, ROUND, Actor, KeyStep, RoundStep

from quorumlearn.nodes.steps import is_revealed, yet_to_act

FOR_OWNERS = frozenset({b.KEY, b.COMMIT, b.ENDED})
"""The phases in which an owner looks: a round's end begins the next one."""
FOR_MINERS = FOR_OWNERS | {phase for phase, step in ROUND.items() if step.actor in OF_MINERS}
"""The phases in which a miner looks."""
AFTER_SCREEN = frozenset({b.KEY, b.COMMIT, b.ENDED, *(phase for phase in ROUND if phase > b.SCREEN)})
"""Where a round is that has gone on from SCREEN; KEY and COMMIT are the next round's."""
AFTER_REPLAY = frozenset({b.KEY, b.COMMIT, b.ENDED, *(phase for phase in ROUND if phase > b.REPLAY)})
AFTER_SELECT = frozenset({b.KEY, b.COMMIT, b.ENDED, *(phase for phase in ROUND if phase > b.SELECT)})
"""The same of REPLAY and SELECT."""
CHALLENGE = "blocks:Challenge"
FOR_EVERY_SEAT = {ACCUSE, CHALLENGE}
"""What other seats answer although nothing moved."""


def moved(events: Sequence[LedgerEvent]) -> bool:
    """Whether the task, its round or a ceremony went on."""
    return any(event.moved for event in events)


def entered(events: Sequence[LedgerEvent], phases: Collection[b.Phase]) -> bool:
    """Whether the task's round went on to one of these phases, or the task to another status."""
    return any(event.moved and (event.phase in phases or event.status != t.RUNNING) for event in events)


def seat_may_act(events: Sequence[LedgerEvent]) -> bool:
    """Whether a seat may have something to do."""
    return moved(events) or any(event.kind in FOR_EVERY_SEAT for event in events)


def granted(events: Sequence[LedgerEvent]) -> bool:
    """Whether an owner has given a round's keys to sealed data."""
    return any(event.kind == GRANT for event in events)


def challenged(events: Sequence[LedgerEvent]) -> bool:
    """Whether a block of the task was challenged, or the task ended, after which nobody else looks."""
    return any(event.kind == CHALLENGE or event.status != t.RUNNING for event in events)


def completed(view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
    """Whether everybody has done what was open in the view to them, and nobody's transaction has moved the task on."""
    return not moved(events) and any(
        missing and missing <= _actors(step, number, events) for step, number, missing in open_steps(view)
    )


def others_pending(view: b.TaskView, number: int, me: str, events: Sequence[LedgerEvent]) -> bool:
    """Whether another seat has yet to do what is open in this round, or in this ceremony, as far as is known."""
    return any(
        missing - {me} - _actors(step, number, events)
        for step, of, missing in open_steps(view)
        if of == number
    )


def open_steps(view: b.TaskView) -> Iterator[tuple[RoundStep | KeyStep, int, set[str]]]:
    """The steps that are open to more than one: the step, its round, and who has yet to act in it."""
    now = view.round
    step = ROUND.get(now.phase)
    if step is not None:
        submitted = {one.miner: one for one in view.submissions}
        match step.actor:
            case Actor.MINERS:
                yield step, now.number, {one for one in now.miners if not step.done(submitted.get(one))}
            case Actor.COMMITTED:
                yield step, now.number, {one for one in submitted if not step.done(submitted[one])}
            case Actor.REVEALED:
                revealed = {who: one for who, one in submitted.items() if is_revealed(one)}
                yield step, now.number, {who for who, one in revealed.items() if not step.done(one)}
            case Actor.SEATS if not step.shows:
                yield step, now.number, yet_to_act(view, now.number)
    for ceremony in view.ceremonies:
        if ceremony.step in CEREMONY:
            yield CEREMONY[ceremony.step], ceremony.round, yet_to_act(view, ceremony.round)


def all_voted(view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
    """Whether all seats of the round have fixed their ballots, and one of them has done so since the view was read."""
    step, now = ROUND[b.VALIDATE], view.round
    acted = _actors(step, now.number, events)
    if now.phase != step.at or not acted:
        return False
    fixed = {one.verifier for one in view.ballots}
    return {one.verifier for one in view.seats if one.seat in now.seats} <= fixed | acted


def fixed_ballots(view: b.TaskView, events: Sequence[LedgerEvent]) -> dict[str, ArtifactRef]:
    """The ballots that seats of the round have fixed, by verifier, those of the events among them."""
    step, now = ROUND[b.VALIDATE], view.round
    found = {one.verifier: one.fixed for one in view.ballots if not one.reason}
    for event in events:
        if (event.kind, event.round) == (step.call, now.number) and event.shown:
            found[event.actor] = event.shown[0]
    taking_part = {one.verifier for one in view.seats if one.seat in now.seats}
    return {who: ref for who, ref in found.items() if who in taking_part}


def _actors(step: RoundStep | KeyStep, number: int, events: Sequence[LedgerEvent]) -> set[str]:
    """Who has acted in this step of this round, by its own transaction or by one that carried it."""
    which = step.call, number
    return {
        event.actor
        for event in events
        if which in ((event.kind, event.round), (event.key_step, event.round + 1))
    }
