"""Whom a seat accuses next: the first that is found and not said, in this round, by this seat."""

from __future__ import annotations

from quorumlearn.nodes.committee.attempt import Finding
from quorumlearn.nodes.committee.partials import Verified
from quorumlearn.nodes.committee.verifier import unsaid
from quorumlearn_proto import block_pb2 as b

from tests.client.nodes.seats import SEATS, view_of_seats


def findings(*seats: int) -> tuple[Finding, ...]:
    return tuple(Finding(seat, b.BAD_PARTIAL, "it does not open") for seat in seats)


def test_each_seat_of_the_round_is_accused_once_and_by_each_accuser() -> None:
    view, found = view_of_seats(b.VALIDATE), Verified(None, findings(2, 3))
    assert unsaid(view, 1, found, b.BAD_PARTIAL) == found.false[0]
    view.accusations.add(accuser=1, seat=2, fault=b.BAD_PARTIAL)
    assert unsaid(view, 1, found, b.BAD_PARTIAL) == found.false[1]
    view.accusations.add(accuser=2, seat=3, fault=b.BAD_PARTIAL)
    assert unsaid(view, 1, found, b.BAD_PARTIAL) == found.false[1]
    view.accusations.add(accuser=1, seat=3, fault=b.BAD_SKETCH_SHARES)
    assert unsaid(view, 1, found, b.BAD_PARTIAL) == found.false[1]
    view.accusations.add(accuser=1, seat=3, fault=b.BAD_PARTIAL)
    assert unsaid(view, 1, found, b.BAD_PARTIAL) is None


def test_no_seat_accuses_itself_or_one_that_has_been_put_out() -> None:
    view, found = view_of_seats(b.VALIDATE), Verified(None, findings(*SEATS))
    view.round.seats.remove(2)
    assert unsaid(view, 1, found, b.BAD_PARTIAL) == found.false[2]
    assert unsaid(view, 3, found, b.BAD_PARTIAL) == found.false[0]


def test_nobody_is_accused_last_of_what_nobody_can_be_blamed_for() -> None:
    view, found = view_of_seats(b.SELECT), Verified(None, findings(2), undecided="two sums fit")
    assert unsaid(view, 1, found, b.BAD_SKETCH_SHARES) == found.false[0]
    view.accusations.add(accuser=1, seat=2, fault=b.BAD_PARTIAL)
    assert unsaid(view, 1, found, b.BAD_SKETCH_SHARES) == Finding(0, b.BAD_SKETCH_SHARES, "two sums fit")
