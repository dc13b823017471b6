"""One seat's part in the ceremony: what it confirms, what it complains of and when, and what it never opens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from quorumlearn import ckks
from quorumlearn.artifacts import ArtifactMissing
from quorumlearn.ckks import residues as r
from quorumlearn.ckks.container import Kind, read, write
from quorumlearn.ckks.errors import MalformedShare
from quorumlearn.nodes import exchange
from quorumlearn.nodes.committee.attempt import Faulty
from quorumlearn.nodes.committee.ceremony_part import KeptClosedError, LostSecretError, complaint, grace_over
from quorumlearn.nodes.committee.keyholder import KeyHolder
from quorumlearn.nodes.committee.sending import Sender
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.journal import Journal
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import PartialDecryption
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.derived import beacon_commitment

from tests.client.nodes.played_ceremony import (
    NUMBER,
    TASK,
    Ceremony,
    FalseTest,
    NoPublicShare,
    Seat,
    begun,
    play,
)


def stepped(c: Ceremony, *names: str) -> None:
    for name in names:
        given = {seat: getattr(c.part(seat), name)() for seat in c.seats}
        for seat, contribution in given.items():
            c.post(seat, contribution)


def test_a_seat_that_is_started_again_repeats_itself(tmp_path: Path) -> None:
    c = begun(tmp_path, 3, 2)
    for name in ("commit", "reveal", "test"):
        first = getattr(c.part(1), name)() if name == "commit" or c.parts else None
        stepped(c, name)
        again = getattr(c.part(1), name)()
        assert first is None or first == again
        for field, value in again.ListFields():
            assert getattr(c.parts[1], field.name) == value


def test_where_training_is_replayed_a_start_secret_is_committed_to_and_revealed_with_the_confirmation(
    tmp_path: Path,
) -> None:
    c = begun(tmp_path, 3, 2)
    stepped(c, "commit", "reveal", "test")
    plain = c.part(1)
    assert plain.commit().start_commitment == ""
    assert plain.confirm(c.seats).start == ""
    starting = replace(plain, starts=True, profile="ab" * 32)
    committed = starting.commit()
    secret = bytes.fromhex(starting.confirm(c.seats).start)
    assert beacon_commitment(secret) == committed.start_commitment
    assert starting.commit() == committed, "a restarted seat repeats itself"
    assert committed.profile == "ab" * 32
    assert secret != starting.beacon(), "it would tell the round's beacon before anybody trains"
    public = replace(starting, journal=Journal(tmp_path / "another"), public_start=bytes(range(32)))
    assert public.commit().start_commitment == beacon_commitment(bytes(range(32)))


def test_a_key_that_is_complained_of_reveals_no_start(tmp_path: Path) -> None:
    c = begun(tmp_path, 3, 2)
    stepped(c, "commit", "reveal")
    starting = replace(c.part(1), starts=True)
    assert starting.commit().start == ""
    assert complaint("it decrypts to something else").start == ""


def test_the_secret_is_gone_once_it_is_dealt(tmp_path: Path) -> None:
    c = begun(tmp_path, 3, 2)
    stepped(c, "commit")
    journal = Journal(tmp_path / "seat-1")
    assert journal.get("secret") is not None
    stepped(c, "reveal")
    assert journal.get("secret") is None


def test_a_seat_without_its_secrets_says_so(tmp_path: Path) -> None:
    c = begun(tmp_path, 3, 2)
    stepped(c, "commit", "reveal")
    Journal(tmp_path / "seat-2").erase("sealing")
    with pytest.raises(LostSecretError, match="'sealing'"):
        c.part(2).test()


def test_an_attempt_seen_ready_is_never_opened_whatever_the_ledger_says(tmp_path: Path) -> None:
    c = play(tmp_path, 3, 2)
    c.part(1).note_ready()
    for claimed in (b.KeyContribution(), complaint("the peer lies"), b.KeyContribution(confirmed_key=OTHER)):
        c.parts[2].MergeFrom(claimed)
        with pytest.raises(KeptClosedError, match="seen its key ready"):
            c.part(1).open()


OTHER = ArtifactRef(digest="cd" * 32, size=9)


def test_an_attempt_of_which_the_ledger_shows_no_failure_is_not_opened(tmp_path: Path) -> None:
    c = play(tmp_path, 3, 2)
    with pytest.raises(KeptClosedError, match="nobody complained"):
        c.part(1).open()
    c.parts[2].ClearField("confirmed_key")
    with pytest.raises(KeptClosedError):
        c.part(1).open()
    c.parts[2].confirmed_key.CopyFrom(OTHER)
    private = c.part(1).sealing_key()
    assert c.part(1).open().opened_sealing_key == private
    c.parts[2].CopyFrom(b.KeyContribution(seat=2, complaint="it does not open"))
    assert c.part(1).open().opened_sealing_key == private


def test_a_key_is_confirmed_only_if_all_tests_agree(tmp_path: Path) -> None:
    c = play(tmp_path, 4, 2, {4: FalseTest()})
    assert [bool(c.parts[seat].complaint) for seat in (1, 2, 3)] == [True] * 3


def test_tests_that_agree_on_other_values_confirm_nothing(tmp_path: Path) -> None:
    """With v = t nothing is left over to compare: a shift by whole steps opens, but not to the known values."""
    c = begun(tmp_path, 2, 2)
    stepped(c, "commit", "reveal", "test")
    a = c.attempt
    sample = a.sample(a.collective_key())
    record = PartialDecryption.FromString(a.store.get(a.parts[2].test_partial, 1 << 24))
    counts = ((1, len(c.p.primes)),)
    (parts,), _ = read(c.p, Kind.PARTIAL, record.residues, MalformedShare, counts=counts)
    q = r.column(c.p.primes)
    moved = parts.copy()
    moved[0, :, 5] = r.add(parts[0][:, 5:6], r.constant(1 << (c.p.shift + 1), c.p.primes), q)[:, 0]
    record.residues = write(c.p, Kind.PARTIAL, moved, binding=sample.digest())
    c.parts[2].test_partial.CopyFrom(exchange.put(a.store, record))
    shifted = ckks.open_partials(
        c.p, sample, {seat: c.attempt.tested(seat, sample).residues for seat in c.seats}
    )
    assert not np.array_equal(shifted, ckks.test_values(c.p, a.test_seed))
    assert c.part(1).confirm(c.seats).complaint == (
        "the collective key decrypts the test ciphertext to something else"
    )


@pytest.mark.parametrize(("left_ms", "call"), [(10_001, False), (10_000, True), (0, True), (-5, True)])
def test_a_third_of_a_step_is_left_to_complain_in(left_ms: int, call: bool) -> None:
    assert grace_over(b.Ceremony(deadline_ms=1_000_000), 30, 1_000_000 - left_ms) == call


class Told:
    """A market that keeps what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, b.KeyContribution]] = []

    def key_step(
        self, function: str, ceremony: object, contribution: b.KeyContribution, pending: bool = False
    ) -> None:
        self.calls.append((function, contribution))


