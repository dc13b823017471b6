"""A seat makes its step of the next round's ceremony when it is open, sends it with its next step in the round, and waits for neither."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from quorumlearn.gateway import CommitStatusError
from quorumlearn.nodes.committee.sending import MOST_CARRIER_WAITS
from quorumlearn.nodes.feed import no_news
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import NO_OPTIONS, CarriedKey, Refused, StepOptions
from quorumlearn.nodes.steps import Step
from quorumlearn.nodes.worker import OF_ONE_STEP
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.common_pb2 import ArtifactRef

from tests.client.nodes.seats import SEATS, keys_of, verifier_in_seat, view_of_seats

KEY_SECONDS = 60
ELSEWHERE = ArtifactRef(digest="ab" * 32, size=7)


class Recorder:
    """A market that keeps what it is sent, and refuses what goes along if told to. `meanwhile` is done while a beacon is under way."""

    def __init__(self, refusing: str = "") -> None:
        self.beacons: list[StepOptions] = []
        self.alone: list[str] = []
        self.refusing = refusing
        self.meanwhile: Callable[[], None] = lambda: None

    def reveal_beacon(self, task: str, number: int, secret: bytes, options: StepOptions = NO_OPTIONS) -> None:
        self.beacons.append(options)
        self.meanwhile()
        if self.refusing and (options.key is not None or self.refusing == "DIGEST_MISMATCH"):
            raise Refused("blocks:RevealBeacon", self.refusing, "no")

    def key_step(
        self, function: str, ceremony: tuple[str, int, int], given: b.KeyContribution, pending: bool
    ) -> None:
        self.alone.append(function)


def view_in(phase: b.Phase, step: b.CeremonyStep = b.KEY_COMMIT) -> b.TaskView:
    """Three seats in round 1, and the ceremony of round 2."""
    view = view_of_seats(phase)
    view.task.spec.timeouts.key = KEY_SECONDS
    view.ceremonies.add(round=2, attempt=1, step=step, seats=SEATS, deadline_ms=1000 * KEY_SECONDS)
    for seat in SEATS if step != b.KEY_COMMIT else ():
        view.contributions.add(round=2, attempt=1, seat=seat, public_share=ELSEWHERE)
        if step != b.KEY_REVEAL:
            view.contributions[-1].sealed_shares.CopyFrom(ELSEWHERE)
    return view


class Seat:
    """Seat 2, so many seconds after the ceremony's step has begun."""

    def __init__(self, folder: Path, market: Recorder, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.rounds = verifier_in_seat(2, folder, market, clock=lambda: self.seconds)
        self.keys = keys_of(self.rounds)

    def offer(self, step: Step, given: b.KeyContribution) -> float | None:
        """What the thread of the keys does that sees the ceremony of round 2 at this step."""
        view = view_in(b.BEACON, getattr(b, step.name))
        return self.rounds.sender.offer(view, no_news, step, view.ceremonies[1], lambda: given)


def test_a_key_step_is_made_while_miners_train_and_sent_with_the_beacon(tmp_path: Path) -> None:
    market = Recorder()
    seat = Seat(tmp_path, market)
    assert not seat.keys.act(view_in(b.COMMIT))
    made = Journal(tmp_path / "seat-2").get("round-2/attempt-1/public")
    assert made is not None
    assert (market.beacons, market.alone) == ([], [])
    assert seat.rounds.act(view_in(b.BEACON))
    (options,) = market.beacons
    assert options.key is not None
    assert (options.key.function, options.key.attempt, market.alone) == ("CommitKey", 1, [])
    assert options.key.contribution.public_share.digest == hashlib.sha256(made).hexdigest()


def test_a_key_step_goes_alone_where_half_of_its_time_is_over(tmp_path: Path) -> None:
    market = Recorder()
    seat = Seat(tmp_path, market, KEY_SECONDS / 2)
    assert seat.keys.act(view_in(b.COMMIT))
    assert seat.rounds.act(view_in(b.BEACON))
    assert [one.key for one in market.beacons] == [None]
    assert market.alone == ["CommitKey"]


def test_a_key_step_that_waits_is_looked_at_again_when_half_of_its_time_is_over(tmp_path: Path) -> None:
    market = Recorder()
    seat = Seat(tmp_path, market)
    assert not seat.keys.act(view_in(b.SCREEN))
    assert seat.keys.next_look == KEY_SECONDS / 2
    seat.seconds = seat.keys.next_look
    assert seat.keys.act(view_in(b.SCREEN))
    assert market.alone == ["CommitKey"]


def test_the_rounds_step_takes_what_was_made_while_it_was_computed(tmp_path: Path) -> None:
    """By its own view, which is as old as the computation is long, the ceremony was a step behind."""
    market = Recorder()
    seat = Seat(tmp_path, market)
    given = b.KeyContribution(sealed_shares=ELSEWHERE)
    assert seat.offer(Step.KEY_REVEAL, given) == KEY_SECONDS / 2
    assert seat.rounds.act(view_in(b.BEACON))
    assert [one.key for one in market.beacons] == [CarriedKey("RevealKey", 1, given)]


def test_a_key_step_that_is_done_is_not_sent_again(tmp_path: Path) -> None:
    market = Recorder()
    seat = Seat(tmp_path, market)
    seat.offer(Step.KEY_REVEAL, b.KeyContribution(sealed_shares=ELSEWHERE))
    view = view_in(b.BEACON, b.KEY_TEST)
    view.ceremonies[1].step = b.KEY_READY
    assert seat.rounds.act(view)
    assert [one.key for one in market.beacons] == [None]


def test_the_rounds_step_waits_for_a_key_step_that_is_being_made(tmp_path: Path) -> None:
    market = Recorder()
    seat = Seat(tmp_path, market)
    view = view_in(b.BEACON)
    view.task.spec.timeouts.beacon = 600
    carrying = threading.Thread(target=seat.rounds.act, args=(view,))
    carrying.start()
    assert not seat.keys.act(view)
    carrying.join(30)
    assert [one.key is not None for one in market.beacons] == [True]


def test_a_key_step_that_is_on_its_way_does_not_go_alone_before_its_grace_is_over(tmp_path: Path) -> None:
    market = Recorder()
    seat = Seat(tmp_path, market)
    view = view_in(b.BEACON)
    assert not seat.keys.act(view)

    def late() -> None:
        seat.seconds = KEY_SECONDS / 2
        assert not seat.keys.act(view)
        assert market.alone == []
        assert seat.keys.next_look == KEY_SECONDS * 2 / 3
        seat.seconds = seat.keys.next_look
        assert seat.keys.act(view)

    market.meanwhile = late
    assert seat.rounds.act(view)
    assert [one.key is not None for one in market.beacons] == [True]
    assert market.alone == ["CommitKey"]


def test_a_key_step_that_is_on_its_way_is_not_carried_twice(tmp_path: Path) -> None:
    """The thread of the keys offers it again, by a view that does not show it yet, and so does the next step of the round."""
    market = Recorder()
    seat = Seat(tmp_path, market)
    view = view_in(b.BEACON)
    assert not seat.keys.act(view)

    def offered_again() -> None:
        assert not seat.keys.act(view)

    market.meanwhile = offered_again
    assert seat.rounds.act(view)
    assert seat.rounds.act(view)
    assert [one.key is not None for one in market.beacons] == [True, False]


def test_a_key_step_whose_transaction_failed_is_carried_by_the_next(tmp_path: Path) -> None:
    market = Recorder()
    seat = Seat(tmp_path, market)
    view = view_in(b.BEACON)

    def failing() -> None:
        raise CommitStatusError("nobody knows what became of it")

    assert not seat.keys.act(view)
    market.meanwhile = failing
    with pytest.raises(CommitStatusError):
        seat.rounds.act(view)
    assert not seat.keys.act(view)
    market.meanwhile = lambda: None
    assert seat.rounds.act(view)
    first, second = market.beacons
    assert first == second
    assert second.key is not None


def test_the_rounds_step_is_sent_again_without_what_the_ledger_refuses(tmp_path: Path) -> None:
    market = Recorder("WRONG_PHASE")
    seat = Seat(tmp_path, market)
    seat.keys.act(view_in(b.BEACON))
    assert seat.rounds.act(view_in(b.BEACON))
    first, second = market.beacons
    assert first.key is not None
    assert second == StepOptions(first.pending)


def test_a_rounds_step_that_is_refused_itself_is_refused(tmp_path: Path) -> None:
    market = Recorder("DIGEST_MISMATCH")
    seat = Seat(tmp_path, market)
    with pytest.raises(Refused):
        seat.rounds.act(view_in(b.BEACON))
    assert len(market.beacons) == 1
    seat.keys.act(view_in(b.BEACON))
    with pytest.raises(Refused):
        seat.rounds.act(view_in(b.BEACON))
    assert len(market.beacons) == 3


@pytest.mark.parametrize("step", [b.KEY_REVEAL, b.KEY_TEST])
def test_a_key_step_that_cannot_be_made_holds_up_nothing(tmp_path: Path, step: b.CeremonyStep) -> None:
    """Its secrets are lost, or the others' artifacts are not there yet."""
    market = Recorder()
    seat = Seat(tmp_path, market)
    view = view_in(b.BEACON, step)
    view.task.spec.timeouts.beacon = 6000
    with pytest.raises(tuple(OF_ONE_STEP)):
        seat.keys.act(view)
    acting = threading.Thread(target=seat.rounds.act, args=(view,), daemon=True)
    acting.start()
    acting.join(MOST_CARRIER_WAITS / 2)
    assert [one.key for one in market.beacons] == [None]
    assert market.alone == []
