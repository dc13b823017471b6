"""Miners and seats of a round that is replayed, without a ledger: honest work is right at every seat, every cheat is wrong at each, and
what is lost or comes late costs no honest party a slash."""

from __future__ import annotations

from pathlib import Path

import pytest
from quorumlearn import replay
from quorumlearn.artifacts import ArtifactMissing
from quorumlearn.nodes.committee import replaying, reports
from quorumlearn.nodes.committee.replaying import CannotTell
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.work import drawn
from quorumlearn.nodes.work.exactness import profile_of
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import MISSING, RIGHT, WRONG, Replay, ReplayFinding, ReplayReport

from tests.client.nodes.played_work import SEATS, PlayedWork


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedWork:
    monkeypatch.setattr(replaying, "WAIT_SECONDS", 0.01)
    return PlayedWork(tmp_path)


def test_honest_work_is_right_at_every_seat_by_the_reports_alone(played: PlayedWork) -> None:
    played.commit()
    played.open()
    played.report(*SEATS)
    played.show(*SEATS)
    for one in played.view.screenings:
        record = ReplayReport.FromString(played.store.get(one.replays, 1 << 20))
        assert {entry.found for entry in record.replays} == {RIGHT}
    for seat in SEATS:
        found = played.seat(seat).confirmed(played.view, last=False)
        assert (found.unsound, found.false) == ({}, ())


CHEATS = [
    "skipper:1",
    "other-seed",
    "other-rate",
    "other-data",
    "label-flip",
    "free-rider",
    "noise",
    "zero",
    "thief:a",
]


@pytest.mark.parametrize("behaviour", CHEATS)
def test_every_cheat_is_wrong_at_each_seat_with_the_same_proof(tmp_path: Path, behaviour: str) -> None:
    """All four segments are drawn."""
    played = PlayedWork(tmp_path, segments=4)
    played.commit({"M/b": behaviour})
    played.open()
    played.report(*SEATS)
    played.show(*SEATS)
    proofs = []
    for seat in SEATS:
        found = played.seat(seat).confirmed(played.view, last=False)
        assert found.unsound.keys() == {"M/b"}
        assert found.false == ()
        assert found.unsound["M/b"].reason == b.WRONG_WORK
        proofs.append(found.unsound["M/b"].proof)
    assert proofs[0] is not None
    assert proofs[0].replayed != proofs[0].claimed
    assert proofs.count(proofs[0]) == len(SEATS)


def test_an_update_that_is_not_the_traces_is_wrong_by_its_last_checkpoint(played: PlayedWork) -> None:
    played.commit()
    played.submission("M/b").claim = "ab" * 32
    played.open()
    played.report(*SEATS)
    played.show(*SEATS)
    proof = played.seat(1).confirmed(played.view, last=False).unsound["M/b"].proof
    assert proof is not None
    assert (proof.item, proof.claimed) == (5, "ab" * 32)


def test_a_restarted_miner_opens_the_same_trace_and_a_restarted_seat_says_the_same(
    played: PlayedWork,
) -> None:
    played.commit()
    played.open()
    before = [one.opening.digest for one in played.view.submissions]
    played.tracers = {miner: played.tracer(miner) for miner in played.miners}
    played.open()
    assert [one.opening.digest for one in played.view.submissions] == before
    first = played.seat(1).report(played.view, early=True)
    assert played.seat(1).report(played.view, early=True) == first


def test_a_miner_that_comes_up_with_other_settings_opens_nothing_rather_than_another_training(
    played: PlayedWork,
) -> None:
    """Another number of chunks, say: what it would open does not lead to the root that it committed to, and would cost it stake."""
    played.view.task.spec.recompute.pay_by_steps = True
    played.commit()
    root = played.submission("M/a").manifest.trace_root
    changed = played.tracer("M/a", chunks=1)
    assert changed.open(played.view, played.values["M/a"], bytes(32), root) is None


def test_a_miner_may_do_the_first_of_its_chunks_only_where_steps_are_paid(played: PlayedWork) -> None:
    played.view.task.spec.recompute.pay_by_steps = True
    done = played.tracer("M/a", chunks=1).learn(played.view)
    assert done is not None
    assert done[1].steps == 2


def test_a_miner_whose_profile_too_few_seats_share_sits_the_round_out(played: PlayedWork) -> None:
    asked = played.view.task.spec.recompute
    asked.exactness, asked.grid_bits = t.PROFILE, 0
    tracer = played.tracer("M/a")
    assert tracer.learn(played.view) is None
    own = played.tracer("M/b")
    for part in played.view.contributions[:2]:
        part.profile = profile_of(played.view.task.spec)
    assert own.learn(played.view) is not None
    assert not drawn.confirmable(played.view, "another")


