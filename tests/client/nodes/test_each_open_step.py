"""What holds up one step of a seat holds up none of the others that are open to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from quorumlearn.gateway import CommitStatusError
from quorumlearn.nodes.market import NO_OPTIONS, StepOptions
from quorumlearn_proto import block_pb2 as b

from tests.client.nodes.seats import verifier_in_seat, view_of_seats


class Failing:
    """A market of which these functions fail as a gateway does; the others are done."""

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.done: list[str] = []

    def leave_committee(self, task: str) -> None:
        self._do("leave_committee")

    def reveal_beacon(self, task: str, number: int, secret: bytes, options: StepOptions = NO_OPTIONS) -> None:
        self._do("reveal_beacon")

    def _do(self, function: str) -> None:
        if function in self.failing:
            raise CommitStatusError(f"nobody knows what became of {function}")
        self.done.append(function)


def test_a_seat_whose_leaving_fails_acts_in_the_round_all_the_same(tmp_path: Path) -> None:
    market = Failing("leave_committee")
    seat = verifier_in_seat(2, tmp_path, market)
    seat.leaving = True
    assert seat.act(view_of_seats(b.BEACON))
    assert market.done == ["reveal_beacon"]


def test_the_first_failure_is_raised_where_nothing_could_be_done(tmp_path: Path) -> None:
    market = Failing("leave_committee", "reveal_beacon")
    seat = verifier_in_seat(2, tmp_path, market)
    seat.leaving = True
    with pytest.raises(CommitStatusError, match="leave_committee"):
        seat.act(view_of_seats(b.BEACON))
