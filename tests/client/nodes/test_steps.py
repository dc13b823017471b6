"""A node's next step follows from the ledger's view alone."""

from __future__ import annotations

import pytest
from quorumlearn.nodes.steps import Step, miner_step, sketched, verifier_steps
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.protocol import ROUND, STEPS

ME = "MinersMSP/one"
REF = ArtifactRef(digest="0" * 64, size=1)


def running(phase: b.Phase, **fields: object) -> b.TaskView:
    view = b.TaskView(
        state=t.TaskState(status=t.RUNNING, round=1),
        miners=[ME, "MinersMSP/two"],
        seats=[t.Seat(seat=1, verifier="V1MSP/v"), t.Seat(seat=2, verifier="V2MSP/v")],
    )
    view.task.spec.committee.msp_ids.extend(["V1MSP", "V2MSP"])
    view.round.CopyFrom(b.Round(number=1, phase=phase, miners=[ME, "MinersMSP/two"], seats=[1, 2], **fields))  # type: ignore[arg-type]
    return view


@pytest.mark.parametrize("status", [t.COMPLETED, t.CANCELLED, t.EXPIRED])
def test_an_ended_task_asks_nothing_of_anyone(status: t.TaskStatus) -> None:
    view = running(b.COMMIT)
    view.state.status = status
    assert miner_step(view, ME, trained=False, ready=False) is None
    assert verifier_steps(view, "V1MSP/v", "V1MSP") == []


def test_a_miner_joins_before_the_start_or_in_commit_as_long_as_nothing_is_due() -> None:
    published = b.TaskView(task=running(b.KEY).task, state=t.TaskState(status=t.PUBLISHED))
    for view, joins in ((published, True), *((running(phase), phase == b.COMMIT) for phase in ROUND)):
        for due in (False, True):
            view.can_advance = due
            step = miner_step(view, "MinersMSP/three", trained=False, ready=False)
            assert step is (Step.JOIN if joins and not due else None)


def test_a_miner_trains_while_the_key_is_made_and_commits_when_it_may() -> None:
    assert miner_step(running(b.KEY), ME, trained=False, ready=False) is Step.TRAIN
    assert miner_step(running(b.KEY), ME, trained=True, ready=False) is None
    assert miner_step(running(b.COMMIT), ME, trained=False, ready=False) is Step.TRAIN
    assert miner_step(running(b.COMMIT), ME, trained=True, ready=False) is Step.COMMIT


def test_where_training_is_replayed_it_begins_with_the_round_and_its_trace_is_opened_once() -> None:
    view = running(b.KEY)
    view.task.spec.mode = t.RECOMPUTE
    assert miner_step(view, ME, trained=False, ready=False) is None, "what it draws from is not out"
    view.round.phase = b.COMMIT
    assert miner_step(view, ME, trained=False, ready=False) is Step.TRAIN
    view.round.phase = b.TRACE
    one = view.submissions.add(miner=ME)
    assert miner_step(view, ME, trained=True, ready=True) is None, "who has not revealed has nothing to open"
    one.manifest.miner = ME
    assert miner_step(view, ME, trained=True, ready=True) is Step.TRACE
    one.opening.CopyFrom(REF)
    assert miner_step(view, ME, trained=True, ready=True) is None


def test_only_what_was_opened_is_sketched_where_training_is_replayed() -> None:
    view = running(b.SCREEN)
    for name in ("a", "b", "c"):
        view.submissions.add(miner=name)
    for one in view.submissions[:2]:
        one.manifest.miner = one.miner
    view.submissions[0].opening.CopyFrom(REF)
    assert [one.miner for one in sketched(view)] == ["a", "b"]
    view.task.spec.mode = t.RECOMPUTE
    assert [one.miner for one in sketched(view)] == ["a"]
    view.task.spec.recompute.sealed = True
    assert [one.miner for one in sketched(view)] == ["a", "b"], "nobody replays there"


def test_a_restarted_miner_with_a_journalled_update_does_not_train_again() -> None:
    assert miner_step(running(b.COMMIT), ME, trained=False, ready=True) is Step.COMMIT