def test_float32_is_replayed_by_seats_of_the_same_profile_and_others_go_by_their_votes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seats 1 and 2 have this process's profile; seat 2 says that all is wrong."""
    monkeypatch.setattr(replaying, "WAIT_SECONDS", 0.01)
    played = PlayedWork(tmp_path)
    asked = played.view.task.spec.recompute
    asked.exactness, asked.grid_bits = t.PROFILE, 0
    for part in played.view.contributions[:2]:
        part.profile = profile_of(played.view.task.spec)
    played.commit({"M/b": "other-seed"})
    played.open()
    assert {one.seats for one in drawn.items(played.view)} == {(1, 2)}
    played.report(1, 3)
    lies = [_made_up(one) for one in played.items(2)]
    lie = played.store.put(reports.made(played.view.round, 2, lies))
    played.view.screenings.add(seat=2, verifier="V2/v", replays=lie)
    played.show(1, 3)
    able = played.seat(1).confirmed(played.view, last=False)
    assert [one.seat for one in able.false] == [2]
    assert able.unsound.keys() == {"M/b"}
    other = played.seat(3)
    with pytest.raises(CannotTell, match="others have yet to vote"):
        other.confirmed(played.view, last=False)
    undecided = other.confirmed(played.view, last=True)
    assert undecided.false == (), "who cannot replay accuses nobody"
    assert {one.reason for one in undecided.unsound.values()} == {b.UNCONFIRMED}


def test_whose_profile_too_few_seats_share_is_unconfirmed_and_loses_no_stake(tmp_path: Path) -> None:
    played = PlayedWork(tmp_path)
    asked = played.view.task.spec.recompute
    asked.exactness, asked.grid_bits = t.PROFILE, 0
    for part in played.view.contributions:
        part.profile = profile_of(played.view.task.spec)
    played.commit()
    played.open()
    played.submission("M/b").manifest.profile = "ab" * 32
    played.report(*SEATS)
    played.show(*SEATS)
    found = played.seat(1).confirmed(played.view, last=False)
    assert {miner: one.reason for miner, one in found.unsound.items()} == {"M/b": b.UNCONFIRMED}


def test_a_false_report_is_named_by_the_others_and_harms_no_miner(played: PlayedWork) -> None:
    played.commit()
    played.open()
    played.report(1, 2)
    lies = [_made_up(one) for one in played.items(3)]
    lie = played.store.put(reports.made(played.view.round, 3, lies))
    played.view.screenings.add(seat=3, verifier="V3/v", replays=lie)
    played.show(1, 2)
    for seat in (1, 2):
        found = played.seat(seat).confirmed(played.view, last=False)
        assert [(one.seat, one.fault) for one in found.false] == [(3, b.FALSE_REPLAY)]
        assert found.unsound == {}


def _made_up(item: drawn.Item, found: ReplayFinding = RIGHT) -> Replay:
    return Replay(miner=item.miner, item=item.number, found=found, receipt=bytes(32), digest=bytes(32))