def acting(c: Ceremony, step: int, now: SimpleNamespace) -> tuple[KeyHolder, b.TaskView, Told]:
    """Seat 1 as a node has it, and the view in which its ceremony is at `step`, which ends at second 100."""
    told = Told()
    node = KeyHolder(
        me="V1MSP/v",
        msp_id="V1MSP",
        store=c.store,
        journal=Journal(c.folder / "node"),
        sender=Sender("V1MSP/v", told, lambda: now.seconds),  # type: ignore[arg-type]
        clock=lambda: now.seconds,
    )
    spec = t.TaskSpec(task_id=TASK, ckks=record_of(c.p), timeouts=t.Timeouts(key=30))
    spec.committee.CopyFrom(t.Committee(msp_ids=[f"V{seat}MSP" for seat in c.seats], threshold=c.p.threshold))
    view = b.TaskView(
        task=t.Task(spec=spec),
        state=t.TaskState(task_id=TASK, status=t.RUNNING, round=NUMBER),
        round=b.Round(number=NUMBER, phase=b.KEY),
        ceremonies=[b.Ceremony(round=NUMBER, attempt=1, step=step, deadline_ms=100_000, seats=c.seats)],  # type: ignore[arg-type]
        contributions=list(c.parts.values()),
        seats=[t.Seat(seat=seat, verifier=f"V{seat}MSP/v") for seat in c.seats],
    )
    (c.folder / f"node/round-{NUMBER}").mkdir(parents=True, exist_ok=True)
    link = c.folder / f"node/round-{NUMBER}/attempt-1"
    if not link.exists():
        link.symlink_to(c.folder / "seat-1")
    return node, view, told


@pytest.fixture(scope="module")
def secure() -> ckks.Parameters:
    """What a node accepts: parameters that protect something."""
    return ckks.Parameters.choose(300, seats=3, threshold=2)


