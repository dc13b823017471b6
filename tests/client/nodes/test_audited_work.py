"""What anybody finds out of a round's trainings from the ledger and the store: wrong work that was paid, right work that was slashed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from quorumlearn.nodes.audit import work
from quorumlearn.nodes.audit.checks import Result
from quorumlearn.nodes.audit.records import Money, Record
from quorumlearn.nodes.committee import replaying
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import ReplayReport

from tests.client.nodes.played_work import SEATS, PlayedWork

CHEAT = "M/b"


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlayedWork:
    """All segments are drawn, and M/b has done none of them."""
    monkeypatch.setattr(replaying, "WAIT_SECONDS", 0.01)
    made = PlayedWork(tmp_path, segments=4)
    made.commit({CHEAT: "skipper:1"})
    made.open()
    made.report(*SEATS)
    made.show(*SEATS)
    return made


def selected(played: PlayedWork, changes: Mapping[str, b.Verdict] = {}) -> Record:
    """The record of a round that ended well, with the verdicts of honest seats but for the changes."""
    unsound = played.seat(1).confirmed(played.view, last=False).unsound
    now = played.view.round
    now.ClearField("selection")
    for miner in now.miners:
        verdict = b.Verdict(miner=miner, reason=b.CONTRIBUTES, weight=1)
        if miner in unsound:
            verdict = b.Verdict(miner=miner, reason=unsound[miner].reason, proof=unsound[miner].proof)
        now.selection.verdicts.append(changes.get(miner, verdict))
    now.outcome, now.phase = b.ACCEPTED, b.ENDED
    spec = played.view.task.spec
    return Record(
        spec=spec,
        state=t.TaskState(task_id="task", round=1),
        views=(played.view,),
        blocks=(),
        authorisations=(),
        misconducts=(),
        attempts={(1, 1): {one.seat: one for one in played.view.contributions}},
        ballots={},
        money=Money(),
        work={"M/a": 4, "M/b": 0, "N/c": 4},
    )


def looked_at(played: PlayedWork, record: Record, count: int = 0) -> list[tuple[Result, str]]:
    return list(work.verified(record, played.store, played.view, count))


def test_an_honest_round_is_well_and_what_was_slashed_for_is_replayed(played: PlayedWork) -> None:
    found = looked_at(played, selected(played), 20)
    assert {result for result, _ in found} == {Result.OK}
    said = [detail for _, detail in found]
    assert any("of M/b replayed: wrong, as proven" in one for one in said)
    assert sum("replayed: right" in one for one in said) == 10, "five items of each of the two that stand"


def test_the_start_beacon_and_the_teams_are_drawn_again(played: PlayedWork) -> None:
    record = selected(played)
    assert [result for result, _ in work.started(record, played.view)] == [Result.OK]
    played.view.round.teams[0].chunks[:] = [1, 2]
    assert [result for result, _ in work.started(record, played.view)] == [Result.VIOLATION]
    played.view.contributions[0].start = "00" * 32
    said = [
        detail for result, detail in work.started(selected(played), played.view) if result is Result.VIOLATION
    ]
    assert "seat 1 started from another secret" in said[0]


def proof(played: PlayedWork, **changes: object) -> b.WorkProof:
    """What honest seats prove of the cheat, changed."""
    made = b.WorkProof()
    found = played.seat(1).confirmed(played.view, last=False).unsound[CHEAT].proof
    assert found is not None
    made.CopyFrom(found)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_right_work_that_was_slashed_is_a_violation(played: PlayedWork) -> None:
    item = next(one for one in played.items(1) if one.miner == "M/a")
    framed = b.WorkProof(item=item.number, claimed="aa" * 32, replayed="bb" * 32, seats=item.seats)
    verdict = b.Verdict(miner="M/a", reason=b.WRONG_WORK, proof=framed)
    found = looked_at(played, selected(played, {"M/a": verdict}))
    assert (Result.VIOLATION, f"item {item.number} of M/a is right, and was slashed for") in found


def test_a_proof_with_other_digests_is_a_violation(played: PlayedWork) -> None:
    verdict = b.Verdict(miner=CHEAT, reason=b.WRONG_WORK, proof=proof(played, replayed="bb" * 32))
    found = looked_at(played, selected(played, {CHEAT: verdict}))
    assert [detail for result, detail in found if result is Result.VIOLATION] == [
        f"item {verdict.proof.item} of M/b is wrong, and its proof has other digests than a replay"
    ]


def test_wrong_work_that_counts_is_found_by_who_replays_it(played: PlayedWork) -> None:
    paid = b.Verdict(miner=CHEAT, reason=b.CONTRIBUTES, weight=1)
    record = selected(played, {CHEAT: paid})
    assert {result for result, _ in looked_at(played, record)} == {Result.OK}
    found = looked_at(played, record, 20)
    assert (
        sum(result is Result.VIOLATION and "of M/b is wrong, and counts" in said for result, said in found)
        == 4
    )


def test_what_the_store_does_not_hold_any_more_is_unknown(played: PlayedWork) -> None:
    record = selected(played)
    played.store.delete(played.submission(CHEAT).opening)
    assert [result for result, _ in looked_at(played, record)] == [Result.UNKNOWN, Result.OK]


def test_a_verdict_that_the_records_do_not_allow_is_a_violation(played: PlayedWork) -> None:
    verdict = b.Verdict(miner=CHEAT, reason=b.WRONG_WORK, proof=proof(played, item=77))
    found = looked_at(played, selected(played, {CHEAT: verdict}))
    assert [result for result, _ in found] == [Result.VIOLATION]


def test_work_in_the_lottery_is_counted_again(played: PlayedWork) -> None:
    record = selected(played)
    assert [result for result, _ in work.lottery(record)] == [Result.OK]
    more = replace(record, work={"M/a": 4, "M/b": 4, "N/c": 4})
    assert list(work.lottery(more)) == [(Result.VIOLATION, "the work of M/b is 4, due are 0 steps")]


# False reports


def accused(played: PlayedWork, seat: int) -> b.Misconduct:
    others = [one for one in SEATS if one != seat]
    for accuser in others:
        played.view.accusations.add(seat=seat, fault=b.FALSE_REPLAY, accuser=accuser)
    return b.Misconduct(
        task_id="task", round=1, seat=seat, fault=b.FALSE_REPLAY, accusers=others, step="SELECT"
    )


def test_an_honest_seat_that_was_accused_is_cleared(played: PlayedWork) -> None:
    one = accused(played, 2)
    assert work.report_judged(selected(played), played.store, played.view, one).holds is False


def test_a_report_that_replays_contradict_is_a_fault(played: PlayedWork) -> None:
    record = selected(played)
    other = played.view.screenings[1].replays
    told = played.store.get(other, 1 << 20)
    changed = ReplayReport.FromString(told)
    changed.replays[0].receipt = bytes(32)
    other.CopyFrom(played.store.put(changed.SerializeToString(deterministic=True)))
    assert work.report_judged(record, played.store, played.view, accused(played, 2)).holds is True


def test_a_report_that_is_not_in_the_store_is_a_fault(played: PlayedWork) -> None:
    record = selected(played)
    played.store.delete(played.view.screenings[1].replays)
    assert work.report_judged(record, played.store, played.view, accused(played, 2)).holds is True


def test_a_fault_that_too_few_seats_have_named_is_none(played: PlayedWork) -> None:
    record, one = selected(played), accused(played, 2)
    del played.view.accusations[0]
    assert work.report_judged(record, played.store, played.view, one).holds is False
