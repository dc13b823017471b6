"""A verifier makes its step of the next round's ceremony when it is open and sends it with its next step in the round."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import NOTHING, Along, Refused
from quorumlearn.nodes.verifier import Verifier
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.common_pb2 import ArtifactRef

from tests.client.nodes.seats import SEATS, verifier_in_seat, view_of_seats

KEY_SECONDS = 60
ELSEWHERE = ArtifactRef(digest="ab" * 32, size=7)


class Recorder:
    """A market that keeps what it is sent, and refuses what goes along if told to."""

    def __init__(self, refusing: str = "") -> None:
        self.beacons: list[Along] = []
        self.alone: list[str] = []
        self.refusing = refusing

    def reveal_beacon(self, task: str, number: int, secret: bytes, along: Along = NOTHING) -> None:
        self.beacons.append(along)
        if self.refusing and (along.key is not None or self.refusing == "DIGEST_MISMATCH"):
            raise Refused("blocks:RevealBeacon", self.refusing, "no")

    def key_step(
        self, function: str, ceremony: tuple[str, int, int], given: b.KeyContribution, pending: bool
    ) -> None:
        self.alone.append(function)


def view_in(phase: b.Phase, step: b.CeremonyStep = b.KEY_COMMIT) -> b.TaskView:
    """Three seats in round 1, and the ceremony of round 2."""
    view = view_of_seats(phase)
    view.task.spec.timeouts.key = KEY_SECONDS
    view.ceremonies.add(round=2, attempt=1, step=step, seats=SEATS, deadline_ms=1000 * KEY_SECONDS)
    for seat in SEATS if step != b.KEY_COMMIT else ():
        view.contributions.add(round=2, attempt=1, seat=seat, public_share=ELSEWHERE, sealed_shares=ELSEWHERE)
    return view


def second_seat(folder: Path, market: Recorder, seconds: float = 0.0) -> Verifier:
    """So many seconds after the ceremony's step has begun."""
    return verifier_in_seat(2, folder, market, clock=lambda: seconds)


def test_a_key_step_is_made_while_miners_train_and_sent_with_the_beacon(tmp_path: Path) -> None:
    market = Recorder()
    seat = second_seat(tmp_path, market)
    assert not seat.act(view_in(b.COMMIT))
    made = Journal(tmp_path / "seat-2").get("round-2/attempt-1/public")
    assert made is not None
    assert (market.beacons, market.alone) == ([], [])
    assert seat.act(view_in(b.BEACON))
    (along,) = market.beacons
    assert along.key is not None
    assert (along.key.function, along.key.attempt, market.alone) == ("CommitKey", 1, [])
    assert along.key.contribution.public_share.digest == hashlib.sha256(made).hexdigest()


def test_a_key_step_goes_alone_where_half_of_its_time_is_over(tmp_path: Path) -> None:
    market = Recorder()
    assert second_seat(tmp_path, market, KEY_SECONDS / 2).act(view_in(b.COMMIT))
    assert (market.beacons, market.alone) == ([], ["CommitKey"])


def test_the_rounds_step_is_sent_again_without_what_the_ledger_refuses(tmp_path: Path) -> None:
    market = Recorder("WRONG_PHASE")
    assert second_seat(tmp_path, market).act(view_in(b.BEACON))
    first, second = market.beacons
    assert first.key is not None
    assert second == Along(first.pending)


def test_a_rounds_step_that_is_refused_itself_is_refused(tmp_path: Path) -> None:
    market = Recorder("DIGEST_MISMATCH")
    with pytest.raises(Refused):
        second_seat(tmp_path, market).act(view_in(b.BEACON))


@pytest.mark.parametrize("step", [b.KEY_REVEAL, b.KEY_TEST])
def test_a_key_step_that_cannot_be_made_holds_up_nothing(tmp_path: Path, step: b.CeremonyStep) -> None:
    """Its secrets are lost, or the others' artifacts are not there yet."""
    market = Recorder()
    assert second_seat(tmp_path, market).act(view_in(b.BEACON, step))
    (along,) = market.beacons
    assert along.key is None
    assert market.alone == []
