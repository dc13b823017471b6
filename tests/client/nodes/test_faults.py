"""A recorded fault is judged again from what is public: it holds, it does not, or it cannot be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import candidate, exchange
from quorumlearn.nodes.audit.faults import copied_bases, judged_again
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import PartialDecryption
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, ArtifactRef

from tests.client.nodes.committee import committee_of
from tests.client.nodes.played_ceremony import CHEATS, NUMBER, TASK, Ceremony, Seat, play
from tests.client.nodes.test_partials import Opening

REF = ArtifactRef(digest="ab" * 32, size=9)


def recorded(
    seat: int, fault: b.Fault, step: str, attempt: int = 0, accusers: tuple[int, ...] = ()
) -> b.Misconduct:
    return b.Misconduct(
        task_id=TASK, round=NUMBER, attempt=attempt, seat=seat, fault=fault, step=step, accusers=accusers
    )


def again(c: Ceremony, one: b.Misconduct) -> bool | None:
    return judged_again(c.p, c.store, b.TaskView(), c.parts, one).holds


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.__name__)
def test_a_fault_in_a_ceremony_holds_of_who_did_it_and_of_nobody_else(
    tmp_path: Path, cheat: type[Seat]
) -> None:
    c = play(tmp_path, 3, 2, {2: cheat()})
    fault = CHEATS[cheat]
    assert again(c, recorded(2, fault, "KEY_BLAME", 1)) is True
    c.parts[1].ClearField("blame")
    assert again(c, recorded(1, fault, "KEY_BLAME", 1)) is not True


def test_what_the_store_has_lost_cannot_be_judged(tmp_path: Path) -> None:
    c = play(tmp_path, 3, 2, {2: next(iter(CHEATS))()})
    assert c.store.delete(c.parts[1].sealed_shares)
    assert again(c, recorded(3, b.BAD_TEST_PARTIAL, "KEY_BLAME", 1)) is None


@pytest.mark.parametrize(
    ("step", "given"),
    [
        ("KEY_COMMIT", b.KeyContribution(public_share=REF)),
        ("KEY_REVEAL", b.KeyContribution(sealed_shares=REF)),
        ("KEY_TEST", b.KeyContribution(complaint="why")),
        ("KEY_CONFIRM", b.KeyContribution(confirmed_key=REF)),
        ("KEY_OPEN", b.KeyContribution(opened_sealing_key=b"key")),
        ("KEY_BLAME", b.KeyContribution(blame=b.BlameVote())),
    ],
)
def test_who_acted_in_a_ceremonys_step_did_not_miss_it(
    tmp_path: Path, step: str, given: b.KeyContribution
) -> None:
    c = play(tmp_path, 3, 2)
    c.parts = {1: given, 2: b.KeyContribution()}
    assert again(c, recorded(1, b.MISSED_STEP, step, 1)) is False
    assert again(c, recorded(2, b.MISSED_STEP, step, 1)) is True


class Shown:
    """A round's view with all partial decryptions in the store, one of them what a seat made of it."""

    def __init__(self, folder: Path, lie: str) -> None:
        opening = Opening(committee_of(3, 2, 3))
        self.parameters = opening.committee.parameters
        self.store = ArtifactStore(str(folder / "store"), create=True)
        total = self.store.put(opening.total.to_bytes())
        self.view = b.TaskView(round=b.Round(task_id=TASK, number=NUMBER, aggregate_ciphertext=total.digest))
        spoilt = {
            "": opening.partials[3],
            "shifted": opening.shifted(3, 50),
            "cut off": opening.partials[3][:-1],
        }
        for seat, partial in {**opening.partials, 3: spoilt[lie]}.items():
            posted = PartialDecryption(
                task_id=TASK,
                round=NUMBER,
                seat=seat,
                purpose=AGGREGATE_DECRYPTION,
                ciphertext=total.digest,
                residues=partial,
            )
            self.view.screenings.add(
                seat=seat, partial=exchange.put(self.store, posted), aggregate_ciphertext=total.digest
            )
        for accuser in (1, 2):
            self.view.accusations.add(accuser=accuser, seat=3, fault=b.BAD_PARTIAL)

    def again(self, one: b.Misconduct) -> bool | None:
        return judged_again(self.parameters, self.store, self.view, {}, one).holds


@pytest.mark.parametrize(("lie", "holds"), [("", False), ("shifted", True), ("cut off", True)])
def test_a_partial_decryption_is_held_against_the_others(tmp_path: Path, lie: str, holds: bool) -> None:
    shown = Shown(tmp_path, lie)
    accused = recorded(3, b.BAD_PARTIAL, "PROPOSE", accusers=(1, 2))
    assert shown.again(accused) is holds
    del shown.view.accusations[1:]
    assert shown.again(accused) is False


def test_with_none_to_spare_or_lost_it_cannot_be_told(tmp_path: Path) -> None:
    shown = Shown(tmp_path, "")
    accused = recorded(3, b.BAD_PARTIAL, "PROPOSE", accusers=(1, 2))
    refs = candidate.posted_partials(b.Round(seats=[1], **_same(shown)), shown.view.screenings)
    assert shown.store.delete(refs[1])
    assert shown.again(accused) is None
    assert shown.store.delete(shown.view.screenings[2].partial)
    assert shown.again(accused) is True  # it has withdrawn its own


def _same(shown: Shown) -> dict[str, Any]:
    return {"aggregate_ciphertext": shown.view.round.aggregate_ciphertext}


def test_a_vote_with_another_seats_basis_is_seen_by_anybody_and_another_false_one_by_the_seats(
    tmp_path: Path,
) -> None:
    shown = Shown(tmp_path, "")
    accused = recorded(3, b.UNFOUNDED_VOTE, "OPEN", accusers=(1, 2))
    for one in shown.view.accusations:
        one.fault = b.UNFOUNDED_VOTE
    for posted in shown.view.screenings:
        posted.basis = f"{posted.seat:064d}"
    assert shown.again(accused) is None
    assert copied_bases(shown.view) == []
    shown.view.screenings[2].basis = shown.view.screenings[0].basis
    assert shown.again(accused) is True
    assert copied_bases(shown.view) == [[1, 3]]


def test_sealed_shares_are_the_accusers_word_unless_they_are_missing(tmp_path: Path) -> None:
    shown = Shown(tmp_path, "")
    accused = recorded(3, b.BAD_SKETCH_SHARES, "SELECT", accusers=(1, 2))
    assert shown.again(accused) is False  # nobody said it
    for one in shown.view.accusations:
        one.fault = b.BAD_SKETCH_SHARES
    shown.view.screenings[2].sketch_shares.CopyFrom(REF)
    assert shown.again(accused) is True
