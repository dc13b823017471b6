"""Rounds whose trainings are replayed: what is fixed before what, and who is out and at what cost. Verdicts are in test_work_verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import (
    Ceremony,
    CeremonyStep,
    Fault,
    KeyContribution,
    Outcome,
    Phase,
    Reason,
    Round,
)
from quorumlearn_proto.common_pb2 import SKETCH_DECRYPTION
from quorumlearn_proto.derived import beacon_of
from quorumlearn_proto.page_pb2 import ParticipationPage
from quorumlearn_proto.recompute import chunks_before, teams
from quorumlearn_proto.task_pb2 import Exactness, Recompute, TaskStatus, VerificationMode

from tests.chaincode.contracts.market_actors import TASK, Play, js, ref, sha, spec
from tests.chaincode.contracts.recompute_actors import (
    RecomputePlay,
    recompute,
    recompute_spec,
    start_secret,
)
from tests.chaincode.contracts.test_timeouts import expire

pytestmark = pytest.mark.usefixtures("views_are_whole")


def started(asked: Recompute | None = None, **changes: object) -> RecomputePlay:
    play = RecomputePlay()
    play.start(recompute_spec(asked, **changes))
    return play


def in_phase(phase: Phase, asked: Recompute | None = None) -> RecomputePlay:
    play = started(asked)
    play.to(phase)
    return play


def refusal(call: Callable[..., object], *given: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call(*given)
    return caught.value


def ended(play: Play, number: int = 1) -> Round:
    return play.ask(Round, "blocks:Round", TASK, str(number))


def work(play: Play) -> dict[str, int]:
    page = play.ask(ParticipationPage, "tasks:Miners", TASK, "100", "")
    return {entry.miner: entry.work for entry in page.participations}


# A whole task


@pytest.mark.parametrize("mode", [VerificationMode.RECOMPUTE, VerificationMode.ROBUST_AND_RECOMPUTE])
@pytest.mark.parametrize("exactness", [Exactness.PORTABLE, Exactness.PROFILE])
def test_a_task_goes_through_all_phases_and_pays_and_counts_steps(
    mode: VerificationMode, exactness: Exactness
) -> None:
    play = started(asked=recompute(exactness=exactness, pay_by_steps=True), mode=mode)
    play.steps = {play.miners[0]: 10}
    play.whole_round()
    play.whole_round()
    assert play.state().status == TaskStatus.COMPLETED
    first = ended(play)
    assert [entry.phase for entry in first.times] == Phase.values()[1:]
    assert first.outcome == Outcome.ACCEPTED
    assert work(play) == {miner: 20 if miner == play.miners[0] else 40 for miner in play.miners}
    play.check_tokens()


def test_pay_by_steps_pays_each_chunk_alike() -> None:
    play = started(asked=recompute(pay_by_steps=True))
    lazy = play.miners[0]
    play.steps = {lazy: 10}
    play.to(Phase.SELECT)
    shares = {one.miner: (one.weight, one.share) for one in play.selection().verdicts}
    assert shares == {miner: (1, 1 if miner == lazy else 2) for miner in play.miners}
    play.whole_round()
    proposer = ended(play).candidate.proposer
    paid = {miner: play.stake(miner).paid - 100 * (miner == proposer) for miner in play.miners}
    assert paid == {miner: 700 * (1 if miner == lazy else 2) // 7 for miner in play.miners}


# The start beacon and the teams


def test_the_start_beacon_is_of_what_seats_committed_to_with_their_keys() -> None:
    play = in_phase(Phase.COMMIT)
    expected = beacon_of({seat: start_secret(seat, 1) for seat in play.seats})
    now = play.round()
    assert now.start_beacon == expected == play.view().ceremonies[0].start_beacon
    assert list(now.teams) == teams(play.asked.recompute, expected, play.miners, {})
    play.to(Phase.BEACON)
    play.whole_round()
    play.to(Phase.COMMIT)
    assert play.round().start_beacon == beacon_of({seat: start_secret(seat, 2) for seat in play.seats})
    held = chunks_before(ended(play))
    assert list(play.round().teams) == teams(
        play.asked.recompute, play.round().start_beacon, play.miners, held
    )


def test_a_seat_that_confirms_late_has_no_part_in_the_start_beacon() -> None:
    play = started()
    for function in ("CommitKey", "RevealKey", "TestKey"):
        for seat in play.seats:
            play.key_step(function, seat, 1)
    for seat in (1, 3):
        play.key_step("ConfirmKey", seat, 1)
    expire(play)
    assert play.round().start_beacon == beacon_of({seat: start_secret(seat, 1) for seat in (1, 3)})


def confirming(play: RecomputePlay, **changes: object) -> KeyContribution:
    part = play.key_parts(2, 1, "key")["ConfirmKey"]
    for field, value in changes.items():
        setattr(part, field, value)
    return part


def test_a_key_is_confirmed_with_the_start_that_was_committed_to_and_complained_of_without() -> None:
    play = started()
    for function in ("CommitKey", "RevealKey", "TestKey"):
        for seat in play.seats:
            play.key_step(function, seat, 1)
    for start, code in (
        (start_secret(1, 1), Code.DIGEST_MISMATCH),
        (start_secret(2, 2), Code.DIGEST_MISMATCH),
        ("", Code.BAD_ARGUMENT),
        ("x" * 64, Code.BAD_ARGUMENT),
    ):
        assert refusal(play.contribute, "ConfirmKey", 2, confirming(play, start=start)).code == code
    play.complain("ConfirmKey", 2)
    for seat in (1, 3):
        play.key_step("ConfirmKey", seat, 1)
    assert play.view().ceremonies[0] == Ceremony(
        task_id=TASK,
        round=1,
        attempt=1,
        step=CeremonyStep.KEY_OPEN,
        seats=[1, 2, 3],
        deadline_ms=play.view().ceremonies[0].deadline_ms,
    )


@pytest.mark.parametrize("exactness", [Exactness.PORTABLE, Exactness.PROFILE])
@pytest.mark.parametrize("field", ["start_commitment", "profile"])
def test_a_key_names_a_start_and_a_profile_exactly_where_the_task_has_a_use_for_them(
    field: str, exactness: Exactness
) -> None:
    play = started(asked=recompute(exactness=exactness))
    wanted = field == "start_commitment" or exactness == Exactness.PROFILE
    for value in ("", "0" * 63, "A" * 64) if wanted else ("0" * 64,):
        part = play.key_parts(1, 1, "key")["CommitKey"]
        setattr(part, field, value)
        refused = refusal(play.contribute, "CommitKey", 1, part)
        assert (refused.code, field in refused.sentence) == (Code.BAD_ARGUMENT, True)


# What a robust task refuses


def test_a_robust_task_takes_nothing_of_it() -> None:
    play = Play()
    play.start()
    for field in ("start_commitment", "profile"):
        part = play.key_parts(1, 1, "key")["CommitKey"]
        setattr(part, field, "0" * 64)
        assert field in refusal(play.contribute, "CommitKey", 1, part).sentence
    for function in ("CommitKey", "RevealKey", "TestKey"):
        for seat in play.seats:
            play.key_step(function, seat, 1)
    part = play.key_parts(1, 1, "key")["ConfirmKey"]
    part.start = "0" * 64
    assert "start" in refusal(lambda: play.contribute("ConfirmKey", 1, part)).sentence
    for seat in play.seats:
        play.key_step("ConfirmKey", seat, 1)
    miner = play.miners[0]
    code = refusal(lambda: play.send("OwnerMSP/olivia", "blocks:Grant", TASK, "1", js(ref("keys")))).code
    assert code == Code.NOT_SUPPORTED
    assert refusal(lambda: play.send(miner, "tasks:ShowKey", TASK, "00" * 64)).code == Code.NOT_SUPPORTED
    assert not (play.round().start_beacon or play.round().teams)
    for field, value in (("trace_root", sha("r")), ("steps", 10), ("profile", sha("p"))):
        manifest = play.manifest(miner, **{field: value})
        assert robust_reveal(manifest.SerializeToString(), miner) == f"the manifest's {field} is"
    play.to(Phase.SELECT)
    for call in ("blocks:OpenTrace", "blocks:PostReplay"):
        who = miner if call == "blocks:OpenTrace" else play.seats[1]
        assert refusal(play.send, who, call, TASK, "1", js(ref("x"))).code == Code.WRONG_PHASE
    for reason in (Reason.NO_TRACE, Reason.WRONG_WORK, Reason.UNCONFIRMED, Reason.REPLICA):
        chosen = play.selection(dict.fromkeys(play.miners[1:], 1), reason)
        assert refusal(play.select, chosen).code == Code.BAD_ARGUMENT
    proven = play.selection()
    proven.verdicts[0].proof.item = 1
    assert "a proof stands with WRONG_WORK" in refusal(lambda: play.select(proven)).sentence
    assert refusal(lambda: play.accuse(1, 2, Fault.FALSE_REPLAY)).code == Code.BAD_ARGUMENT


def robust_reveal(given: bytes, miner: str) -> str:
    """What a robust task answers to this manifest, its first words."""
    play = Play()
    play.start()
    play.to(Phase.COMMIT)
    manifest = play.manifest(miner)
    manifest.ParseFromString(given)
    play.send(miner, "blocks:Commit", TASK, "1", canonical.digest(manifest))
    play.commit([other for other in play.miners if other != miner])
    play.advance()
    play.to(Phase.REVEAL)
    refused = refusal(lambda: play.send(miner, "blocks:Reveal", TASK, "1", js(manifest), sha("claim")))
    assert refused.code == Code.BAD_ARGUMENT
    return " ".join(refused.sentence.split()[:4])


# Manifests


@pytest.mark.parametrize(
    ("exactness", "changes", "says"),
    [
        (Exactness.PORTABLE, {"trace_root": "x"}, "trace_root"),
        (Exactness.PORTABLE, {"trace_root": ""}, "trace_root"),
        (Exactness.PORTABLE, {"steps": 0}, "steps is 0: 20"),
        (Exactness.PORTABLE, {"steps": 30}, "steps is 30: 20"),
        (Exactness.PORTABLE, {"profile": "0" * 64}, "profile"),
        (Exactness.PORTABLE, {"sample_class": 1}, "sample_class"),
        (Exactness.PROFILE, {"profile": ""}, "profile"),
        (Exactness.PROFILE, {"profile": "P" * 64}, "profile"),
    ],
)
def test_a_manifest_names_its_trace(exactness: Exactness, changes: dict[str, object], says: str) -> None:
    play = in_phase(Phase.COMMIT, asked=recompute(exactness=exactness))
    miner = play.miners[0]
    manifest = play.manifest(miner)
    for field, value in changes.items():
        setattr(manifest, field, value)
    play.send(miner, "blocks:Commit", TASK, "1", canonical.digest(manifest))
    play.commit([other for other in play.miners if other != miner])
    play.advance()
    play.to(Phase.REVEAL)
    refused = refusal(lambda: play.send(miner, "blocks:Reveal", TASK, "1", js(manifest), sha("claim")))
    assert (refused.code, says in refused.sentence) == (Code.BAD_ARGUMENT, True)


@pytest.mark.parametrize(
    ("steps", "says"), [(0, "steps is 0: a multiple of 10"), (15, "steps is 15"), (30, "up to 20")]
)
def test_where_pay_is_by_steps_a_training_has_those_of_its_chunks(steps: int, says: str) -> None:
    play = in_phase(Phase.COMMIT, asked=recompute(pay_by_steps=True))
    assert says in unrevealed(play, steps).sentence


@pytest.mark.parametrize("steps", [0, 10, 15, 30])
def test_nobody_is_paid_for_all_chunks_who_trains_on_some(steps: int) -> None:
    """All are paid alike: so whoever does a tenth of the work would have the pay of all of it."""
    play = in_phase(Phase.COMMIT)
    assert f"steps is {steps}: 20, since all are paid alike" in unrevealed(play, steps).sentence


def unrevealed(play: RecomputePlay, steps: int) -> Refusal:
    """What a miner is told that reveals a training of so many steps."""
    miner = play.miners[0]
    manifest = play.manifest(miner)
    manifest.steps = steps
    play.send(miner, "blocks:Commit", TASK, "1", canonical.digest(manifest))
    play.commit([other for other in play.miners if other != miner])
    play.advance()
    play.to(Phase.REVEAL)
    return refusal(lambda: play.send(miner, "blocks:Reveal", TASK, "1", js(manifest), sha("claim")))


# TRACE


def test_who_opens_no_trace_is_unpaid_loses_its_place_and_no_stake_and_is_not_sketched() -> None:
    play = RecomputePlay(miner_count=5)
    play.start(recompute_spec(rounds=3))
    silent, waiting = play.miners[0], play.miners[4]  # of one organisation, which has two places
    assert silent in play.round().miners
    assert waiting not in play.round().miners
    play.to(Phase.TRACE)
    play.trace([miner for miner in play.round().miners if miner != silent])
    assert refusal(play.advance).code == Code.NOT_DUE
    expire(play)
    assert (play.round().phase, list(play.round().absentees)) == (Phase.REPLAY, [silent])
    play.to(Phase.SELECT)
    sketched = play.view().authorisations[0]
    assert sketched.purpose == SKETCH_DECRYPTION
    assert len(sketched.updates) == 3
    assert ref(f"update {silent} 1") not in sketched.updates
    play.whole_round()
    verdict = next(one for one in ended(play).selection.verdicts if one.miner == silent)
    assert verdict.reason == Reason.NO_TRACE
    stake = play.stake(silent)
    assert (stake.amount, stake.slashed, stake.paid) == (100, 0, 0)
    assert (silent in play.round().miners, waiting in play.round().miners) == (False, True)


def test_with_too_few_traces_the_round_is_aborted_and_nobody_loses_its_place_at_once() -> None:
    play = RecomputePlay(miner_count=5)
    play.start(recompute_spec(rounds=3))
    first = list(play.round().miners)
    play.to(Phase.TRACE)
    play.trace(first[:2])
    expire(play)
    assert (ended(play).outcome, ended(play).reason) == (Outcome.ABORTED, "TOO_FEW_TRACES")
    assert list(ended(play).absentees) == first[2:]
    assert list(play.round().miners) == first
    assert not any(play.stake(miner).slashed for miner in play.miners)


def test_a_trace_is_opened_once_by_who_has_revealed_and_only_in_its_phase() -> None:
    play = in_phase(Phase.REVEAL)
    words = ("blocks:OpenTrace", TASK, "1", js(ref("opening")))
    withheld, *others = play.round().miners
    assert refusal(lambda: play.send(others[0], *words)).code == Code.WRONG_PHASE
    play.reveal(others)
    expire(play)
    assert refusal(lambda: play.send(withheld, *words)).code == Code.WRONG_ROLE
    assert refusal(lambda: play.send("M1MSP/stranger", *words)).code == Code.WRONG_ROLE
    assert refusal(lambda: play.send(others[0], *words[:-1], "{}")).code == Code.BAD_ARGUMENT
    play.trace(others[:1])
    assert refusal(lambda: play.trace(others[:1])).code == Code.ALREADY_POSTED
    play.trace(others[1:])
    play.advance()
    assert play.round().phase == Phase.REPLAY
    assert refusal(lambda: play.send(others[0], *words)).code == Code.WRONG_PHASE


# REPLAY


def test_a_seat_that_posts_no_report_has_missed_the_step_and_has_no_part_in_the_round() -> None:
    play = in_phase(Phase.REPLAY)
    play.replay([1])
    assert refusal(lambda: play.replay([1])).code == Code.ALREADY_POSTED
    play.replay([3])
    expire(play)
    now = play.round()
    assert (now.phase, list(now.seats)) == (Phase.SCREEN, [1, 3])
    assert [(one.seat, one.fault, one.step) for one in play.misconducts() if one.round == 1] == [
        (2, Fault.MISSED_STEP, "REPLAY")
    ]
    assert [one.replays for one in play.view().screenings] == [ref("report 1"), ref("report 3")]
    play.to(Phase.SELECT)
    assert refusal(lambda: play.replay([1])).code == Code.WRONG_PHASE


def test_a_seat_that_has_left_the_round_posts_no_report() -> None:
    play = in_phase(Phase.BEACON)
    play.beacon([1, 3])
    expire(play)
    play.to(Phase.REPLAY)
    assert refusal(lambda: play.replay([2])).code == Code.WRONG_ROLE


def test_too_few_reports_end_the_round() -> None:
    play = in_phase(Phase.REPLAY)
    play.replay([1])
    expire(play)
    assert (ended(play).outcome, ended(play).reason) == (Outcome.ABORTED, "TOO_FEW_VERIFIERS")


def test_t_accusations_of_a_false_report_cost_its_seat_the_round_and_a_slash_with_the_report_as_evidence() -> (
    None
):
    play = in_phase(Phase.SELECT)
    assert "by replaying" in refusal(lambda: play.accuse(1, 0, Fault.FALSE_REPLAY)).sentence
    play.accuse(1, 2, Fault.FALSE_REPLAY)
    assert list(play.round().seats) == [1, 2, 3]
    play.accuse(3, 2, Fault.FALSE_REPLAY)
    assert list(play.round().seats) == [1, 3]
    (fault,) = play.misconducts()
    assert (fault.fault, fault.slashed, list(fault.accusers)) == (Fault.FALSE_REPLAY, 50, [1, 3])
    assert list(fault.evidence) == [ref("report 2")]
    play.whole_round()
    assert ended(play).outcome == Outcome.ACCEPTED
    assert play.stake(play.seats[2]).paid == 0


def test_false_reports_are_accused_of_only_once_they_are_shown() -> None:
    play = in_phase(Phase.OPEN)
    assert refusal(lambda: play.accuse(1, 2, Fault.FALSE_REPLAY)).code == Code.BAD_ARGUMENT


def test_robust_tasks_write_what_they_always_wrote() -> None:
    """No field of replayed training is in any record of theirs."""
    play = Play()
    play.start(spec())
    play.whole_round()
    play.whole_round()
    fields = "trace_root start_beacon start_commitment teams opening replays proof profile sealing_key recompute grant steps"
    new = set(fields.split())
    for key, (value, _) in play.peer.state.items():
        known = {"sealing_key"} if "contribution" in key else set()
        assert not _names(json.loads(value)) & new - known, key


def _names(record: object) -> set[str]:
    """The names of fields in a record's JSON, however deep."""
    if isinstance(record, list):
        return {name for one in record for name in _names(one)}
    if isinstance(record, dict):
        return set(record) | {name for one in record.values() for name in _names(one)}
    return set()
