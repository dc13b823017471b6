"""Who looks at the ledger after which events: enough that nothing is missed, and no oftener than that."""

from __future__ import annotations

import pytest
from quorumlearn.nodes.triggers import (
    AFTER_SCREEN,
    FOR_MINERS,
    FOR_OWNERS,
    completed,
    entered,
    moved,
    others_pending,
    seat_may_act,
)
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.event_pb2 import LedgerEvent


def event(
    kind: str, actor: str = "", *, phase: b.Phase = b.COMMIT, number: int = 1, went_on: bool = False
) -> LedgerEvent:
    return LedgerEvent(kind=kind, actor=actor, status=t.RUNNING, phase=phase, round=number, moved=went_on)


def view_in(phase: b.Phase) -> b.TaskView:
    """Two miners and three seats in round 1 of a task, the next round's ceremony open."""
    view = b.TaskView(round=b.Round(number=1, phase=phase, miners=["M/a", "M/b"], seats=[1, 2, 3]))
    for seat in (1, 2, 3):
        view.seats.add(seat=seat, verifier=f"V{seat}/v")
        view.contributions.add(round=1, attempt=1, seat=seat)
    view.ceremonies.add(round=2, attempt=1, step=b.KEY_COMMIT, seats=[1, 2, 3])
    return view


def posted(*seats: int) -> list[LedgerEvent]:
    return [event("blocks:PostSketch", f"V{seat}/v") for seat in seats]


def test_a_ceremony_that_goes_on_is_for_verifiers_only() -> None:
    ahead = event("blocks:RevealKey", phase=b.PHASE_UNSPECIFIED, number=2, went_on=True)
    assert moved([ahead])
    assert seat_may_act([ahead])
    assert not entered([ahead], FOR_MINERS)


def test_miners_look_when_a_phase_begins_that_has_a_part_for_them() -> None:
    begun = {
        phase
        for phase in b.Phase.values()
        if entered([event("blocks:Advance", phase=phase, went_on=True)], FOR_MINERS)  # type: ignore[arg-type]
    }
    assert begun == {b.KEY, b.COMMIT, b.REVEAL, b.TRACE, b.PROPOSE, b.ENDED}
    assert not entered([event("blocks:Commit", phase=b.COMMIT)], FOR_MINERS)


def test_a_task_that_ended_before_its_first_round_is_seen_by_all() -> None:
    expired = [LedgerEvent(kind="blocks:Advance", status=t.EXPIRED, moved=True)]
    assert entered(expired, FOR_MINERS)
    assert entered(expired, FOR_OWNERS)


@pytest.mark.parametrize("kind", ["blocks:Accuse", "blocks:Challenge"])
def test_what_other_seats_answer_concerns_them_although_nothing_moved(kind: str) -> None:
    assert not seat_may_act(posted(1))
    assert seat_may_act([*posted(1), event(kind)])


def test_commits_are_complete_when_all_are_there() -> None:
    view = view_in(b.COMMIT)
    first, second = event("blocks:Commit", "M/a"), event("blocks:Commit", "M/b")
    assert not completed(view, [first, first])
    assert completed(view, [first, second])
    assert not completed(view, [first, event("blocks:Commit", "M/b", number=2)])
    view.submissions.add(miner="M/a")
    assert completed(view, [second])


def test_reveals_are_complete_when_all_that_committed_are_there() -> None:
    view = view_in(b.REVEAL)
    view.submissions.add(miner="M/a")
    view.submissions.add(miner="M/b", manifest=b.Manifest(miner="M/b"))
    assert completed(view, [event("blocks:Reveal", "M/a")])
    view.submissions[1].ClearField("manifest")
    assert not completed(view, [event("blocks:Reveal", "M/a")])


def test_a_step_of_seats_is_complete_when_each_that_had_to_has_acted() -> None:
    view = view_in(b.SCREEN)
    assert not completed(view, posted(1, 2))
    assert completed(view, posted(1, 2, 3))
    view.screenings.add(seat=2).sketch_shares.digest = "d"
    assert completed(view, posted(1, 3))


def test_what_somebodys_transaction_has_moved_is_not_for_another_to_move() -> None:
    last = event("blocks:PostSketch", "V3/v", phase=b.SELECT, went_on=True)
    assert not completed(view_in(b.SCREEN), [*posted(1, 2), last])


def test_the_next_ceremony_is_counted_beside_the_round() -> None:
    view = view_in(b.COMMIT)
    keys = [
        event("blocks:CommitKey", f"V{seat}/v", phase=b.PHASE_UNSPECIFIED, number=2) for seat in (1, 2, 3)
    ]
    assert not completed(view, [*keys[:2], event("blocks:Commit", "M/a")])
    assert completed(view, keys)
    assert others_pending(view, 2, "V1/v", keys[:2])
    assert not others_pending(view, 2, "V1/v", keys[1:])


def test_a_key_step_that_came_along_with_a_rounds_step_counts_in_both() -> None:
    view = view_in(b.BEACON)
    both = [event("blocks:RevealBeacon", f"V{seat}/v", phase=b.BEACON) for seat in (1, 2, 3)]
    for one in both[:2]:
        one.key_step = "blocks:CommitKey"
    assert completed(view, both)
    assert others_pending(view, 2, "V1/v", both)
    both[2].key_step = "blocks:CommitKey"
    assert not others_pending(view, 2, "V1/v", both)
    both[2].key_step = "blocks:RevealKey"
    assert others_pending(view, 2, "V1/v", both)
    assert others_pending(view, 2, "V3/v", [both[1]])


def test_the_last_seat_knows_that_it_is_the_last() -> None:
    view = view_in(b.SCREEN)
    assert others_pending(view, 1, "V1/v", [])
    assert others_pending(view, 1, "V1/v", posted(1, 2))
    assert not others_pending(view, 1, "V1/v", posted(2, 3))
    view.screenings.add(seat=2).sketch_shares.digest = "d"
    assert not others_pending(view, 1, "V1/v", posted(3))
    assert others_pending(view, 1, "V1/v", [event("blocks:VoteSelection", "V3/v")])


def test_a_seat_that_still_screens_sees_that_the_round_has_gone_on_without_it() -> None:
    def gone_on(*events: LedgerEvent) -> bool:
        return entered(events, AFTER_SCREEN)

    ahead = event("blocks:RevealKey", phase=b.PHASE_UNSPECIFIED, number=2, went_on=True)
    carried = event("blocks:PostSketch", "V2/v", phase=b.SCREEN, went_on=True)
    assert not gone_on(*posted(2, 3), ahead, carried)
    assert gone_on(*posted(2, 3), event("blocks:Advance", phase=b.SELECT, went_on=True))
    assert gone_on(event("blocks:Advance", phase=b.KEY, number=2, went_on=True))
