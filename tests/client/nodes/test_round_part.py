"""One round in one process: three seats from the revealed updates to the opened sum, restarted, robbed of artifacts, unauthorised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn.artifacts import ArtifactMissing, ArtifactStore
from quorumlearn.nodes.committee import round_part
from quorumlearn.nodes.committee.guard import NotAuthorised
from quorumlearn.nodes.screening import Overtaken
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import SketchShares

from tests.client.nodes.committee import committee_of
from tests.client.nodes.played_round import SEATS, WEIGHTS, Played


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    monkeypatch.setattr(round_part, "WAIT_SECONDS", 0.01)
    return Played(tmp_path, committee_of(3, 2, 3, security=128))


def test_shares_are_fixed_before_any_is_shown_and_then_open_to_the_updates(played: Played) -> None:
    played.screened()
    assert not any(played.store.has(one.sketch_shares) for one in played.view.screenings)
    first = played.seat(1)
    with pytest.raises(ArtifactMissing):
        first.opened(played.view, grace_over=False)
    played.shown(2, 3)
    for seat in SEATS:
        opened = played.seat(seat).opened(played.view, grace_over=False)
        assert (opened.false, opened.undecided) == ((), "")
        for miner in WEIGHTS:
            np.testing.assert_allclose(opened.sketches[miner], played.committee.plain(miner), atol=1e-9)
    assert first.opened(played.view, grace_over=False).false == ()


def test_an_update_that_was_removed_is_waited_for_and_what_there_is_has_been_sketched_by_then(
    played: Played,
) -> None:
    revealed = played.view.submissions[1]
    update = played.store.get(revealed.manifest.update, 1 << 24)
    assert played.store.delete(revealed.manifest.update)
    seat = played.seat(1)
    with pytest.raises(ArtifactMissing, match=revealed.miner):
        seat.sketch_shares(played.view)
    assert played.journal(1).get("sketch-shares") is None, "nothing is said of it before the grace is over"
    for one in (played.view.submissions[0], played.view.submissions[2]):
        assert played.store.delete(one.manifest.update)
    played.store.put(update)
    played.view.screenings.add(seat=1, sketch_shares=seat.sketch_shares(played.view))
    shown = SketchShares.FromString(played.journal(1).get("sketch-shares") or b"")
    assert {one.reason for one in shown.coverage} == {b.CONTRIBUTES}


def test_an_update_that_does_not_come_back_is_missing_once_the_grace_is_over(played: Played) -> None:
    assert played.store.delete(played.view.submissions[1].manifest.update)
    played.seat(1).sketch_shares(played.view, grace_over=True)
    shown = SketchShares.FromString(played.journal(1).get("sketch-shares") or b"")
    assert [one.reason for one in shown.coverage] == [b.CONTRIBUTES, b.MISSING_ARTIFACT, b.CONTRIBUTES]


def test_a_seat_that_never_shows_its_shares_is_named_once_the_grace_is_over_and_not_before(
    played: Played,
) -> None:
    played.screened()
    played.shown(1, 2)
    with pytest.raises(ArtifactMissing):
        played.seat(1).opened(played.view, grace_over=False)
    opened = played.seat(1).opened(played.view, grace_over=True)
    assert [(one.seat, one.fault) for one in opened.false] == [(3, b.BAD_SKETCH_SHARES)]
    assert not opened.undecided
    np.testing.assert_allclose(opened.sketches["M/a"], played.committee.plain("M/a"), atol=1e-9)


def test_a_seat_that_restarts_after_select_waits_for_nobodys_shares(played: Played) -> None:
    played.screened()
    played.shown(2)
    played.view.round.phase = b.VALIDATE
    assert [one.seat for one in played.seat(1).opened(played.view, grace_over=False).false] == [3]


def test_a_restarted_seat_repeats_itself(played: Played) -> None:
    played.screened()
    for one in played.view.screenings:
        assert played.seat(one.seat).sketch_shares(played.view) == one.sketch_shares
    played.selected()
    assert played.seat(1).partial(played.view) == played.seat(1).partial(played.view)


def test_the_seats_open_the_weighted_sum_and_hold_it_against_the_sketches(played: Played) -> None:
    played.screened()
    played.shown(*SEATS)
    played.selected()
    played.decrypted()
    total = sum(weight * played.committee.values[miner] for miner, weight in WEIGHTS.items())
    for seat in SEATS:
        found = played.seat(seat).verified(played.view, grace_over=False)
        assert (found.false, found.undecided) == ((), "")
        assert found.values is not None
        np.testing.assert_array_equal(found.values, [total])


@pytest.mark.parametrize("late", [False, True])
def test_a_partial_decryption_that_is_not_in_the_store_is_waited_for_then_named(
    played: Played, late: bool
) -> None:
    played.screened()
    played.shown(*SEATS)
    played.selected()
    played.decrypted()
    assert played.store.delete(played.view.screenings[2].partial)
    if not late:
        with pytest.raises(ArtifactMissing):
            played.seat(1).verified(played.view, grace_over=False)
        return
    found = played.seat(1).verified(played.view, grace_over=True)
    assert [(one.seat, one.fault) for one in found.false] == [(3, b.BAD_PARTIAL)]
    assert found.values is not None


@pytest.mark.parametrize("what", ["sketch", "sum"])
def test_nothing_is_made_without_an_authorisation(played: Played, what: str) -> None:
    seat, before = played.seat(1), played.journal(1).names()
    if what == "sum":
        played.screened()
        before = played.journal(1).names()
        played.selected()
    del played.view.authorisations[:]
    with pytest.raises(NotAuthorised):
        seat.sketch_shares(played.view) if what == "sketch" else seat.partial(played.view)
    assert played.journal(1).names() == before


def test_a_seat_stops_sketching_for_a_round_that_has_gone_on(played: Played) -> None:
    asked: list[int] = []

    def overtaken() -> bool:
        asked.append(len(asked))
        return len(asked) > 1

    with pytest.raises(Overtaken, match="the round has gone on"):
        played.seat(1).sketch_shares(played.view, overtaken)
    assert asked == [0, 1]
    assert played.journal(1).get("sketch-shares") is None


def test_shares_and_partials_that_were_read_once_are_kept_whatever_becomes_of_them_in_the_store(
    played: Played, tmp_path: Path
) -> None:
    theirs = played.store
    played.screened()
    played.shown(2, 3)
    played.store = ArtifactStore(str(tmp_path / "store"), organisation="SeatMSP", copies=tmp_path / "copies")
    third = played.view.screenings[2].sketch_shares
    hidden = theirs.get(third, 1 << 24)
    assert theirs.delete(third)
    with pytest.raises(ArtifactMissing):
        played.seat(1).opened(played.view, grace_over=False)
    assert theirs.delete(played.view.screenings[1].sketch_shares)
    theirs.put(hidden)
    assert not played.seat(1).opened(played.view, grace_over=False).false
    played.selected()
    played.store = theirs
    played.decrypted()
    refs = [one.partial for one in played.view.screenings]
    kept = theirs.get(refs[2], 1 << 24)
    assert theirs.delete(refs[2])
    played.store = ArtifactStore(str(tmp_path / "store"), organisation="SeatMSP", copies=tmp_path / "copies")
    with pytest.raises(ArtifactMissing):
        played.seat(1).verified(played.view, grace_over=False)
    assert theirs.delete(refs[1])
    theirs.put(kept)
    assert not played.seat(1).verified(played.view, grace_over=False).false
