"""Which steps of the next round's key are sent with a step of the round, and until when: functions of the ledger's view."""

from __future__ import annotations

import pytest
from quorumlearn.nodes.committee.sending import is_to_carry, may_be_carried, to_be_carried
from quorumlearn.nodes.steps import Step, verifier_steps
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.common_pb2 import ArtifactRef

from tests.client.nodes.seats import SEATS, view_of_seats

REF = ArtifactRef(digest="0" * 64, size=1)
KEY_SECONDS = 100
ORDER = (b.COMMIT, b.BEACON, b.REVEAL, b.SCREEN, b.SELECT, b.OPEN, b.PROPOSE, b.VALIDATE)


def with_ceremony(phase: b.Phase, step: b.CeremonyStep) -> b.TaskView:
    """Round 1 in this phase, all that came before done; the ceremony of round 2 in this step since 1970, for 100 s."""
    view = view_of_seats(phase)
    view.task.spec.timeouts.key = KEY_SECONDS
    for seat in SEATS:
        screening = view.screenings.add(seat=seat)
        if phase > b.SCREEN:
            screening.sketch_shares.CopyFrom(REF)
        if phase > b.SELECT:
            screening.selection.SetInParent()
        if phase > b.OPEN:
            screening.partial.CopyFrom(REF)
        if step != b.KEY_COMMIT:
            part = view.contributions.add(round=2, attempt=1, seat=seat)
            part.public_share.CopyFrom(REF)
            if step != b.KEY_REVEAL:
                part.sealed_shares.CopyFrom(REF)
    view.ceremonies.add(round=2, attempt=1, step=step, seats=SEATS, deadline_ms=1000 * KEY_SECONDS)
    return view


@pytest.mark.parametrize(
    ("step", "last"),
    [
        (Step.KEY_COMMIT, b.SCREEN),
        (Step.KEY_REVEAL, b.SELECT),
        (Step.KEY_TEST, b.OPEN),
        (Step.KEY_CONFIRM, b.VALIDATE),
    ],
)
def test_a_key_step_is_carried_while_the_round_has_as_many_steps_left_as_the_ceremony(
    step: Step, last: b.Phase
) -> None:
    for phase in ORDER:
        view = with_ceremony(phase, getattr(b, step.name))
        assert (step, 2) in verifier_steps(view, "V1/v", "V1")
        assert to_be_carried(view, 1, step, view.ceremonies[1], 0) == (phase <= last)
        assert is_to_carry(view, 1, 0) == (phase <= last)


def test_a_key_step_goes_alone_where_no_step_of_the_round_is_left_to_the_seat() -> None:
    view = with_ceremony(b.VALIDATE, b.KEY_CONFIRM)
    assert to_be_carried(view, 1, Step.KEY_CONFIRM, view.ceremonies[1], 0)
    view.ballots.add(seat=1)
    view.round.ballots_shown = True
    assert not to_be_carried(view, 1, Step.KEY_CONFIRM, view.ceremonies[1], 0)
    view = with_ceremony(b.BEACON, b.KEY_COMMIT)
    view.round.seats.remove(1)
    assert not to_be_carried(view, 1, Step.KEY_COMMIT, view.ceremonies[1], 0)
    assert to_be_carried(view, 2, Step.KEY_COMMIT, view.ceremonies[1], 0)


def test_a_key_step_goes_alone_once_half_of_its_time_is_over_and_in_the_rounds_own_ceremony() -> None:
    view = with_ceremony(b.COMMIT, b.KEY_COMMIT)
    assert to_be_carried(view, 1, Step.KEY_COMMIT, view.ceremonies[1], 500 * KEY_SECONDS - 1)
    assert not to_be_carried(view, 1, Step.KEY_COMMIT, view.ceremonies[1], 500 * KEY_SECONDS)
    view.round.phase = b.KEY
    assert not to_be_carried(view, 1, Step.KEY_COMMIT, view.ceremonies[1], 0)
    view.ceremonies[1].round = 1
    assert not to_be_carried(view, 1, Step.KEY_COMMIT, view.ceremonies[1], 0)


@pytest.mark.parametrize("step", [Step.KEY_OPEN, Step.KEY_BLAME, Step.BEACON])
def test_nothing_else_is_carried(step: Step) -> None:
    view = with_ceremony(b.COMMIT, b.KEY_OPEN)
    assert not to_be_carried(view, 1, step, view.ceremonies[1], 0)


def test_a_step_of_the_round_waits_for_no_key_step_that_is_done_or_of_no_ceremony() -> None:
    view = with_ceremony(b.BEACON, b.KEY_REVEAL)
    assert is_to_carry(view, 1, 0)
    view.contributions[3].sealed_shares.CopyFrom(REF)
    assert not is_to_carry(view, 1, 0)
    assert not is_to_carry(view_of_seats(b.BEACON), 1, 0)


def test_what_is_newer_than_the_rounds_view_may_be_carried_and_what_is_older_may_not() -> None:
    seen = with_ceremony(b.BEACON, b.KEY_REVEAL)
    for attempt, may in ((0, False), (1, True), (2, True)):
        assert may_be_carried(seen, 1, Step.KEY_REVEAL, 2, attempt) == may
    assert not may_be_carried(seen, 1, Step.KEY_COMMIT, 2, 1)
    assert may_be_carried(seen, 1, Step.KEY_COMMIT, 2, 2)
    assert may_be_carried(view_of_seats(b.BEACON), 1, Step.KEY_COMMIT, 2, 1)
    for number in (1, 3):
        assert not may_be_carried(seen, 1, Step.KEY_TEST, number, 9)
