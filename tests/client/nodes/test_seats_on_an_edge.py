"""Seats of two kinds of processor differ on a segment that somebody has put on an edge (tests/client/replay/test_edges.py): none of them is
slashed for what it found, and no miner either."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from quorumlearn import learning, replay
from quorumlearn.nodes.committee import replaying
from quorumlearn.nodes.committee.replaying import CannotTell, Replaying
from quorumlearn_proto import block_pb2 as b

from tests.client.nodes.played_work import SEATS, Chunks, PlayedWork

VICTIM, OTHER_KIND = "M/b", 1


@dataclass
class OtherKind:
    """What a seat of another kind comes to of one miner's training: as if its data were others."""

    chunks: Chunks

    def samples(self, view: b.TaskView, team: b.Team, first: int | None = None) -> learning.Samples:
        read = self.chunks.samples(view, team, first)
        return learning.Samples(-read.inputs, read.targets) if VICTIM in team.miners else read

    def have(self, view: b.TaskView, team: b.Team, first: int | None = None) -> bool:
        return True


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedWork:
    """Four segments of each training, all of them drawn, and each for two of the three seats."""
    monkeypatch.setattr(replaying, "WAIT_SECONDS", 0.01)
    made = PlayedWork(tmp_path, segments=4)
    made.commit()
    made.open()
    return made


def seat(played: PlayedWork, number: int) -> Replaying:
    found = played.seat(number)
    if number == OTHER_KIND:
        found.reader = OtherKind(played.chunks)
    return found


def reported(played: PlayedWork) -> None:
    for number in SEATS:
        ref = seat(played, number).report(played.view, early=True)
        played.view.screenings.add(seat=number, verifier=f"V{number}/v", replays=ref)
    played.show(*SEATS)


def test_a_seat_that_comes_to_something_else_where_there_is_one_answer_is_named(played: PlayedWork) -> None:
    reported(played)
    for number in (2, 3):
        found = seat(played, number).confirmed(played.view, last=False)
        assert [(one.seat, one.fault) for one in found.false] == [(OTHER_KIND, b.FALSE_REPLAY)]
        assert found.unsound == {}


def test_on_an_edge_nobody_is_named_and_who_finds_it_wrong_hears_the_others(
    played: PlayedWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "steady", lambda *of, item, **how: item > 4)
    reported(played)
    for number in (2, 3):
        found = seat(played, number).confirmed(played.view, last=False)
        assert (found.unsound, found.false) == ({}, ())
        verdicts = [b.Verdict(miner=one, weight=1, reason=b.CONTRIBUTES) for one in played.view.round.miners]
        posted = next(one for one in played.view.screenings if one.seat == number)
        if number == 3:
            with pytest.raises(CannotTell, match=VICTIM):
                seat(played, OTHER_KIND).confirmed(played.view, last=False)
        posted.selection.verdicts.extend(verdicts)
    alone = seat(played, OTHER_KIND).confirmed(played.view, last=False)
    assert (alone.unsound, alone.false) == ({}, ())


def test_what_all_find_wrong_on_an_edge_costs_no_stake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(replay, "steady", lambda *of, item, **how: item > 4)
    cheated = PlayedWork(tmp_path, segments=4)
    cheated.commit({VICTIM: "other-data"})
    cheated.open()
    for number in SEATS:
        ref = cheated.seat(number).report(cheated.view, early=True)
        cheated.view.screenings.add(seat=number, verifier=f"V{number}/v", replays=ref)
    cheated.show(*SEATS)
    for number in SEATS:
        found = cheated.seat(number).confirmed(cheated.view, last=True)
        assert {miner: one.reason for miner, one in found.unsound.items()} == {VICTIM: b.UNCONFIRMED}
        assert found.false == ()