def test_a_miner_reveals_what_it_committed_once() -> None:
    view = running(b.REVEAL)
    assert miner_step(view, ME, trained=True, ready=True) is None
    view.submissions.add(miner=ME)
    assert miner_step(view, ME, trained=False, ready=True) is Step.REVEAL
    view.submissions[0].manifest.miner = ME
    assert miner_step(view, ME, trained=False, ready=True) is None


def test_only_the_miner_whose_turn_it_is_proposes() -> None:
    view = running(b.PROPOSE, proposers=["MinersMSP/two", ME])
    assert miner_step(view, ME, trained=False, ready=False) is None
    view.round.proposer_turn = 1
    assert miner_step(view, ME, trained=False, ready=False) is Step.PROPOSE


def test_a_verifier_takes_its_organisations_free_seat_only() -> None:
    view = running(b.KEY)
    view.state.status = t.PUBLISHED
    assert verifier_steps(view, "V3MSP/v", "V3MSP") == []
    assert verifier_steps(view, "V1MSP/other", "V1MSP") == []
    del view.seats[1]
    view.free_seats.append(2)
    for status in (t.PUBLISHED, t.RUNNING):
        view.state.status = status
        assert verifier_steps(view, "V2MSP/v", "V2MSP") == [(Step.TAKE_SEAT, 0)]
        assert verifier_steps(view, "V1MSP/other", "V1MSP") == []


def test_a_reserve_takes_a_seat_once_the_task_runs_and_one_only() -> None:
    view = running(b.COMMIT)
    view.task.spec.committee.reserve_msp_ids.extend(["V4MSP", "V5MSP"])
    assert verifier_steps(view, "V4MSP/v", "V4MSP") == []
    view.free_seats.append(2)
    assert verifier_steps(view, "V4MSP/v", "V4MSP") == [(Step.TAKE_SEAT, 0)]
    view.state.status = t.PUBLISHED
    assert verifier_steps(view, "V4MSP/v", "V4MSP") == []
    view.state.status = t.RUNNING
    view.seats[1].verifier = "V4MSP/other"
    assert verifier_steps(view, "V4MSP/v", "V4MSP") == []


def test_who_left_a_seat_or_is_to_leave_does_not_take_one_again() -> None:
    view = running(b.COMMIT)
    del view.seats[1]
    view.free_seats.append(2)
    assert verifier_steps(view, "V2MSP/v", "V2MSP", seated=True) == []
    assert verifier_steps(view, "V2MSP/v", "V2MSP", leaving=True) == []


def test_a_seat_that_is_to_leave_says_so_once_and_acts_to_the_end_of_its_last_round() -> None:
    view = running(b.SCREEN)
    both = verifier_steps(view, "V1MSP/v", "V1MSP", seated=True, leaving=True)
    assert both == [(Step.LEAVE_SEAT, 0), (Step.SCREEN, 1)]
    view.seats[0].leaves_after = 2
    assert verifier_steps(view, "V1MSP/v", "V1MSP", seated=True, leaving=True) == [(Step.SCREEN, 1)]


@pytest.mark.parametrize(
    ("phase", "step", "done"),
    [
        (b.SCREEN, Step.SCREEN, b.Screening(seat=1, sketch_shares=REF)),
        (b.OPEN, Step.OPEN, b.Screening(seat=1, sketch_shares=REF, partial=REF)),
    ],
)
def test_a_verifier_does_each_phase_once(phase: b.Phase, step: Step, done: b.Screening) -> None:
    view = running(phase)
    view.screenings.add(seat=1, **({"sketch_shares": REF} if phase == b.OPEN else {}))
    assert verifier_steps(view, "V1MSP/v", "V1MSP") == [(step, 1)]
    view.screenings[0].CopyFrom(done)
    assert verifier_steps(view, "V1MSP/v", "V1MSP") == []


def test_a_seat_that_has_posted_its_partial_checks_all_of_them_while_a_miner_proposes() -> None:
    view = running(b.PROPOSE)
    view.screenings.add(seat=1, sketch_shares=REF, partial=REF)
    assert verifier_steps(view, "V1MSP/v", "V1MSP") == [(Step.CHECK, 1)]
    assert verifier_steps(view, "V2MSP/v", "V2MSP") == []


def test_a_verifier_that_left_the_round_sits_it_out() -> None:
    view = running(b.SCREEN)
    view.round.seats[:] = [2]
    assert verifier_steps(view, "V1MSP/v", "V1MSP") == []


