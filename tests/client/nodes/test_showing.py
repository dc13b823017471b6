"""Ballots from when they are fixed until one seat shows them: nothing is in the store before, and no seat alone holds the others up."""

from __future__ import annotations

from pathlib import Path

import pytest
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import triggers
from quorumlearn.nodes.committee import showing
from quorumlearn.nodes.committee.showing import Showing
from quorumlearn.nodes.feed import News, TaskFeed
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Refused
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.derived import fixed_ballot
from quorumlearn_proto.event_pb2 import LedgerEvent

SEATS = (1, 2, 3)


class Shown:
    """A market that takes ballots, but for those of one seat."""

    def __init__(self) -> None:
        self.shown: list[list[int]] = []
        self.refuses = 0

    def show_ballots(self, task: str, number: int, ballots: b.Ballots) -> None:
        seats = [one.seat for one in ballots.ballots]
        if self.refuses in seats:
            raise Refused("blocks:ShowBallots", "BAD_ARGUMENT", "the ballot contradicts itself")
        self.shown.append(seats)


class Voted:
    """Three seats in VALIDATE, each with a ballot that it has fixed since the view was read."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.market = folder, Shown()
        self.store = ArtifactStore(str(folder / "store"), create=True)
        now = b.Round(task_id="t-1", number=1, phase=b.VALIDATE, seats=SEATS)
        self.view = b.TaskView(round=now)
        self.feed = TaskFeed("t-1", None)  # type: ignore[arg-type]
        self.news = News(self.feed, self.feed.mark())
        for seat in SEATS:
            self.view.seats.add(seat=seat, verifier=f"V{seat}/v")
        self.fixed = {seat: self.seat(seat).fix(self.view, self.ballot(seat)) for seat in SEATS}

    def ballot(self, seat: int) -> b.Ballot:
        return b.Ballot(task_id="t-1", round=1, seat=seat, model="ab" * 32, reason=b.GOOD)

    def seat(self, seat: int) -> Showing:
        journal = Journal(self.folder / f"seat-{seat}")
        return Showing(f"V{seat}/v", self.market, self.store, journal)  # type: ignore[arg-type]

    def told(self, *seats: int) -> None:
        for seat in seats:
            event = LedgerEvent(
                kind="blocks:VoteBlock", actor=f"V{seat}/v", status=t.RUNNING, phase=b.VALIDATE, round=1
            )
            event.shown.append(self.fixed[seat])
            self.feed.notify(event)


@pytest.fixture
def voted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Voted:
    monkeypatch.setattr(showing, "WAIT_SECONDS", 0.02)
    return Voted(tmp_path)


def test_what_is_fixed_is_nowhere_but_in_its_own_journal(voted: Voted) -> None:
    assert not any(voted.store.has(ref) for ref in voted.fixed.values())
    assert voted.seat(1).fixed(voted.view) == voted.fixed[1]
    assert len({ref.digest for ref in voted.fixed.values()}) == 3
    assert voted.seat(1).fix(voted.view, voted.ballot(1)) != voted.fixed[1], "by its nonce"


def test_all_have_voted_once_the_last_one_has(voted: Voted) -> None:
    for seat in SEATS:
        assert not triggers.all_voted(voted.view, voted.news())
        voted.told(seat)
    assert triggers.all_voted(voted.view, voted.news())
    assert triggers.fixed_ballots(voted.view, voted.news()) == {
        f"V{seat}/v": ref for seat, ref in voted.fixed.items()
    }
    voted.view.round.seats.remove(3)
    assert "V3/v" not in triggers.fixed_ballots(voted.view, voted.news())


def test_the_first_seat_shows_what_the_others_have_put_into_the_store(voted: Voted) -> None:
    voted.told(*SEATS)
    voted.seat(3).show(voted.view, voted.news)
    voted.seat(1).show(voted.view, voted.news)
    assert voted.market.shown == [[3], [1, 3]], "seat 2 shows nothing, and holds up nobody"


def test_who_sees_that_the_round_went_on_shows_nothing(voted: Voted) -> None:
    voted.told(*SEATS)
    voted.feed.notify(LedgerEvent(kind="blocks:ShowBallots", round=1, moved=True))
    for seat in SEATS:
        voted.seat(seat).show(voted.view, voted.news)
    assert voted.market.shown == []


@pytest.mark.parametrize("what", [b"no ballot", b"x" * (showing.MOST_BYTES + 1)])
def test_what_is_no_ballot_is_left_out(voted: Voted, what: bytes) -> None:
    voted.fixed[2] = voted.store.put(what)
    voted.told(*SEATS)
    voted.seat(1).show(voted.view, voted.news)
    assert voted.market.shown == [[1]]


def test_a_ballot_that_the_ledger_does_not_take_keeps_no_other_from_being_shown(voted: Voted) -> None:
    voted.fixed[2] = voted.store.put(fixed_ballot(voted.ballot(2)))
    voted.told(*SEATS)
    voted.market.refuses = 2
    voted.seat(1).show(voted.view, voted.news)
    assert voted.market.shown == [[1]]


def test_a_seat_that_has_lost_its_journal_shows_nothing(voted: Voted) -> None:
    voted.told(*SEATS)
    voted.seat(2).journal.erase("ballot-0")
    assert voted.seat(2).fixed(voted.view) is None
    voted.seat(2).show(voted.view, voted.news)
    assert voted.market.shown == []
