"""One round in one process: three seats from the revealed updates to the opened sum, restarted, robbed of artifacts, unauthorised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn import ckks
from quorumlearn.artifacts import ArtifactMissing, ArtifactStore
from quorumlearn.nodes import authorisation, round_part, sealing
from quorumlearn.nodes.attempt import Attempt
from quorumlearn.nodes.authorisation import NotAuthorised
from quorumlearn.nodes.ceremony import CeremonyPart
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.round_part import RoundPart
from quorumlearn.nodes.screening import Overtaken
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, SKETCH_DECRYPTION

from tests.client.nodes.committee import Committee, committee_of

SEATS = (1, 2, 3)
WEIGHTS = {"M/a": 3, "M/b": 1, "M/c": 2}


class Played:
    """A round's ledger and store, and the seats' folders."""

    def __init__(self, folder: Path) -> None:
        self.committee: Committee = committee_of(3, 2, 3, security=128)
        self.store = ArtifactStore(str(folder / "store"), create=True)
        self.folder = folder
        keys = {seat: sealing.new_key() for seat in SEATS}
        self.parts = {seat: b.KeyContribution(sealing_key=sealing.public_key(keys[seat])) for seat in SEATS}
        for seat in SEATS:
            self.journal(seat).put("attempt-1/share", self.committee.shares[seat])
            self.journal(seat).put("attempt-1/sealing", keys[seat])
        self.spec = t.TaskSpec(task_id="t-1", min_miners=3, ckks=record_of(self.committee.parameters))
        self.spec.committee.CopyFrom(t.Committee(msp_ids=["A", "B", "C"], threshold=2))
        now = b.Round(task_id="t-1", number=4, seats=SEATS, beacon=self.committee.plan.beacon.hex())
        self.view = b.TaskView(task=t.Task(spec=self.spec), round=now)
        for miner, claim in self.committee.claims().items():
            update = self.store.put(self.committee.update(self.committee.values[miner]))
            self.view.submissions.add(miner=miner, manifest=b.Manifest(update=update), claim=claim)
        self.authorise(SKETCH_DECRYPTION)

    def journal(self, seat: int) -> Journal:
        return Journal(self.folder / f"seat-{seat}")

    def authorise(self, purpose: int) -> None:
        self.view.authorisations.append(authorisation.expected(self.view, purpose))  # type: ignore[arg-type]

    def seat(self, seat: int) -> RoundPart:
        """A seat as its node comes up: only its journal is left of what it did before."""
        attempt = Attempt(self.committee.parameters, self.store, "t-1", 4, 1, self.parts)
        journal = self.journal(seat)
        return RoundPart(
            spec=self.spec,
            ceremony=CeremonyPart(attempt=attempt, journal=journal.below("attempt-1"), seat=seat),
            store=self.store,
            journal=journal,
            workers=ckks.Workers(0),
            position=lambda _: (0, 0),
        )

    def screened(self) -> None:
        for seat in SEATS:
            self.view.screenings.add(seat=seat, sketch_shares=self.seat(seat).sketch_shares(self.view))

    def selected(self) -> None:
        for miner, weight in WEIGHTS.items():
            self.view.round.selection.verdicts.add(miner=miner, weight=weight, reason=b.CONTRIBUTES)
        self.authorise(AGGREGATE_DECRYPTION)

    def decrypted(self) -> None:
        for one in self.view.screenings:
            digest, ref = self.seat(one.seat).partial(self.view)
            one.aggregate_ciphertext, self.view.round.aggregate_ciphertext = digest, digest
            one.partial.CopyFrom(ref)


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    monkeypatch.setattr(round_part, "WAIT_SECONDS", 0.01)
    return Played(tmp_path)


def test_shares_are_fixed_before_any_is_shown_and_then_open_to_the_updates(played: Played) -> None:
    played.screened()
    assert not any(played.store.has(one.sketch_shares) for one in played.view.screenings)
    first = played.seat(1)
    with pytest.raises(ArtifactMissing):
        first.opened(played.view, last_call=False)
    for seat in (2, 3):
        played.seat(seat)._show_shares()
    for seat in SEATS:
        opened = played.seat(seat).opened(played.view, last_call=False)
        assert (opened.false, opened.undecided) == ((), "")
        for miner in WEIGHTS:
            np.testing.assert_allclose(opened.sketches[miner], played.committee.plain(miner), atol=1e-9)
    assert first.opened(played.view, last_call=False).false == ()


def test_a_seat_that_never_shows_its_shares_is_named_at_the_last_call_and_not_before(played: Played) -> None:
    played.screened()
    played.seat(1)._show_shares()
    played.seat(2)._show_shares()
    with pytest.raises(ArtifactMissing):
        played.seat(1).opened(played.view, last_call=False)
    opened = played.seat(1).opened(played.view, last_call=True)
    assert [(one.seat, one.fault) for one in opened.false] == [(3, b.BAD_SKETCH_SHARES)]
    assert not opened.undecided
    np.testing.assert_allclose(opened.sketches["M/a"], played.committee.plain("M/a"), atol=1e-9)


def test_a_seat_that_restarts_after_select_waits_for_nobodys_shares(played: Played) -> None:
    played.screened()
    played.seat(2)._show_shares()
    played.view.round.phase = b.VALIDATE
    assert [one.seat for one in played.seat(1).opened(played.view, last_call=False).false] == [3]


def test_a_restarted_seat_repeats_itself(played: Played) -> None:
    played.screened()
    for one in played.view.screenings:
        assert played.seat(one.seat).sketch_shares(played.view) == one.sketch_shares
    played.selected()
    assert played.seat(1).partial(played.view) == played.seat(1).partial(played.view)


def test_the_seats_open_the_weighted_sum_and_hold_it_against_the_sketches(played: Played) -> None:
    played.screened()
    for seat in SEATS:
        played.seat(seat)._show_shares()
    played.selected()
    played.decrypted()
    total = sum(weight * played.committee.values[miner] for miner, weight in WEIGHTS.items())
    for seat in SEATS:
        found = played.seat(seat).verified(played.view, last_call=False)
        assert (found.false, found.undecided) == ((), "")
        assert found.values is not None
        np.testing.assert_array_equal(found.values, total)


@pytest.mark.parametrize("late", [False, True])
def test_a_partial_decryption_that_is_not_in_the_store_is_waited_for_then_named(
    played: Played, late: bool
) -> None:
    played.screened()
    for seat in SEATS:
        played.seat(seat)._show_shares()
    played.selected()
    played.decrypted()
    assert played.store.delete(played.view.screenings[2].partial)
    if not late:
        with pytest.raises(ArtifactMissing):
            played.seat(1).verified(played.view, last_call=False)
        return
    found = played.seat(1).verified(played.view, last_call=True)
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