def test_the_next_rounds_key_is_made_while_this_round_trains() -> None:
    view = running(b.COMMIT)
    view.ceremonies.add(round=2, attempt=1, step=b.KEY_COMMIT, seats=[1, 2])
    assert verifier_steps(view, "V1MSP/v", "V1MSP") == [(Step.KEY_COMMIT, 2)]
    view.contributions.add(round=2, attempt=1, seat=1, public_share=REF)
    assert verifier_steps(view, "V1MSP/v", "V1MSP") == []
    view.ceremonies[0].step = b.KEY_REVEAL
    view.ceremonies[0].seats[:] = [1, 2]
    assert verifier_steps(view, "V1MSP/v", "V1MSP") == [(Step.KEY_REVEAL, 2)]


@pytest.mark.parametrize(
    ("at", "step", "done"),
    [
        (b.KEY_TEST, Step.KEY_TEST, b.KeyContribution(complaint="it does not open")),
        (b.KEY_TEST, Step.KEY_TEST, b.KeyContribution(test_partial=REF)),
        (b.KEY_CONFIRM, Step.KEY_CONFIRM, b.KeyContribution(complaint="it does not open")),
        (b.KEY_OPEN, Step.KEY_OPEN, b.KeyContribution(opened_sealing_key=b"key")),
        (b.KEY_BLAME, Step.KEY_BLAME, b.KeyContribution(blame=b.BlameVote())),
    ],
)
def test_each_step_of_a_ceremony_is_done_once_and_only_by_who_takes_part(
    at: b.CeremonyStep, step: Step, done: b.KeyContribution
) -> None:
    view = running(b.KEY)
    view.ceremonies.add(round=1, attempt=2, step=at, seats=[1])
    view.contributions.add(round=1, attempt=2, seat=1, public_share=REF)
    view.contributions.add(round=1, attempt=2, seat=2, public_share=REF)
    assert verifier_steps(view, "V1MSP/v", "V1MSP") == [(step, 1)]
    assert verifier_steps(view, "V2MSP/v", "V2MSP") == []
    view.contributions[0].MergeFrom(done)
    assert verifier_steps(view, "V1MSP/v", "V1MSP") == []


def test_ballots_are_shown_once_all_are_fixed_or_half_of_the_time_is_over() -> None:
    view = running(b.VALIDATE, deadline_ms=10_000)
    view.task.spec.timeouts.validate = 10
    fixed = ArtifactRef(digest="a" * 64, size=1)

    def step() -> list[tuple[Step, int]]:
        return verifier_steps(view, "V1MSP/v", "V1MSP")

    assert step() == [(Step.VALIDATE, 1)]
    view.ballots.add(seat=1, fixed=fixed)
    assert step() == []
    view.now_ms = 5_000
    assert step() == [(Step.SHOW, 1)]
    view.now_ms = 4_999
    for seat in view.round.seats[1:]:
        view.ballots.add(seat=seat, fixed=fixed)
    assert step() == [(Step.SHOW, 1)]
    view.ballots[0].reason = b.GOOD
    assert step() == []
    del view.ballots[0]
    view.round.ballots_shown = True
    assert step() == [], "it is too late"


def test_a_challenge_is_judged_beside_the_round() -> None:
    view = running(b.COMMIT)
    view.challenges.add(height=3)
    assert verifier_steps(view, "V2MSP/v", "V2MSP") == [(Step.JUDGE, 3)]


def test_every_step_of_the_protocol_is_something_that_an_identity_does() -> None:
    assert set(STEPS) <= set(Step.__members__)


@pytest.mark.parametrize("status", [t.RUNNING, t.COMPLETED])
def test_a_challenge_is_for_the_seats_that_have_not_voted_on_it(status: t.TaskStatus) -> None:
    view = b.TaskView(state=t.TaskState(status=status))
    for seat in (1, 2):
        view.seats.add(seat=seat, verifier=f"V{seat}MSP/v")
    view.challenges.add(height=3).ballots.add(seat=1)
    assert verifier_steps(view, "V1MSP/v", "V1MSP") == []
    assert verifier_steps(view, "V2MSP/v", "V2MSP") == [(Step.JUDGE, 3)]
    assert verifier_steps(view, "V3MSP/v", "V3MSP") == []