def test_what_is_not_in_the_store_is_waited_for_and_complained_of_once_the_grace_is_over(
    tmp_path: Path, secure: ckks.Parameters
) -> None:
    c = begun(tmp_path, 3, 2)
    c.p = secure
    stepped(c, "commit")
    for seat in c.seats:
        c.post(seat, (NoPublicShare() if seat == 2 else Seat()).reveal(c.part(seat)))
    now = SimpleNamespace(seconds=70.0)
    node, view, told = acting(c, b.KEY_TEST, now)
    with pytest.raises(Faulty, match="is not in the store"):
        node.act(view)
    assert told.calls == []
    now.seconds = 90.0
    assert node.act(view)
    ((function, given),) = told.calls
    assert (function, given.complaint.startswith("seat 2, BAD_PUBLIC_SHARE: PublicShare ")) == (
        "TestKey",
        True,
    )
    assert given.withheld.artifact == c.parts[2].public_share


def test_what_the_store_has_lost_of_ones_own_is_shown_again(tmp_path: Path, secure: ckks.Parameters) -> None:
    c = begun(tmp_path, 3, 2)
    c.p = secure
    stepped(c, "commit", "reveal")
    lost = [c.parts[1].public_share, c.parts[1].sealed_shares]
    for ref in lost:
        assert c.store.delete(ref)
    node, view, told = acting(c, b.KEY_TEST, SimpleNamespace(seconds=70.0))
    assert node.act(view)
    assert told.calls[-1][1].HasField("test_partial")
    assert all(c.store.has(ref) for ref in lost)


def test_nothing_is_shown_again_before_its_time(tmp_path: Path) -> None:
    c = begun(tmp_path, 3, 2)
    stepped(c, "commit")
    assert not c.store.has(c.parts[1].public_share)
    stepped(c, "reveal", "test")
    lost = c.parts[1].test_partial
    assert c.store.delete(lost)
    c.part(1).mend()
    assert c.store.has(lost)


def test_what_can_never_pass_is_complained_of_at_once_and_judged_once_all_is_there(
    tmp_path: Path, secure: ckks.Parameters
) -> None:
    c = begun(tmp_path, 3, 2)
    c.p = secure
    stepped(c, "commit", "reveal")
    for seat in c.seats:
        c.post(seat, (FalseTest() if seat == 3 else Seat()).test(c.part(seat)))
    now = SimpleNamespace(seconds=70.0)
    node, view, told = acting(c, b.KEY_CONFIRM, now)
    assert node.act(view)
    assert told.calls[-1][0] == "ConfirmKey"
    c.post(1, told.calls[-1][1])
    node, view, told = acting(c, b.KEY_OPEN, now)
    assert node.act(view)
    assert told.calls[-1][0] == "OpenKey"
    c.post(1, told.calls[-1][1])
    for seat in (2, 3):
        c.post(seat, c.part(seat).open())
    hidden = c.store.get(c.parts[2].sealed_shares, 1 << 24)
    assert c.store.delete(c.parts[2].sealed_shares)
    node, view, told = acting(c, b.KEY_BLAME, now)
    with pytest.raises(ArtifactMissing):
        node.act(view)
    c.store.put(hidden)
    assert node.act(view)
    function, given = told.calls[-1]
    assert (function, [(one.seat, one.fault) for one in given.blame.blames]) == (
        "BlameKey",
        [(3, b.BAD_TEST_PARTIAL)],
    )


@pytest.mark.parametrize("ready", [[1, 2, 3], [2, 3]])
def test_a_node_that_has_seen_the_key_ready_keeps_it_closed_when_its_peer_shows_another_ledger(
    tmp_path: Path, secure: ckks.Parameters, ready: list[int]
) -> None:
    """Also if the key became ready without it: it was dealt its share all the same."""
    c = begun(tmp_path, 3, 2)
    c.p = secure
    stepped(c, "commit", "reveal", "test")
    for seat in c.seats:
        c.post(seat, c.part(seat).confirm(c.seats))
    now = SimpleNamespace(seconds=70.0)
    node, view, told = acting(c, b.KEY_READY, now)
    view.ceremonies[0].seats[:] = ready
    assert not node.act(view)
    c.parts[2].complaint = "it does not open"
    again, view, told = acting(c, b.KEY_OPEN, now)
    with pytest.raises(KeptClosedError):
        again.act(view)
    assert told.calls == []