def test_a_seat_that_calls_all_wrong_is_named_before_anything_is_replayed_for_it(
    played: PlayedWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.commit()
    played.open()
    played.report(1, 2)
    lies = [_made_up(one, WRONG) for one in played.items(3)]
    lie = played.store.put(reports.made(played.view.round, 3, lies))
    played.view.screenings.add(seat=3, verifier="V3/v", replays=lie)
    played.show(1, 2)
    monkeypatch.setattr(replay, "check", _never)
    for seat in (1, 2):
        assert [one.seat for one in played.seat(seat).contradicted(played.view, last=False).false] == [3]
        found = played.seat(seat).confirmed(played.view, last=False)
        assert ([one.seat for one in found.false], found.unsound) == ([3], {})


def _never(*_: object, **__: object) -> list[object]:
    raise AssertionError("nothing is replayed")


def test_what_is_drawn_for_a_silent_seat_is_replayed_while_its_time_runs_out(
    played: PlayedWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a seat that stays away does not take the others' time to vote."""
    played.commit()
    played.open()
    played.report(1, 2)
    played.seat(1).ahead(played.view)
    played.view.round.seats[:] = [1, 2]
    played.show(1, 2)
    monkeypatch.setattr(replay, "check", _never)
    found = played.seat(1).confirmed(played.view, last=False)
    assert (found.unsound, found.false) == ({}, ())


@pytest.mark.parametrize("data", [None, b"nothing of the kind"])
def test_a_report_that_is_missing_or_malformed_is_a_fault_and_its_items_are_replayed(
    played: PlayedWork, data: bytes | None
) -> None:
    played.commit()
    played.open()
    played.report(*SEATS)
    played.show(1, 2)
    if data is not None:
        played.view.screenings[2].replays.CopyFrom(played.store.put(data))
    if data is None:
        with pytest.raises(ArtifactMissing):
            played.seat(1).confirmed(played.view, last=False)
    found = played.seat(1).confirmed(played.view, last=True)
    assert [(one.seat, one.fault) for one in found.false] == [(3, b.FALSE_REPLAY)]
    assert found.unsound == {}


def test_an_opening_that_was_removed_is_waited_for_and_then_missing_for_all_alike(played: PlayedWork) -> None:
    played.commit()
    played.open()
    played.store.delete(played.submission("M/b").opening)
    for seat in SEATS:
        with pytest.raises(ArtifactMissing):
            played.seat(seat).report(played.view, early=False)
    played.report(*SEATS, last=True)
    played.show(*SEATS)
    for seat in SEATS:
        found = played.seat(seat).confirmed(played.view, last=False)
        assert {miner: one.reason for miner, one in found.unsound.items()} == {"M/b": b.MISSING_ARTIFACT}
        assert found.false == ()


def test_a_seat_that_could_not_find_an_opening_in_time_is_no_liar_and_the_work_stands(
    played: PlayedWork,
) -> None:
    """Seat 3 had it never, seats 1 and 2 only late."""
    played.commit()
    played.open()
    kept = played.store.get(played.submission("M/b").opening, 1 << 20)
    played.report(1, 2, early=False)
    played.store.delete(played.submission("M/b").opening)
    played.report(3, early=False, last=True)
    played.store.put(kept)
    played.show(*SEATS)
    record = ReplayReport.FromString(played.store.get(played.view.screenings[2].replays, 1 << 20))
    assert {one.found for one in record.replays if one.miner == "M/b"} <= {MISSING}
    for seat in SEATS:
        found = played.seat(seat).confirmed(played.view, last=False)
        assert (found.unsound, found.false) == ({}, ())


def test_an_opening_that_is_too_long_is_wrong_and_is_not_read(played: PlayedWork) -> None:
    played.commit()
    played.open()
    played.submission("M/b").opening.size = 1 << 40
    played.report(*SEATS)
    played.show(*SEATS)
    found = played.seat(2).confirmed(played.view, last=False).unsound["M/b"]
    assert found.reason == b.WRONG_WORK
    assert found.proof is not None
    assert found.proof.replayed == ""


def test_a_manifest_of_steps_that_its_chunks_do_not_make_is_wrong(played: PlayedWork) -> None:
    played.commit()
    played.open()
    played.submission("M/b").manifest.steps = 3
    played.report(*SEATS)
    played.show(*SEATS)
    assert played.seat(1).confirmed(played.view, last=False).unsound["M/b"].reason == b.WRONG_WORK


def test_a_seat_whose_replays_fail_reports_nothing_rather_than_what_it_does_not_know(
    played: PlayedWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.commit()
    played.open()

    def fails(
        plain: bytes, one: b.Submission, work: replay.Work, *rest: object, items: list[int], **named: object
    ) -> list[replay.Finding]:
        return [replay.Finding(item, replay.Outcome.FAILED, b"", "", "", "no memory") for item in items]

    with monkeypatch.context() as patch:
        patch.setattr(replay, "check", fails)
        for last in (False, True):
            with pytest.raises(CannotTell, match="tried again"):
                played.seat(1).report(played.view, last=last)
    assert played.seat(1).report(played.view, early=True), "and once they do not fail any more it reports"


def test_a_seat_whose_opening_is_lost_goes_by_the_votes_of_others(played: PlayedWork) -> None:
    played.commit()
    played.open()
    played.report(*SEATS)
    lost = played.submission("M/b").opening
    played.store.delete(lost)
    played.view.screenings[0].replays.digest = (
        "00" * 32
    )  # seat 1 shows nothing, so that all its items are contested
    played.show(2, 3)
    item = next(one for one in played.items(1) if one.miner == "M/b")
    other = next(seat for seat in (2, 3) if seat not in item.seats)
    Journal(played.folder / "journals" / f"seat-{other}").erase("replayed")
    seat = played.seat(other)
    with pytest.raises((CannotTell, ArtifactMissing)):
        seat.confirmed(played.view, last=False)
    for voter in (one for one in SEATS if one != other):
        one = next(one for one in played.view.screenings if one.seat == voter)
        one.selection.verdicts.add(miner="M/b", reason=b.CONTRIBUTES, weight=1)
    assert seat.confirmed(played.view, last=True).unsound == {}


def test_sealed_openings_open_to_every_seat_and_to_nobody_else(tmp_path: Path) -> None:
    played = PlayedWork(tmp_path, sealed=True)
    played.commit()
    played.open()
    data = played.store.get(played.submission("M/a").opening, 1 << 20)
    plain = played.tracers["M/a"].open(
        played.view, played.values["M/a"], bytes(32), played.submission("M/a").manifest.trace_root
    )
    assert plain is not None
    assert plain.last.weights not in data
    played.report(*SEATS)
    played.show(*SEATS)
    assert played.seat(3).confirmed(played.view, last=False).unsound == {}


def test_of_sealed_data_nothing_is_trained_before_the_keys_are_given(tmp_path: Path) -> None:
    played = PlayedWork(tmp_path, sealed=True)
    played.view.ClearField("grant")
    tracer = played.tracer("M/a")
    assert tracer.learn(played.view) is None
    played.view.grant.round = 1
    assert tracer.learn(played.view) is not None
