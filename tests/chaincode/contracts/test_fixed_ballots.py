"""A ballot is fixed before any is shown: nobody sees another's while it can still vote."""

from __future__ import annotations

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto.block_pb2 import BallotReason, Fault, Outcome, Phase, Round, TaskView

from tests.chaincode.contracts.ledger_stub import identity
from tests.chaincode.contracts.market_actors import TASK, TIMEOUT_S, Play, js

pytestmark = pytest.mark.usefixtures("views_are_whole")

GOOD, FELL = BallotReason.GOOD, BallotReason.SCORE_FELL


def voting() -> Play:
    play = Play()
    play.start()
    play.to(Phase.VALIDATE)
    return play


def code(act: object, *arguments: object, **changes: object) -> Code:
    with pytest.raises(Refusal) as caught:
        act(*arguments, **changes)  # type: ignore[operator]
    return caught.value.code


def first_round(play: Play) -> Round:
    return play.ask(Round, "blocks:Round", TASK, "1")


def what_is_seen(view: TaskView) -> list[tuple[int, str, int]]:
    return [(one.reason, one.model, one.total) for one in view.ballots]


def test_nothing_of_a_ballot_is_seen_until_all_seats_have_fixed_theirs() -> None:
    play = voting()
    play.vote({1: GOOD, 2: FELL})
    assert what_is_seen(play.view()) == [(0, "", 0), (0, "", 0)]
    assert code(play.show, 1) == Code.NOT_DUE
    play.cast(3, play.ballot(GOOD))
    play.show(2)
    assert first_round(play).outcome == Outcome.ACCEPTED
    assert [one.reason for one in play.block(1).ballots] == [GOOD, FELL, GOOD]
    assert all(play.stake(seat).paid == 66 for seat in play.seats.values()), "also who found otherwise"


def test_a_copied_digest_shows_nothing() -> None:
    """Seat 3 fixes what seat 1 has fixed, and has only seat 1's ballot to show for it."""
    play = voting()
    play.vote({1: GOOD, 2: GOOD})
    seen = play.view().ballots[0].fixed
    play.send(play.seats[3], "blocks:VoteBlock", TASK, "1", js(seen))
    play.ballots[3] = play.ballots[1]
    play.show(1, of=[1, 2])
    play.show(3, of=[3])
    assert not play.view().ballots[2].reason, "it is seat 1's ballot"
    play.ballots[3].seat = 3
    assert code(play.show, 3, of=[3]) == Code.DIGEST_MISMATCH
    play.wait(TIMEOUT_S)
    play.advance()
    assert [(one.seat, one.fault) for one in play.misconducts() if one.step == "VALIDATE"] == [
        (3, Fault.MISSED_STEP)
    ]
    assert first_round(play).outcome == Outcome.ACCEPTED


def test_with_half_of_the_time_over_ballots_are_shown_and_none_is_fixed_any_more() -> None:
    play = voting()
    play.vote({1: GOOD, 2: GOOD})
    play.wait(TIMEOUT_S / 2 - 0.001)
    assert code(play.show, 1) == Code.NOT_DUE
    play.wait(0.001)
    play.show(1, of=[1])
    assert code(play.cast, 3, play.ballot(GOOD)) == Code.WINDOW_CLOSED
    play.show(2)
    assert play.round().phase == Phase.VALIDATE, "seat 3 is waited for until the deadline"
    play.wait(TIMEOUT_S / 2)
    play.advance()
    assert first_round(play).outcome == Outcome.ACCEPTED


def test_a_late_seat_may_vote_as_long_as_nobody_has_shown() -> None:
    play = voting()
    play.vote({1: GOOD, 2: GOOD})
    play.wait(TIMEOUT_S - 1)
    play.vote({3: GOOD})
    assert first_round(play).outcome == Outcome.ACCEPTED


def test_a_ballot_that_is_no_ballot_holds_up_no_other() -> None:
    play = voting()
    play.vote({1: GOOD, 2: GOOD})
    lying = play.ballot(GOOD)
    lying.score = 10_000
    play.cast(3, lying)
    assert code(play.show, 1) == Code.BAD_ARGUMENT
    play.show(1, of=[1, 2])
    play.wait(TIMEOUT_S)
    play.advance()
    assert first_round(play).outcome == Outcome.ACCEPTED
    assert play.stake(play.seats[3]).paid == 0


def test_seats_fix_their_ballots_in_one_block() -> None:
    """None reads another's, so none has to try again."""
    play = voting()
    words = [("blocks:VoteBlock", TASK, "1", js(play.fixed(seat, play.ballot(GOOD)))) for seat in play.seats]
    together = [play.peer.endorse(identity(play.seats[seat]), *one) for seat, one in enumerate(words, 1)]
    for simulation in together:
        play.peer.commit(simulation)
    play.show(3)
    assert first_round(play).outcome == Outcome.ACCEPTED


def test_the_next_candidate_has_ballots_of_its_own() -> None:
    play = voting()
    play.vote(dict.fromkeys(play.seats, BallotReason.WRONG_MODEL))
    assert play.round().phase == Phase.PROPOSE
    play.propose()
    assert not play.round().ballots_shown
    assert not play.view().ballots
    play.vote()
    assert first_round(play).outcome == Outcome.ACCEPTED


def test_what_is_shown_twice_counts_once_and_nothing_is_no_ballot() -> None:
    play = voting()
    for seat in play.seats:
        play.cast(seat, play.ballot(GOOD))
    assert code(play.send, play.seats[1], "blocks:ShowBallots", TASK, "1", "{}") == Code.BAD_ARGUMENT
    play.show(1, of=[1])
    before = dict(play.peer.state)
    play.show(2, of=[1])
    assert {key: value for key, value in play.peer.state.items() if key.startswith("\x00ballot")} == {
        key: value for key, value in before.items() if key.startswith("\x00ballot")
    }
    play.show(2)
    assert first_round(play).outcome == Outcome.ACCEPTED
