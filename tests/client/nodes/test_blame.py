"""Whose fault a failed key ceremony is follows from ledger and artifacts: every cheat is named, and no honest seat ever."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quorumlearn import ckks
from quorumlearn.artifacts import StoreUnavailable
from quorumlearn.nodes import sealing
from quorumlearn.nodes.committee.attempt import Finding, line
from quorumlearn.nodes.committee.blame import absent, judge, vote
from quorumlearn_proto import block_pb2 as b

from tests.client.nodes.played_ceremony import (
    CHEATS,
    Ceremony,
    FalseTest,
    NoPublicShare,
    NoTest,
    OtherPublicShare,
    Seat,
    begun,
    or_complaint,
    play,
)


def faults(ceremony: Ceremony) -> dict[int, str]:
    return {one.seat: b.Fault.Name(one.fault) for one in judge(ceremony.attempt)}


@pytest.mark.parametrize(("seats", "threshold"), [(1, 1), (3, 2), (4, 3)])
def test_an_honest_ceremony_gives_everybody_one_key_and_blames_nobody(
    tmp_path: Path, seats: int, threshold: int
) -> None:
    c = play(tmp_path, seats, threshold)
    assert not c.failed
    assert len({part.confirmed_key.digest for part in c.parts.values()}) == 1
    for seat in c.seats:
        c.parts[seat].opened_sealing_key = c.part(seat).sealing_key()
    assert judge(c.attempt) == ()


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.__name__)
@pytest.mark.parametrize("seat", [1, 3])
def test_each_cheat_is_found_and_named(tmp_path: Path, cheat: type[Seat], seat: int) -> None:
    c = play(tmp_path, 3, 2, {seat: cheat()})
    assert c.failed
    assert faults(c) == {seat: b.Fault.Name(CHEATS[cheat])}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), seats=st.integers(3, 5))
def test_of_up_to_t_less_one_cheats_some_are_named_and_nobody_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, seats: int
) -> None:
    threshold = data.draw(st.integers(2, seats - 1), label="threshold")
    most = min(threshold - 1, seats - threshold)
    cheats = data.draw(
        st.dictionaries(st.integers(1, seats), st.sampled_from(list(CHEATS)), min_size=1, max_size=most),
        label="cheats",
    )
    c = play(tmp_path_factory.mktemp("ceremony"), seats, threshold, {s: kind() for s, kind in cheats.items()})
    found = faults(c)
    assert found, "an attempt that failed is somebody's fault"
    assert set(found) <= set(cheats)
    if len(cheats) == 1:
        ((seat, kind),) = cheats.items()
        assert found == {seat: b.Fault.Name(CHEATS[kind])}
    shuffled = copy.deepcopy(c)
    shuffled.parts = dict(reversed(shuffled.parts.items()))
    assert vote(judge(shuffled.attempt)) == vote(judge(c.attempt))


def test_what_is_shown_only_after_t_complaints_does_not_put_its_author_in_the_right(tmp_path: Path) -> None:
    c = begun(tmp_path, 3, 2)
    late = c.part(2)
    hidden = b""
    for step in ("commit", "reveal"):
        given = {seat: getattr(c.part(seat), step)() for seat in c.seats}
        for seat, contribution in given.items():
            c.post(seat, contribution)
    hidden = c.store.get(c.parts[2].public_share, 1 << 20)
    assert c.store.delete(c.parts[2].public_share)
    for seat in (1, 3):
        c.post(seat, or_complaint(c.part(seat).test))
        about = b.Complaint(seat=2, fault=b.BAD_PUBLIC_SHARE, artifact=c.parts[2].public_share)
        assert c.parts[seat].withheld == about
    c.store.put(hidden)
    c.post(2, c.part(2).test())
    for seat in c.seats:
        c.post(seat, c.part(seat).open())
    assert late.seat == 2
    assert faults(c) == {2: "BAD_PUBLIC_SHARE"}


def test_a_liar_that_keeps_its_key_closed_does_not_make_the_complaint_unfounded(tmp_path: Path) -> None:
    c = play(tmp_path, 3, 2, {2: FalseTest()})
    c.parts[3].ClearField("complaint")
    assert c.parts[1].complaint
    c.parts[2].ClearField("opened_sealing_key")
    assert judge(c.attempt) == ()


def test_a_dealer_that_is_gone_is_judged_by_what_the_others_opened(tmp_path: Path) -> None:
    c = play(tmp_path, 4, 2, {4: OtherPublicShare()})
    c.parts[4].ClearField("opened_sealing_key")
    assert faults(c) == {4: "BAD_PUBLIC_SHARE"}


def test_without_t_opened_keys_nothing_is_said_of_dealings(tmp_path: Path) -> None:
    c = play(tmp_path, 3, 2, {1: OtherPublicShare()})
    for seat in (1, 2):
        c.parts[seat].ClearField("opened_sealing_key")
    assert judge(c.attempt) == ()


def test_another_seats_opened_key_is_a_fault_of_who_opened_it(tmp_path: Path) -> None:
    c = play(tmp_path, 3, 2, {1: FalseTest()})
    c.parts[2].opened_sealing_key = c.parts[3].opened_sealing_key
    assert faults(c) == {1: "BAD_TEST_PARTIAL", 2: "BAD_SEALING_KEY"}
    c.parts[2].opened_sealing_key = b"no key"
    assert faults(c) == {1: "BAD_TEST_PARTIAL", 2: "BAD_SEALING_KEY"}


@pytest.mark.parametrize(("cheat", "count"), [(NoPublicShare, 1), (NoTest, 1), (FalseTest, 0)])
def test_what_is_not_in_the_store_is_counted_before_it_is_judged(
    tmp_path: Path, cheat: type[Seat], count: int
) -> None:
    assert len(absent(play(tmp_path, 3, 2, {2: cheat()}).attempt)) == count


def test_what_a_seat_has_shown_once_it_cannot_take_back_before_it_is_judged(tmp_path: Path) -> None:
    c = play(tmp_path, 3, 2, {2: FalseTest()})
    read = c.attempt
    first = judge(read)
    for ref in (c.parts[2].public_share, c.parts[2].sealed_shares, c.parts[2].test_partial):
        assert c.store.delete(ref)
    assert (judge(read), absent(read)) == (first, [])
    assert judge(c.attempt) != first


def test_a_store_that_is_away_blames_nobody(tmp_path: Path) -> None:
    c = play(tmp_path, 3, 2, {2: FalseTest()})
    (tmp_path / "store").rename(tmp_path / "gone")
    with pytest.raises(StoreUnavailable):
        judge(c.attempt)


def test_votes_are_lines_that_the_ledger_takes() -> None:
    cast = vote([Finding(2, b.BAD_DEALING, "x\ny" * 300)])
    assert (len(cast.blames[0].detail), cast.blames[0].detail.isprintable()) == (200, True)
    assert line("short") == "short"


def test_only_t_complaints_of_what_a_seat_has_posted_are_its_fault(tmp_path: Path) -> None:
    c = play(tmp_path, 3, 2)
    posted = c.parts[2].sealed_shares

    def judged(*complaints: b.Complaint | None) -> dict[int, str]:
        for seat, about in zip((1, 3), complaints, strict=True):
            c.parts[
                seat
            ].complaint = f"seat 2, BAD_DEALING: SealedShares {posted.digest[:12]} is not in the store"
            c.parts[seat].ClearField("withheld")
            if about is not None:
                c.parts[seat].withheld.CopyFrom(about)
        return faults(c)

    right = b.Complaint(seat=2, fault=b.BAD_DEALING, artifact=posted)
    assert judged(right, right) == {2: "BAD_DEALING"}
    for other in (
        None,
        b.Complaint(seat=2, fault=b.BAD_DEALING, artifact=c.parts[2].public_share),
        b.Complaint(seat=2, fault=b.BAD_PUBLIC_SHARE, artifact=posted),
        b.Complaint(seat=2, fault=b.FALSE_VOTE, artifact=posted),
        b.Complaint(seat=4, fault=b.BAD_DEALING, artifact=posted),
    ):
        assert judged(right, other) == judged(other, other) == {}


def test_a_key_to_which_nothing_can_be_sealed_is_told_from_one_that_works() -> None:
    assert sealing.works(sealing.public_key(sealing.new_key()))
    for public in (b"", b"\xff" * sealing.PUBLIC_KEY_BYTES, bytes(sealing.PUBLIC_KEY_BYTES)):
        assert not sealing.works(public)


def test_four_honest_seats_of_a_secure_ring_fit_the_limits_of_what_is_read(tmp_path: Path) -> None:
    c = begun(tmp_path, 4, 2)
    c.p = ckks.Parameters.choose(700, seats=4, threshold=2)
    for step in ("commit", "reveal", "test"):
        given = {seat: getattr(c.part(seat), step)() for seat in c.seats}
        for seat, contribution in given.items():
            c.post(seat, contribution)
    assert all(c.part(seat).confirm(c.seats).HasField("confirmed_key") for seat in c.seats)
