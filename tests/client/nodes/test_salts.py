"""The salt of a claim reaches the seats and nobody else, and no miner is harmed by what one of them got."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from quorumlearn.artifacts import ArtifactMissing
from quorumlearn.nodes import exchange, salts, sealing
from quorumlearn.nodes.committee import round_part
from quorumlearn.nodes.screening import Reason, Sketch
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import SealedSalts
from quorumlearn_proto.common_pb2 import ArtifactRef

from tests.client.nodes.committee import committee_of
from tests.client.nodes.played_round import SEATS, Played

ME, OTHER = "M/a", "M/b"
WRONG = b"\1" * salts.BYTES


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    monkeypatch.setattr(round_part, "WAIT_SECONDS", 0.01)
    return Played(tmp_path, committee_of(3, 2, 3, security=128))


def sealed(played: Played, messages: Mapping[int, bytes], sender: str = ME) -> bytes:
    """An artifact of M/a with these messages, sealed as `sender` would."""
    keys = {seat: played.parts[seat].sealing_key for seat in messages}
    boxes = exchange.seal_for(keys, dict(messages), "t-1/4/salt", sender)
    return SealedSalts(task_id="t-1", round=4, miner=ME, boxes=boxes).SerializeToString()


def verdicts(played: Played, *, grace_over: bool = False) -> list[Sketch | Reason]:
    """What each seat finds of M/a: its sketch, or why it has none. Of the others all find what they sent, and nobody is named."""
    played.screened(grace_over=grace_over)
    played.shown(*SEATS)
    found: list[Sketch | Reason] = []
    for seat in SEATS:
        opened = played.seat(seat).opened(played.view, grace_over=False)
        assert (opened.false, opened.undecided) == ((), "")
        for miner in played.committee.miners[1:]:
            np.testing.assert_allclose(opened.sketches[miner], played.committee.plain(miner), atol=1e-9)
        found.append(opened.sketches[ME])
    return found


@pytest.mark.parametrize("right", SEATS)
@pytest.mark.parametrize("others", [WRONG, b"", b"short", None])
def test_the_salt_that_one_seat_opens_reaches_all(played: Played, right: int, others: bytes | None) -> None:
    messages = {} if others is None else dict.fromkeys(SEATS, others)
    played.salt_anew(ME, sealed(played, messages | {right: played.committee.salts[ME]}))
    for sketch in verdicts(played):
        np.testing.assert_allclose(sketch, played.committee.plain(ME), atol=1e-9)


HOSTILE: dict[str, Callable[[Played], bytes]] = {
    "no boxes": lambda played: sealed(played, {}),
    "no record": lambda _: b"\xff" * 100,
    "too large": lambda _: bytes(1 << 20),
    "wrong salts": lambda played: sealed(played, dict.fromkeys(SEATS, WRONG)),
    "sealed by another": lambda played: sealed(
        played, dict.fromkeys(SEATS, played.committee.salts[ME]), OTHER
    ),
    "another's": lambda played: salts.sealed(played.view, OTHER, played.committee.salts[ME]),
}


@pytest.mark.parametrize("artifact", HOSTILE)
def test_a_salt_that_no_seat_opens_leaves_the_claim_false_and_everything_else_as_it_is(
    played: Played, artifact: str
) -> None:
    played.salt_anew(ME, HOSTILE[artifact](played))
    assert verdicts(played) == [b.FALSE_CLAIM] * len(SEATS)


def test_a_salt_that_is_not_in_the_store_is_waited_for_and_then_leaves_the_claim_false(
    played: Played,
) -> None:
    assert played.store.delete(played.view.submissions[0].manifest.salts)
    with pytest.raises(ArtifactMissing):
        played.screened()
    assert not played.view.screenings
    assert verdicts(played, grace_over=True) == [b.FALSE_CLAIM] * len(SEATS)


def test_the_salt_opens_to_no_other_key_round_or_miner(played: Played) -> None:
    ref, now = played.view.submissions[0].manifest.salts, played.view.round
    private = played.journal(1).get("attempt-1/sealing")
    assert private is not None

    def found(now: b.Round = now, miner: str = ME, ref: ArtifactRef = ref, private: bytes = private) -> bytes:
        return salts.opened(played.store, now, miner, ref, private, 1)

    assert found() == played.committee.salts[ME]
    other_round = b.Round()
    other_round.CopyFrom(now)
    other_round.number += 1
    assert found(now=other_round) == b""
    assert found(miner=OTHER) == b""
    assert found(private=sealing.new_key()) == b""


def test_two_salts_are_never_the_same() -> None:
    assert len({salts.new() for _ in range(100)}) == 100
