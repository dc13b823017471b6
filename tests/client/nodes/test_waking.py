"""Who looks at the ledger after which events: enough that nothing is missed, and no oftener than that."""

from __future__ import annotations

import pytest
from quorumlearn.nodes.waking import (
    KEY_CALLS,
    SEATS_CALLS,
    concerns_seats,
    may_complete,
    moved,
    round_moved,
)
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.event_pb2 import LedgerEvent


def event(kind: str, *, phase: b.Phase = b.COMMIT, went_on: bool = False) -> LedgerEvent:
    return LedgerEvent(kind=kind, status=t.RUNNING, phase=phase, moved=went_on)


def view_in(phase: b.Phase) -> b.TaskView:
    """Two miners and three seats in round 1 of a task, the next round's ceremony open."""
    view = b.TaskView(round=b.Round(number=1, phase=phase, miners=["M/a", "M/b"], seats=[1, 2, 3]))
    for seat in (1, 2, 3):
        view.seats.add(seat=seat, verifier=f"V{seat}/v")
        view.contributions.add(round=1, attempt=1, seat=seat)
    view.ceremonies.add(round=2, attempt=1, step=b.KEY_COMMIT, seats=[1, 2, 3])
    return view


def test_every_call_that_a_step_waits_for_is_counted() -> None:
    assert set(SEATS_CALLS) | {b.KEY, b.COMMIT, b.REVEAL, b.PROPOSE, b.ENDED, b.PHASE_UNSPECIFIED} == set(
        b.Phase.values()
    )
    assert set(KEY_CALLS) | {b.KEY_READY, b.KEY_FAILED, b.CEREMONY_STEP_UNSPECIFIED} == set(
        b.CeremonyStep.values()
    )


def test_a_ceremony_that_goes_on_is_no_move_of_the_round() -> None:
    ahead = event("blocks:RevealKey", phase=b.PHASE_UNSPECIFIED, went_on=True)
    assert moved([ahead])
    assert not round_moved([ahead])
    assert round_moved([ahead, event("blocks:Advance", phase=b.BEACON, went_on=True)])


def test_a_task_that_ended_before_its_first_round_has_moved() -> None:
    assert round_moved([LedgerEvent(kind="blocks:Advance", status=t.EXPIRED, moved=True)])


@pytest.mark.parametrize("kind", ["blocks:Accuse", "blocks:Challenge"])
def test_what_other_seats_answer_concerns_them_although_nothing_moved(kind: str) -> None:
    assert not concerns_seats([event("blocks:PostSketch")])
    assert concerns_seats([event("blocks:PostSketch"), event(kind)])


def test_commits_are_looked_at_when_all_may_be_there() -> None:
    view = view_in(b.COMMIT)
    assert not may_complete(view, [event("blocks:Commit")])
    assert may_complete(view, [event("blocks:Commit")] * 2)
    view.submissions.add(miner="M/a")
    assert may_complete(view, [event("blocks:Commit")])


def test_reveals_are_looked_at_when_all_that_committed_may_be_there() -> None:
    view = view_in(b.REVEAL)
    view.submissions.add(miner="M/a")
    view.submissions.add(miner="M/b", manifest=b.Manifest(miner="M/b"))
    assert may_complete(view, [event("blocks:Reveal")])
    view.submissions[1].ClearField("manifest")
    assert not may_complete(view, [event("blocks:Reveal")])


def test_seats_are_waited_for_by_what_each_has_yet_to_do() -> None:
    view = view_in(b.SCREEN)
    posted = [event("blocks:PostSketch")]
    assert not may_complete(view, posted * 2)
    assert may_complete(view, posted * 3)
    view.screenings.add(seat=2).sketch_shares.digest = "d"
    assert may_complete(view, posted * 2)


def test_the_next_ceremony_is_counted_beside_the_round() -> None:
    view = view_in(b.COMMIT)
    committed = [event("blocks:CommitKey", phase=b.PHASE_UNSPECIFIED)]
    assert not may_complete(view, [*committed * 2, event("blocks:Commit")])
    assert may_complete(view, committed * 3)


def test_what_no_step_waits_for_is_looked_at_once() -> None:
    assert may_complete(view_in(b.COMMIT), [event("tasks:Join")])
