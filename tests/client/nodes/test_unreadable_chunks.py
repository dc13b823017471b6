"""Chunks that an owner spoils or removes once they were trained on stop no seat, and cost nobody stake: neither who cannot replay them, nor
who trained on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from quorumlearn import learning
from quorumlearn.artifacts import ArtifactMissing, StoreUnavailable
from quorumlearn.nodes.committee import replaying
from quorumlearn.nodes.committee.replaying import CannotTell
from quorumlearn.replay import ChunkError
from quorumlearn_proto import block_pb2 as b

from tests.client.nodes.played_work import SEATS, Chunks, PlayedWork

VICTIM = "M/b"


@dataclass
class Spoilt:
    """Reads as `chunks` does, but for a miner's: there it raises; and it does not find them all in the store."""

    chunks: Chunks
    error: Exception | None
    in_store: bool
    of: str = VICTIM

    def samples(self, view: b.TaskView, team: b.Team, first: int | None = None) -> learning.Samples:
        if self.error is not None and self.of in team.miners:
            raise self.error
        return self.chunks.samples(view, team, first)

    def have(self, view: b.TaskView, team: b.Team, first: int | None = None) -> bool:
        return self.in_store or self.of not in team.miners


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedWork:
    """All four segments of each training are drawn: each seat replays some of each."""
    monkeypatch.setattr(replaying, "WAIT_SECONDS", 0.01)
    made = PlayedWork(tmp_path, segments=4)
    made.commit()
    made.open()
    return made


def seat(played: PlayedWork, number: int, readers: Mapping[int, Spoilt]) -> replaying.Replaying:
    found = played.seat(number)
    found.reader = readers[number]
    return found


def report(played: PlayedWork, readers: Mapping[int, Spoilt]) -> None:
    """All seats fix and show their reports; who cannot read first waits, as long as there is something to wait for."""
    for number in SEATS:
        part = seat(played, number, readers)
        if readers[number].error is not None:
            with pytest.raises(CannotTell):
                part.report(played.view, early=True)
        ref = part.report(
            played.view, early=readers[number].error is None, last=readers[number].error is not None
        )
        played.view.screenings.add(seat=number, verifier=f"V{number}/v", replays=ref)
    played.show(*SEATS)


@pytest.mark.parametrize("error", [ChunkError("no chunk"), ArtifactMissing("it is gone")])
def test_what_no_seat_can_read_is_unconfirmed_and_no_seat_is_stuck(
    played: PlayedWork, error: Exception
) -> None:
    """The owner has published a chunk that is none, and a miner in league says to have trained on it."""
    readers = {number: Spoilt(played.chunks, error, in_store=True) for number in SEATS}
    report(played, readers)
    for number in SEATS:
        found = seat(played, number, readers).confirmed(played.view, last=True)
        assert {miner: one.reason for miner, one in found.unsound.items()} == {VICTIM: b.UNCONFIRMED}
        assert found.false == ()


def test_a_seat_that_could_not_read_what_was_removed_is_no_liar_and_the_work_stands(
    played: PlayedWork,
) -> None:
    """The others have the chunk on their disks since a round before."""
    gone = Spoilt(played.chunks, ArtifactMissing("it is gone"), in_store=False)
    readers = {
        1: gone,
        2: Spoilt(played.chunks, None, in_store=False),
        3: Spoilt(played.chunks, None, in_store=False),
    }
    report(played, readers)
    for number in (2, 3):
        found = seat(played, number, readers).confirmed(played.view, last=False)
        assert (found.unsound, found.false) == ({}, ())


def test_a_seat_that_says_it_failed_where_all_was_there_is_named(played: PlayedWork) -> None:
    lazy = Spoilt(played.chunks, ChunkError("it says"), in_store=True)
    readers = {
        1: lazy,
        2: Spoilt(played.chunks, None, in_store=True),
        3: Spoilt(played.chunks, None, in_store=True),
    }
    report(played, readers)
    for number in (2, 3):
        found = seat(played, number, readers).confirmed(played.view, last=False)
        assert [(one.seat, one.fault) for one in found.false] == [(1, b.FALSE_REPLAY)]
        assert found.unsound == {}


@pytest.mark.parametrize("error", [ArtifactMissing("not yet"), StoreUnavailable("it is away")])
def test_a_miner_waits_for_what_the_store_does_not_give(tmp_path: Path, error: Exception) -> None:
    played = PlayedWork(tmp_path)
    tracer = played.tracer(VICTIM)
    tracer.reader = Spoilt(played.chunks, error, in_store=False)
    with pytest.raises(type(error)):
        tracer.learn(played.view)
    tracer.reader = played.chunks
    assert tracer.learn(played.view) is not None, "the round was not given up"
