"""The basis of a vote: only who has opened the sketches has it, each seat another, and honest seats agree on everybody's."""

from __future__ import annotations

from pathlib import Path

import pytest
from quorumlearn.nodes import exchange, salts
from quorumlearn.nodes.committee import basis, round_part
from quorumlearn.nodes.committee.round_part import RoundPart
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import SketchPayload, SketchShares

from tests.client.nodes.committee import committee_of
from tests.client.nodes.played_round import SEATS, Played


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    """Three honest seats that know what to vote; the base's model does not matter here."""
    monkeypatch.setattr(round_part, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(round_part, "load_public", lambda *_: {})
    monkeypatch.setattr(round_part, "known_steps", lambda *_: [])
    played = Played(tmp_path, committee_of(3, 2, 3, security=128))
    played.spec.rule.name = "mean"
    return played


def voted(played: Played) -> dict[int, RoundPart]:
    """All seats have voted: each is there with what it has opened, and its vote is on the ledger."""
    played.screened()
    played.shown(*SEATS)
    parts = {seat: played.seat(seat) for seat in SEATS}
    for one in played.view.screenings:
        selection, one.basis = parts[one.seat].vote(played.view, grace_over=False)
        one.selection.CopyFrom(selection)
    played.view.round.phase = b.OPEN
    return parts


def passed_on(played: Played, seat: int, miner: str, salt: bytes, to: set[int]) -> None:
    """Have a seat pass this salt on to these seats only."""
    journal, context = played.journal(seat), "t-1/4/sketch"
    own, private = journal.get("sketch-shares"), journal.get("attempt-1/sealing")
    assert own is not None
    assert private is not None
    record = SketchShares.FromString(own)
    payload = SketchPayload.FromString(exchange.unseal_from(list(record.boxes), private, context, seat, seat))
    at = [one.miner for one in record.coverage].index(miner)
    payloads = {}
    for other in SEATS:
        payload.salts[at] = salt if other in to else b""
        payloads[other] = payload.SerializeToString()
    keys = {other: part.sealing_key for other, part in played.parts.items()}
    del record.boxes[:]
    record.boxes.extend(exchange.seal_for(keys, payloads, context, seat))
    stored = record.SerializeToString(deterministic=True)
    journal.put("sketch-shares", stored)
    played.view.screenings[seat - 1].sketch_shares.CopyFrom(played.store.put(stored))


def accused(parts: dict[int, RoundPart], played: Played) -> dict[int, list[int]]:
    """Whom each seat finds unfounded."""
    return {seat: [one.seat for one in part.unfounded(played.view)] for seat, part in parts.items()}


def test_equal_votes_have_another_basis_for_each_seat_and_all_find_all_right(played: Played) -> None:
    parts = voted(played)
    votes = played.view.screenings
    assert len({one.selection.SerializeToString(deterministic=True) for one in votes}) == 1
    assert len({one.basis for one in votes}) == 3
    assert accused(parts, played) == {1: [], 2: [], 3: []}


@pytest.mark.parametrize("how", ["another seat's", "made up", "of the last round"])
def test_a_copied_vote_is_found_by_every_other_seat(played: Played, how: str) -> None:
    parts = voted(played)
    first, _, lazy = played.view.screenings
    if how == "of the last round":
        before = b.Round(task_id="t-1", number=3, beacon=played.view.round.beacon)
        opened = parts[3].opened(played.view, grace_over=False)
        lazy.basis = basis.basis_of(parts[3].parameters, before, 3, lazy.selection, opened) or ""
    else:
        lazy.basis = first.basis if how == "another seat's" else "ab" * 32
    found = accused(parts, played)
    assert (found[1], found[2]) == ([3], [3])
    assert {one.fault for one in parts[1].unfounded(played.view)} == {b.UNFOUNDED_VOTE}


def test_a_seat_that_was_put_out_is_not_accused_again(played: Played) -> None:
    parts = voted(played)
    played.view.screenings[2].basis = "ab" * 32
    played.view.round.seats[:] = [1, 2]
    assert accused(parts, played)[1] == []


def test_a_seat_that_lost_what_it_had_opened_says_nothing(played: Played) -> None:
    voted(played)
    played.view.screenings[2].basis = "ab" * 32
    assert played.seat(1).unfounded(played.view) == ()


def test_a_salt_that_reaches_one_seat_only_makes_votes_differ_and_nobody_unfounded(played: Played) -> None:
    """A miner and seat 3 in league: it alone has the right salt, and passes it on to seat 1 alone."""
    miner = "M/b"
    salt = played.committee.salts[miner]
    view = b.TaskView()
    view.CopyFrom(played.view)
    played.salt_anew(miner, salts.sealed(view, miner, b"\1" * 32))
    played.screened()
    passed_on(played, 3, miner, salt, to={1, 3})
    played.shown(*SEATS)
    parts = {seat: played.seat(seat) for seat in SEATS}
    for one in played.view.screenings:
        selection, one.basis = parts[one.seat].vote(played.view, grace_over=False)
        one.selection.CopyFrom(selection)
    reasons = [one.selection.verdicts[1].reason for one in played.view.screenings]
    assert reasons == [b.CONTRIBUTES, b.FALSE_CLAIM, b.CONTRIBUTES]
    assert accused(parts, played) == {1: [], 2: [], 3: []}
    played.view.screenings[1].basis = "ab" * 32
    assert accused(parts, played) == {1: [2], 2: [2], 3: [2]}, "who lacks a sketch digests the others"
    played.view.screenings[2].basis = "ab" * 32
    assert accused(parts, played)[2] == [2], "what it cannot tell it does not say"
