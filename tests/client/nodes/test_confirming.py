"""Agree, or replay: no seat's word alone harms a miner, and every word that a replay contradicts costs the seat that gave it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.nodes.committee.confirming import (
    Replayed,
    by_votes,
    contested,
    contradicted,
    false_reports,
    unsound,
    without_edges,
)
from quorumlearn.nodes.committee.reports import FAILED, Report
from quorumlearn.nodes.work.drawn import Item
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import MISSING, RIGHT, WRONG, Replay, ReplayFinding

MINER = "M/a"
ITEMS = [Item(MINER, 1, (1, 2)), Item(MINER, 2, (2, 3)), Item("M/b", 1, (1, 3))]
TRUE, OTHER = bytes(32), bytes([1]) * 32


def entry(item: Item, found: ReplayFinding = RIGHT, receipt: bytes = TRUE, digest: bytes = TRUE) -> Replay:
    if found in (MISSING, FAILED):
        receipt = digest = b""
    return Replay(miner=item.miner, item=item.number, found=found, receipt=receipt, digest=digest)


def said(changes: Mapping[tuple[int, int], Replay | None] = {}) -> dict[int, Report]:
    """Reports of three seats that find all right, but for what `changes` has by seat and place among ITEMS; None: no entry."""
    found: dict[int, dict[tuple[str, int], Replay]] = {1: {}, 2: {}, 3: {}}
    for place, item in enumerate(ITEMS):
        for seat in item.seats:
            one = changes.get((seat, place), entry(item))
            if one is not None:
                found[seat][item.key] = one
    return dict(found)


def own(*entries: Replay, claimed: str = "cc" * 32) -> dict[tuple[str, int], Replayed]:
    return {(one.miner, one.item): Replayed(one, claimed) for one in entries}


def test_what_all_for_whom_it_is_drawn_find_right_nobody_replays_again() -> None:
    assert contested(ITEMS, said()) == []
    assert unsound(ITEMS, said(), {}) == {}


@pytest.mark.parametrize(
    "one",
    [
        None,
        entry(ITEMS[0], WRONG),
        entry(ITEMS[0], MISSING),
        entry(ITEMS[0], FAILED),
        entry(ITEMS[0], receipt=OTHER),
        entry(ITEMS[0], digest=OTHER),
    ],
)
def test_whatever_else_a_report_says_is_replayed_by_everybody(one: Replay | None) -> None:
    assert contested(ITEMS, said({(1, 0): one})) == [ITEMS[0]]


def test_a_seat_that_is_known_to_be_false_keeps_nobody_busy_and_its_word_counts_no_more() -> None:
    reports = said({(1, 0): entry(ITEMS[0], WRONG), (1, 2): entry(ITEMS[2], WRONG)})
    assert contested(ITEMS, reports) == [ITEMS[0], ITEMS[2]]
    assert contested(ITEMS, reports, {1}) == []
    assert unsound(ITEMS, reports, {}, {1}) == {}
    assert contested(ITEMS, reports, {1, 2}) == [ITEMS[0]], "of whom nobody is left that is replayed"


def test_an_item_of_a_seat_without_report_is_contested() -> None:
    reports = said()
    del reports[3]
    assert contested(ITEMS, reports) == [ITEMS[1], ITEMS[2]]


@pytest.mark.parametrize(
    "lie", [entry(ITEMS[0], WRONG), entry(ITEMS[0], receipt=OTHER), entry(ITEMS[0], FAILED)]
)
def test_a_false_word_costs_its_seat_and_no_miner(lie: Replay) -> None:
    reports, mine = said({(1, 0): lie}), own(entry(ITEMS[0]))
    assert [(one.seat, one.fault) for one in false_reports(ITEMS[:1], reports, mine, {MINER})] == [
        (1, b.FALSE_REPLAY)
    ]
    assert unsound(ITEMS, reports, mine) == {}


def test_who_calls_wrong_work_right_is_named_and_the_miner_is_proven_wrong_by_its_lowest_item() -> None:
    wrong = [entry(item, WRONG, OTHER, OTHER) for item in ITEMS[:2]]
    reports = said({(1, 0): wrong[0], (2, 1): wrong[1]})
    mine = own(*wrong)
    assert [one.seat for one in false_reports(ITEMS[:2], reports, mine, ())] == [2, 3]
    found = unsound(ITEMS, reports, mine)
    assert found.keys() == {MINER}
    assert (found[MINER].reason, found[MINER].sure) == (b.WRONG_WORK, True)
    assert found[MINER].proof == b.WorkProof(item=1, claimed="cc" * 32, replayed=OTHER.hex(), seats=[1, 2])


def test_two_seats_that_copy_each_other_are_found_by_the_third() -> None:
    """Reports are fixed before any is shown; who agrees on a receipt beforehand has not replayed either."""
    made_up = entry(ITEMS[0], receipt=OTHER)
    reports = said({(1, 0): made_up, (2, 0): entry(ITEMS[0], WRONG)})
    assert [one.seat for one in false_reports(ITEMS[:1], reports, own(entry(ITEMS[0])), ())] == [1, 2]


def test_a_missing_opening_is_a_false_report_only_where_the_accuser_had_it_early() -> None:
    reports, mine = said({(1, 0): entry(ITEMS[0], MISSING)}), own(entry(ITEMS[0]))
    assert false_reports(ITEMS[:1], reports, mine, ()) == []
    assert [one.seat for one in false_reports(ITEMS[:1], reports, mine, {MINER})] == [1]


def test_of_sealed_data_nobody_is_accused_of_saying_that_it_cannot_tell() -> None:
    for found in (MISSING, FAILED):
        reports = said({(1, 0): entry(ITEMS[0], found)})
        assert false_reports(ITEMS[:1], reports, own(entry(ITEMS[0])), {MINER}, sealed=True) == []


def test_an_opening_that_no_seat_has_found_is_missing_at_once_and_else_others_are_heard_first() -> None:
    lost = own(entry(ITEMS[0], MISSING))
    all_lost = said({(1, 0): entry(ITEMS[0], MISSING), (2, 0): entry(ITEMS[0], MISSING)})
    found = unsound(ITEMS, all_lost, lost)[MINER]
    assert (found.reason, found.sure) == (b.MISSING_ARTIFACT, True)
    found = unsound(ITEMS, said({(1, 0): entry(ITEMS[0], MISSING)}), lost)[MINER]
    assert (found.reason, found.sure) == (b.MISSING_ARTIFACT, False)


def test_a_seat_whose_replay_fails_says_nothing_of_the_miner() -> None:
    reports, mine = said({(1, 0): entry(ITEMS[0], WRONG)}), own(entry(ITEMS[0], FAILED))
    assert false_reports(ITEMS[:1], reports, mine, ()) == []
    found = unsound(ITEMS, reports, mine)[MINER]
    assert (found.reason, found.sure, found.proof) == (b.UNCONFIRMED, False, None)


PROOF = b.WorkProof(item=1, claimed="aa" * 32, replayed="bb" * 32, seats=[1, 2])


def votes(*verdicts: b.Verdict) -> b.TaskView:
    view = b.TaskView(task=t.Task(spec=t.TaskSpec(committee=t.Committee(threshold=2))))
    view.round.seats.extend([1, 2, 3])
    for seat, verdict in enumerate(verdicts, 1):
        verdict.miner = MINER
        view.screenings.add(seat=seat, selection=b.Selection(verdicts=[verdict]))
    return view


def test_t_equal_votes_are_believed_and_fewer_are_not() -> None:
    wrong, stands = b.Verdict(reason=b.WRONG_WORK, proof=PROOF), b.Verdict(reason=b.CONTRIBUTES, weight=1)
    assert by_votes(votes(wrong, stands), MINER) is None
    heard = by_votes(votes(wrong, stands, wrong), MINER)
    assert heard is not None
    assert heard != "stands"
    assert (heard.reason, heard.proof) == (b.WRONG_WORK, PROOF)
    assert by_votes(votes(stands, b.Verdict(reason=b.NOT_SELECTED)), MINER) == "stands"


def test_the_votes_of_seats_that_were_put_out_do_not_count() -> None:
    view = votes(b.Verdict(reason=b.WRONG_WORK, proof=PROOF), b.Verdict(reason=b.WRONG_WORK, proof=PROOF))
    view.round.seats[:] = [2, 3]
    assert by_votes(view, MINER) is None


LIES = st.sampled_from([RIGHT, WRONG, MISSING, FAILED])


@given(st.dictionaries(st.sampled_from([(1, 0), (1, 2)]), st.tuples(LIES, st.booleans())), st.booleans())
def test_whatever_one_seat_says_an_honest_one_is_never_named_and_honest_work_stands(
    lies: dict[tuple[int, int], tuple[ReplayFinding, bool]], early: bool
) -> None:
    """Seat 1 is the bad one; the others, and the seat that judges, replay the same."""
    changes = {at: entry(ITEMS[at[1]], found, TRUE if true else OTHER) for at, (found, true) in lies.items()}
    reports = said(changes)
    mine = own(*map(entry, ITEMS))
    left = contested(ITEMS, reports)
    assert {one.seat for one in false_reports(left, reports, mine, {MINER} if early else ())} <= {1}
    assert unsound(ITEMS, reports, mine) == {}
    if any(found in (WRONG, FAILED) or (found == RIGHT and not true) for found, true in lies.values()):
        assert {one.seat for one in false_reports(left, reports, mine, (MINER, "M/b"))} == {1}


def test_of_an_item_on_an_edge_a_seat_that_finds_it_wrong_cannot_tell() -> None:
    mine = own(entry(ITEMS[0], WRONG), entry(ITEMS[1], WRONG), entry(ITEMS[2]))
    told = without_edges(mine, {one.key for one in ITEMS} - {ITEMS[1].key})
    assert [one.replay.found for one in told.values()] == [FAILED, WRONG, RIGHT]
    alone = {ITEMS[0].key: told[ITEMS[0].key]}
    found = unsound(ITEMS[:1], said({(1, 0): entry(ITEMS[0], WRONG)}), alone)
    assert (found[MINER].reason, found[MINER].sure) == (b.UNCONFIRMED, False)
    assert false_reports(ITEMS[:1], said(), alone, (MINER,)) == []


def test_nobody_is_accused_of_calling_wrong_for_another_reason_what_is_wrong() -> None:
    reports = said({(1, 0): entry(ITEMS[0], WRONG, receipt=OTHER), (2, 0): entry(ITEMS[0], WRONG)})
    mine = own(entry(ITEMS[0], WRONG))
    assert false_reports(ITEMS[:1], reports, mine, ()) == []


@pytest.mark.parametrize(
    ("one", "does"),
    [
        (entry(ITEMS[0]), False),
        (entry(ITEMS[0], MISSING), False),
        (entry(ITEMS[0], FAILED), False),
        (entry(ITEMS[0], WRONG), True),
        (entry(ITEMS[0], digest=OTHER), True),
    ],
)
def test_another_replay_contradicts_ones_own(one: Replay, does: bool) -> None:
    assert contradicted(ITEMS[0], said({(1, 0): one}), entry(ITEMS[0])) is does


def test_what_is_wrong_to_both_contradicts_nobody() -> None:
    reports = said({(1, 0): entry(ITEMS[0], WRONG, digest=OTHER), (2, 0): entry(ITEMS[0], WRONG)})
    assert not contradicted(ITEMS[0], reports, entry(ITEMS[0], WRONG))


def test_an_opening_that_is_held_back_until_replay_is_over_makes_nobody_replay_and_wins_nothing() -> None:
    held_back = said({(1, 0): entry(ITEMS[0], MISSING), (2, 0): entry(ITEMS[0], MISSING)})
    assert contested(ITEMS, held_back) == []
    found = unsound(ITEMS, held_back, {})
    assert {miner: (one.reason, one.sure) for miner, one in found.items()} == {
        MINER: (b.MISSING_ARTIFACT, True)
    }


def test_an_item_that_one_has_not_found_and_another_has_not_reported_is_replayed() -> None:
    reports = said({(1, 0): entry(ITEMS[0], MISSING)})
    del reports[2]
    assert ITEMS[0] in contested(ITEMS, reports)
