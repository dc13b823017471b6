"""The key ceremony: who is left out of it, how a failed attempt finds its author, and that it always ends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_chaincode.contracts.ceremony import StepClosing, close_step, under_way
from quorumlearn_proto.block_pb2 import (
    Blame,
    BlameVote,
    Ceremony,
    CeremonyStep,
    Complaint,
    Fault,
    KeyContribution,
    Outcome,
    Phase,
    Round,
)
from quorumlearn_proto.page_pb2 import ContributionPage
from quorumlearn_proto.protocol import CEREMONY

from tests.chaincode.contracts.market_actors import (
    SEALING_KEY,
    TASK,
    TIMEOUT_S,
    Play,
    ref,
    sha,
    spec,
)

pytestmark = pytest.mark.usefixtures("views_are_whole")

STEPS = ("CommitKey", "RevealKey", "TestKey", "ConfirmKey")
BAD_DEALING, UNFOUNDED = Fault.BAD_DEALING, Fault.UNFOUNDED_COMPLAINT
WITHHELD = Complaint(seat=1, fault=BAD_DEALING, artifact=ref("sealed"))


def withheld(seat: int, fault: int) -> Complaint:
    return Complaint(seat=seat, fault=fault, artifact=ref("sealed"))  # type: ignore[arg-type]


def started(rounds: int = 2) -> Play:
    play = Play()
    play.start(spec(rounds=rounds))
    return play


def expire(play: Play) -> None:
    play.wait(TIMEOUT_S)
    play.advance()
    play.check_tokens()


def ceremony(play: Play, index: int = 0) -> Ceremony:
    return play.view().ceremonies[index]


def where(play: Play) -> tuple[int, CeremonyStep, list[int]]:
    now = ceremony(play)
    return now.attempt, now.step, list(now.seats)


def faults(play: Play) -> list[tuple[int, int, Fault, str, int]]:
    """Attempt, seat, fault, step and slash of every misconduct."""
    return [(one.attempt, one.seat, one.fault, one.step, one.slashed) for one in play.misconducts()]


def open_attempt(play: Play, liar: int = 3, attempt: int = 1, seats: Sequence[int] = (1, 2, 3)) -> None:
    """An attempt in which `liar` confirms another key than the rest, up to KEY_OPEN."""
    for function in STEPS:
        for seat in seats:
            lie = "lie" if seat == liar else "key"
            play.key_step(function, seat, 1, attempt, lie)
    assert ceremony(play).step == CeremonyStep.KEY_OPEN


def to_blame(play: Play, attempt: int = 1, seats: Sequence[int] = (1, 2, 3)) -> None:
    open_attempt(play, seats[-1], attempt, seats)
    for seat in seats:
        play.key_step("OpenKey", seat, 1, attempt)
    assert ceremony(play).step == CeremonyStep.KEY_BLAME


def refusal(act: object, *arguments: object) -> Code:
    with pytest.raises(Refusal) as caught:
        act(*arguments)  # type: ignore[operator]
    return caught.value.code


# Who is missing


@pytest.mark.parametrize("missing_from", STEPS)
def test_a_seat_missing_from_a_step_is_recorded_and_left_out(missing_from: str) -> None:
    play = started()
    late = False
    for function in STEPS:
        late = late or function == missing_from
        for seat in (1, 3) if late else (1, 2, 3):
            play.key_step(function, seat, 1)
        if function == missing_from:
            expire(play)
    assert play.round().phase == Phase.COMMIT
    assert list(play.round().seats) == [1, 3]
    assert list(ceremony(play, 1).seats) == [1, 2, 3]
    step = "KEY_" + missing_from.removesuffix("Key").upper()
    assert faults(play) == [(1, 2, Fault.MISSED_STEP, step, 0)]


def test_who_is_missing_from_an_attempt_is_in_no_later_one() -> None:
    play = started()
    for seat in (1, 3):
        play.key_step("CommitKey", seat, 1)
    expire(play)
    for function in STEPS[1:3]:
        for seat in (1, 3):
            play.key_step(function, seat, 1)
    play.complain("ConfirmKey", 1)
    play.key_step("ConfirmKey", 3, 1)
    for seat in (1, 3):
        play.key_step("OpenKey", seat, 1)
    for seat in (1, 3):
        play.blame(seat, {})
    assert where(play) == (2, CeremonyStep.KEY_COMMIT, [1, 3])


@pytest.mark.parametrize("step", ["OpenKey", "BlameKey"])
def test_who_does_not_open_or_blame_is_left_out_of_the_next_attempt(step: str) -> None:
    play = started()
    open_attempt(play)
    for seat in (1, 3):
        play.key_step("OpenKey", seat, 1)
    if step == "BlameKey":
        play.key_step("OpenKey", 2, 1)
    else:
        expire(play)
    for seat in (1, 3):
        play.blame(seat, {})
    if step == "BlameKey":
        expire(play)
    assert where(play) == (2, CeremonyStep.KEY_COMMIT, [1, 3])
    assert faults(play) == [(1, 2, Fault.MISSED_STEP, "KEY_" + step[:-3].upper(), 0)]


def test_fewer_than_t_seats_fail_the_ceremony_and_abort_its_round() -> None:
    play = started()
    play.key_step("CommitKey", 1, 1)
    expire(play)
    ended = play.ask(Round, "blocks:Round", TASK, "1")
    assert (ended.outcome, ended.reason) == (Outcome.ABORTED, "KEY_FAILED")
    assert [seat for _, seat, _, _, _ in faults(play)] == [2, 3]
    view = play.view()
    assert (view.round.number, view.round.phase) == (2, Phase.KEY)
    assert where(play) == (1, CeremonyStep.KEY_COMMIT, [1, 2, 3])


# A failed attempt


@pytest.mark.parametrize("function", ["TestKey", "ConfirmKey"])
def test_a_complaint_opens_the_attempt_when_its_step_closes(function: str) -> None:
    play = started()
    for step in STEPS[: STEPS.index(function)]:
        for seat in play.seats:
            play.key_step(step, seat, 1)
    play.complain(function, 2)
    assert refusal(play.complain, function, 2) == Code.ALREADY_POSTED
    assert refusal(play.key_step, function, 2, 1) == Code.ALREADY_POSTED
    play.key_step(function, 1, 1)
    assert ceremony(play).step != CeremonyStep.KEY_OPEN
    play.key_step(function, 3, 1)
    assert where(play) == (1, CeremonyStep.KEY_OPEN, [1, 2, 3])
    assert [part.complaint for part in play.view().contributions] == ["", "no share", ""]


def test_a_complaint_keeps_whose_artifact_was_missing() -> None:
    play = started()
    for step in ("CommitKey", "RevealKey"):
        for seat in play.seats:
            play.key_step(step, seat, 1)
    play.contribute("TestKey", 2, KeyContribution(complaint="no share", withheld=WITHHELD), 1)
    assert play.view().contributions[1].withheld == WITHHELD


def test_who_is_blamed_by_t_equal_votes_is_slashed_and_left_out() -> None:
    play = started()
    to_blame(play)
    play.blame(1, {3: BAD_DEALING}, detail="the share of seat 1")
    play.blame(3, {1: Fault.BAD_SEALING_KEY})
    assert ceremony(play).step == CeremonyStep.KEY_BLAME
    play.blame(2, {3: BAD_DEALING}, detail="said otherwise")
    assert where(play) == (2, CeremonyStep.KEY_COMMIT, [1, 2])
    found = play.misconducts()[0]
    assert (found.attempt, found.seat, found.verifier) == (1, 3, play.seats[3])
    assert (found.fault, found.step, found.slashed) == (BAD_DEALING, "KEY_BLAME", 50)
    assert (list(found.accusers), found.detail) == ([1, 2], "the share of seat 1")
    posted = [ref("share 3 1"), ref("sealed 3 1"), ref("partial 3 1"), ref("lie 1")]
    assert list(found.evidence) == posted
    assert found.at_ms == play.peer.clock_ms
    assert list(play.view().misconducts) == [found]
    assert play.burnt() == 50
    play.ceremony(1, [1, 2], attempt=2)
    assert list(play.round().seats) == [1, 2]
    assert list(ceremony(play, 1).seats) == [1, 2, 3]


def test_what_was_said_in_failed_attempts_stays_to_be_judged_again() -> None:
    play = started()
    to_blame(play)
    for seat in play.seats:
        play.blame(seat, {})
    play.key_step("CommitKey", 1, 1, 2)
    first = play.ask(ContributionPage, "blocks:KeyContributions", TASK, "1", "1", "")
    rest: list[KeyContribution] = []
    bookmark = first.bookmark
    while bookmark:
        page = play.ask(ContributionPage, "blocks:KeyContributions", TASK, "1", "1", bookmark)
        rest, bookmark = [*rest, *page.contributions], page.bookmark
    said = [*first.contributions, *rest]
    assert [(part.attempt, part.seat) for part in said] == [(1, 1), (1, 2), (1, 3), (2, 1)]
    assert all(part.opened_sealing_key and part.HasField("blame") for part in said[:3])


def test_who_is_blamed_and_says_nothing_has_two_faults() -> None:
    play = started()
    to_blame(play)
    for seat in (1, 2):
        play.blame(seat, {3: BAD_DEALING})
    expire(play)
    assert where(play) == (2, CeremonyStep.KEY_COMMIT, [1, 2])
    assert faults(play) == [
        (1, 3, Fault.MISSED_STEP, "KEY_BLAME", 0),
        (1, 3, BAD_DEALING, "KEY_BLAME", 50),
    ]


def test_who_has_left_the_attempt_may_still_be_blamed_for_what_it_dealt() -> None:
    play = started()
    for function in STEPS[:2]:
        for seat in play.seats:
            play.key_step(function, seat, 1)
    for seat in (1, 2):
        play.complain("TestKey", seat)
    expire(play)
    for seat in (1, 2):
        play.key_step("OpenKey", seat, 1)
    for seat in (1, 2):
        play.blame(seat, {3: BAD_DEALING})
    assert where(play) == (2, CeremonyStep.KEY_COMMIT, [1, 2])
    assert [(seat, fault) for _, seat, fault, _, _ in faults(play)] == [
        (3, Fault.MISSED_STEP),
        (3, BAD_DEALING),
    ]


def complained() -> Play:
    """An attempt that seat 2 complained of in KEY_TEST, laid open."""
    play = started()
    for function in STEPS[:2]:
        for seat in play.seats:
            play.key_step(function, seat, 1)
    play.complain("TestKey", 2)
    for seat in (1, 3):
        play.key_step("TestKey", seat, 1)
    for seat in play.seats:
        play.key_step("OpenKey", seat, 1)
    return play


def test_an_unfounded_complaint_costs_the_attempt_but_no_stake() -> None:
    play = complained()
    assert refusal(play.blame, 1, {3: UNFOUNDED}) == Code.BAD_ARGUMENT
    for seat in play.seats:
        play.blame(seat, {2: UNFOUNDED})
    assert where(play) == (2, CeremonyStep.KEY_COMMIT, [1, 3])
    assert faults(play) == [(1, 2, UNFOUNDED, "KEY_BLAME", 0)]
    assert play.stake(play.seats[2]).amount == 200


def test_without_equal_votes_who_voted_tries_again_v_plus_1_times() -> None:
    play = started()
    for attempt in (1, 2, 3, 4):
        assert where(play) == (attempt, CeremonyStep.KEY_COMMIT, [1, 2, 3])
        to_blame(play, attempt)
        play.blame(1, {2: BAD_DEALING}, attempt=attempt)
        play.blame(2, {3: BAD_DEALING}, attempt=attempt)
        play.blame(3, {}, attempt=attempt)
    assert play.ask(Round, "blocks:Round", TASK, "1").reason == "KEY_FAILED"
    assert not play.misconducts()


def test_nobodys_fault_is_a_vote_too() -> None:
    play = started()
    to_blame(play)
    for seat in play.seats:
        play.blame(seat, {})
    assert where(play) == (2, CeremonyStep.KEY_COMMIT, [1, 2, 3])
    assert not play.misconducts()


def test_blames_that_leave_fewer_than_t_fail_the_ceremony() -> None:
    play = started()
    to_blame(play)
    for seat in play.seats:
        play.blame(seat, {2: BAD_DEALING, 3: Fault.FALSE_CONFIRMATION})
    assert play.ask(Round, "blocks:Round", TASK, "1").reason == "KEY_FAILED"
    assert [seat for _, seat, _, _, _ in faults(play)] == [2, 3]


def test_who_is_blamed_takes_part_in_the_next_round_while_its_stake_covers_a_slash() -> None:
    play = started(rounds=9)
    for number in (1, 2, 3, 4):
        assert list(ceremony(play).seats) == [1, 2, 3]
        for function in STEPS:
            for seat in play.seats:
                play.key_step(function, seat, number, 1, "lie" if seat == 3 else "key")
        for seat in play.seats:
            play.key_step("OpenKey", seat, number)
        for seat in play.seats:
            play.blame(seat, {3: BAD_DEALING}, number)
        play.ceremony(number, [1, 2], attempt=2)
        assert 3 not in play.round().seats
        play.whole_round()
    assert list(ceremony(play).seats) == [1, 2]
    assert play.stake(play.seats[3]).amount == 0


@pytest.mark.parametrize(
    ("function", "part"),
    [
        ("TestKey", KeyContribution()),
        ("TestKey", KeyContribution(test_partial=ref("p"), complaint="and a complaint")),
        ("TestKey", KeyContribution(complaint="x" * 201)),
        ("TestKey", KeyContribution(complaint="a\nb")),
        ("TestKey", KeyContribution(confirmed_key=ref("k"))),
        ("TestKey", KeyContribution(test_partial=ref("p"), withheld=WITHHELD)),
        ("TestKey", KeyContribution(withheld=WITHHELD)),
        ("TestKey", KeyContribution(complaint="why", withheld=Complaint(seat=1, fault=BAD_DEALING))),
        ("TestKey", KeyContribution(complaint="why", withheld=withheld(0, BAD_DEALING))),
        ("TestKey", KeyContribution(complaint="why", withheld=withheld(17, BAD_DEALING))),
        ("ConfirmKey", KeyContribution(complaint="why", withheld=withheld(1, Fault.FALSE_CONFIRMATION))),
        ("ConfirmKey", KeyContribution(complaint="why", withheld=withheld(1, 99))),
        ("OpenKey", KeyContribution(opened_sealing_key=SEALING_KEY, withheld=WITHHELD)),
        ("ConfirmKey", KeyContribution(confirmed_key=ref("k"), complaint="and a complaint")),
        ("ConfirmKey", KeyContribution()),
        ("OpenKey", KeyContribution()),
        ("OpenKey", KeyContribution(opened_sealing_key=b"x" * 31)),
        ("OpenKey", KeyContribution(opened_sealing_key=b"x" * 4097)),
        ("OpenKey", KeyContribution(opened_sealing_key=SEALING_KEY, sealing_key=SEALING_KEY)),
        ("BlameKey", KeyContribution()),
        ("BlameKey", KeyContribution(blame=BlameVote(blames=[Blame(seat=n) for n in range(1, 18)]))),
        ("BlameKey", KeyContribution(blame=BlameVote(), complaint="and a complaint")),
    ],
)
def test_a_part_that_is_not_its_steps_is_refused_anywhere(function: str, part: KeyContribution) -> None:
    assert refusal(started().contribute, function, 1, part) == Code.BAD_ARGUMENT


@pytest.mark.parametrize(
    "blames",
    [
        [Blame(seat=4, fault=BAD_DEALING)],
        [Blame(seat=0, fault=BAD_DEALING)],
        [Blame(seat=3, fault=BAD_DEALING), Blame(seat=3, fault=Fault.BAD_PUBLIC_SHARE)],
        [Blame(seat=3, fault=Fault.MISSED_STEP)],
        [Blame(seat=3, fault=Fault.BAD_PARTIAL)],
        [Blame(seat=3)],
        [Blame(seat=3, fault=77)],  # type: ignore[arg-type]
        [Blame(seat=3, fault=UNFOUNDED)],
        [Blame(seat=3, fault=BAD_DEALING, detail="x" * 201)],
    ],
)
def test_a_blame_that_contradicts_the_ledger_is_refused(blames: list[Blame]) -> None:
    play = started()
    to_blame(play)
    part = KeyContribution(blame=BlameVote(blames=blames))
    assert refusal(play.contribute, "BlameKey", 1, part) == Code.BAD_ARGUMENT


def test_nobody_is_blamed_for_what_it_has_not_posted() -> None:
    play = complained()
    for fault in (Fault.BAD_TEST_PARTIAL, Fault.FALSE_CONFIRMATION):
        assert refusal(play.blame, 1, {2: fault}) == Code.BAD_ARGUMENT
    play.blame(1, {3: Fault.BAD_TEST_PARTIAL, 2: UNFOUNDED})


def test_who_has_left_a_ceremony_takes_no_more_steps_of_it() -> None:
    play = started()
    for seat in (1, 3):
        play.key_step("CommitKey", seat, 1)
    expire(play)
    assert refusal(play.key_step, "RevealKey", 2, 1) == Code.WRONG_ROLE


def test_steps_are_taken_once_and_in_their_order() -> None:
    play = started()
    assert refusal(play.key_step, "OpenKey", 1, 1) == Code.WRONG_PHASE
    assert refusal(play.blame, 1, {}) == Code.WRONG_PHASE
    to_blame(play)
    assert refusal(play.key_step, "OpenKey", 1, 1) == Code.WRONG_PHASE
    play.blame(1, {1: BAD_DEALING})
    assert refusal(play.blame, 1, {}) == Code.ALREADY_POSTED


def test_a_ready_key_is_never_opened() -> None:
    play = started()
    play.to(Phase.COMMIT)
    assert refusal(play.key_step, "OpenKey", 1, 1) == Code.WRONG_PHASE
    play.ceremony(2)
    assert ceremony(play, 1).step == CeremonyStep.KEY_READY
    assert refusal(play.key_step, "OpenKey", 1, 2) == Code.WRONG_PHASE


# What holds for any ceremony


PARTS = {
    CeremonyStep.KEY_COMMIT: lambda draw: KeyContribution(public_share=ref("share")),
    CeremonyStep.KEY_REVEAL: lambda draw: KeyContribution(sealed_shares=ref("sealed")),
    CeremonyStep.KEY_TEST: lambda draw: (
        KeyContribution(complaint="no")
        if draw(st.integers(0, 9)) == 0
        else KeyContribution(test_partial=ref("p"))
    ),
    CeremonyStep.KEY_CONFIRM: lambda draw: (
        KeyContribution(complaint="no")
        if draw(st.integers(0, 4)) == 0
        else KeyContribution(confirmed_key=ref(draw(st.sampled_from(["a", "a", "a", "b"]))))
    ),
    CeremonyStep.KEY_OPEN: lambda draw: KeyContribution(opened_sealing_key=SEALING_KEY),
    CeremonyStep.KEY_BLAME: lambda draw: KeyContribution(
        blame=BlameVote(
            blames=[
                Blame(seat=seat, fault=BAD_DEALING, detail=sha(str(draw(st.integers(0, 3)))))
                for seat in sorted(draw(st.sets(st.sampled_from([1, 2]), max_size=1)))
            ]
        )
    ),
}


@settings(deadline=None)
@given(st.integers(1, 5), st.data())
def test_any_ceremony_ends_and_seats_only_leave_it(v: int, data: st.DataObject) -> None:
    t = max(v // 2 + 1, min(v, 2))
    now = Ceremony(task_id=TASK, round=1, attempt=1, step=CeremonyStep.KEY_COMMIT, seats=range(1, v + 1))
    parts: dict[int, KeyContribution] = {}
    for _ in range(6 * (v + 1) + 1):
        absent = data.draw(st.sampled_from([0, 0, 0, 0, 0, *range(1, v + 1)]))
        for seat in now.seats:
            if seat != absent:
                parts.setdefault(seat, KeyContribution()).MergeFrom(PARTS[now.step](data.draw))
        early = close_step(now, parts, v, t, expired=False)
        closing = close_step(now, parts, v, t, expired=True)
        assert isinstance(closing, StepClosing)
        assert early in (None, closing)
        after = closing.ceremony
        assert after.step in CEREMONY[now.step].leads_to
        out = {*closing.missed, *(blame.seat for blame in closing.blames)}
        assert set(after.seats) == set(now.seats) - out
        assert not set(closing.missed) & set(closing.accusers)
        assert not closing.blames or len(closing.accusers) >= t
        assert after.attempt - now.attempt in (0, 1)
        if after.attempt > now.attempt:
            assert now.step == CeremonyStep.KEY_BLAME
            parts = {}
        if not under_way(after):
            break
        assert len(after.seats) >= t
        now = after
    assert after.attempt <= v + 1
    assert after.step in (CeremonyStep.KEY_READY, CeremonyStep.KEY_FAILED)
    assert (after.step == CeremonyStep.KEY_READY) == after.HasField("collective_key")
