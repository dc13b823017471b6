"""A verifier's part in the key ceremony of one round (docs/protocol.md).

Commit to b_i, show it and seal Shamir shares of s_i to the others, test that the sum of the shares decrypts, confirm the
collective key. What another seat spoiled raises `Faulty`, and becomes a complaint (`complaint`) when it cannot pass any more.

Secrets live in the journal below `round-N/attempt-A` and are erased with the round: `secret` (s_i, until its shares are
dealt), `sealing` (the round's private sealing key), `share` (this seat's share of s), `beacon` and, where training is replayed, `start`
(its parts of the round's beacons; the start beacon is revealed with the confirmation). The sealing key of an attempt
that failed is opened (`open`), so that the fault can be found. That of an attempt that became the round's key protects the
round's sketches and is never opened: not once this seat has seen it ready (the journal keeps `ready`), and not while the
ledger shows no reason why the attempt has failed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import PartialDecryption, PublicShare, SealedShares
from quorumlearn_proto.common_pb2 import KEY_TEST_DECRYPTION
from quorumlearn_proto.derived import beacon_commitment

from quorumlearn import ckks
from quorumlearn.artifacts import reference_of
from quorumlearn.nodes import exchange, sealing
from quorumlearn.nodes.committee.attempt import Attempt, Faulty, line
from quorumlearn.nodes.journal import Journal


class LostSecretError(Exception):
    """The journal lacks a secret of this round (it was erased or moved); the seat sits the round out."""


class KeptClosedError(Exception):
    """The ledger asks for the private sealing key of an attempt that is, or may be, the round's key."""


@dataclass(frozen=True)
class CeremonyPart:
    """What one seat does in one attempt of one round's ceremony. `public_beacon` and `public_start` are its parts of the beacons where a
    run is to be repeated (nodes.randomness); in every other those are the system's, as all secrets are. `starts`: training is replayed,
    so that there is a start beacon; `profile` is the seat's numeric profile, where seats of a miner's own replay it."""

    attempt: Attempt
    journal: Journal
    seat: int
    public_beacon: bytes | None = None
    public_start: bytes | None = None
    starts: bool = False
    profile: str = ""

    def commit(self) -> b.KeyContribution:
        """Draw s_i, the sealing key and the parts of the beacons; name their public sides by digest."""
        public = self._once("public", self._draw)
        sealing_key = self._once("sealing", sealing.new_key)
        beacon = self._once("beacon", lambda: _drawn(self.public_beacon))
        start = self._once("start", lambda: _drawn(self.public_start)) if self.starts else None
        return b.KeyContribution(
            public_share=reference_of(public),
            beacon_commitment=beacon_commitment(beacon),
            sealing_key=sealing.public_key(sealing_key),
            profile=self.profile,
            start_commitment="" if start is None else beacon_commitment(start),
        )

    def reveal(self) -> b.KeyContribution:
        """Put b_i in the store and deal s_i to the seats that committed."""
        attempt = self.attempt
        attempt.store.put(self._entry("public"), attempt.purpose)
        sealed = self.journal.get("sealed")
        if sealed is None:
            secret = ckks.SecretPolynomial.restore(attempt.parameters, self._entry("secret"))
            shares = ckks.deal(attempt.parameters, secret, sorted(attempt.parts))
            keys = {seat: part.sealing_key for seat, part in attempt.parts.items()}
            record = SealedShares(
                task_id=attempt.task,
                round=attempt.number,
                attempt=attempt.attempt,
                seat=self.seat,
                boxes=exchange.seal_for(keys, shares, attempt.context, self.seat),
            )
            sealed = record.SerializeToString(deterministic=True)
            self.journal.put("sealed", sealed)
        self.journal.erase("secret")
        return b.KeyContribution(sealed_shares=attempt.store.put(sealed, attempt.purpose))

    def test(self) -> b.KeyContribution:
        """Add up the shares dealt to this seat and decrypt, in part, what everyone can make: a ciphertext, and an update's
        sketch."""
        attempt, private = self.attempt, self._entry("sealing")
        key = attempt.collective_key()
        sample = attempt.sample(key)
        dealt = [
            attempt.dealt(attempt.boxes(dealer), dealer, self.seat, private) for dealer in attempt.dealers
        ]
        share = ckks.sum_shares(attempt.parameters, dealt)
        self.journal.put("share", share)
        tested = self._once("tested", lambda: self._tested(key, sample, share))
        return b.KeyContribution(test_partial=attempt.store.put(tested, attempt.purpose))

    def confirm(self, seats: Sequence[int]) -> b.KeyContribution:
        """Combine these seats' parts of the tests; a key is confirmed only if all of them agree, open to the known values, and
        show no more noise than an honest key has. What is wrong otherwise is said in a complaint."""
        attempt = self.attempt
        key = attempt.collective_key()
        sample = attempt.sample(key)
        tests = {seat: attempt.tested(seat, sample) for seat in seats}
        try:
            opened = ckks.open_partials(
                attempt.parameters, sample, {seat: test.residues for seat, test in tests.items()}
            )
            attempt.rehearsal(key).check({seat: test.rehearsal for seat, test in tests.items()})
        except (ckks.BadPartial, ckks.MalformedShare) as error:
            return complaint(str(error))
        if not (opened == ckks.test_values(attempt.parameters, attempt.test_seed)).all():
            return complaint("the collective key decrypts the test ciphertext to something else")
        return b.KeyContribution(
            confirmed_key=exchange.put(attempt.store, attempt.key_record(key), attempt.purpose),
            start=self._entry("start").hex() if self.starts else "",
        )

    def mend(self) -> None:
        """Show again what this seat has shown and the store has lost: it would be its fault. From KEY_TEST on."""
        mine = self.attempt.parts[self.seat]
        shown = {"public": mine.public_share, "sealed": mine.sealed_shares, "tested": mine.test_partial}
        for name, ref in shown.items():
            data = self.journal.get(name)
            if data is not None and ref.digest and not self.attempt.store.has(ref):
                self.attempt.store.put(data)

    def open(self) -> b.KeyContribution:
        """The private sealing key of a failed attempt; KeptClosedError if this attempt is, or may be, the round's key."""
        where = f"{self.attempt.task}, round {self.attempt.number}, attempt {self.attempt.attempt}"
        if self.journal.get("ready") is not None:
            raise KeptClosedError(f"{where}: this seat has seen its key ready; its sealing key stays closed")
        if not self.attempt.has_failed:
            raise KeptClosedError(f"{where}: nobody complained and all confirmed one key; it stays closed")
        return b.KeyContribution(opened_sealing_key=self._entry("sealing"))

    def note_ready(self) -> None:
        """Remember that this attempt became the round's key."""
        self._once("ready", lambda: b"ready")

    def beacon(self) -> bytes:
        """This seat's part of the round's beacon."""
        return self._entry("beacon")

    def share(self) -> bytes:
        """This seat's share of the round's secret key."""
        return self._entry("share")

    def sealing_key(self) -> bytes:
        """The round's private sealing key."""
        return self._entry("sealing")

    def _draw(self) -> bytes:
        attempt = self.attempt
        drawn = ckks.new_key_share(attempt.parameters, attempt.common_seed)
        self.journal.put("secret", drawn.secret.reveal(attempt.parameters))
        record = PublicShare(
            task_id=attempt.task,
            round=attempt.number,
            attempt=attempt.attempt,
            seat=self.seat,
            polynomial=drawn.public,
        )
        return record.SerializeToString(deterministic=True)

    def _tested(self, key: bytes, sample: ckks.Ciphertexts, share: bytes) -> bytes:
        attempt = self.attempt
        record = PartialDecryption(
            task_id=attempt.task,
            round=attempt.number,
            seat=self.seat,
            purpose=KEY_TEST_DECRYPTION,
            ciphertext=sample.digest().hex(),
            residues=ckks.partial_decrypt(attempt.parameters, share, sample),
            rehearsal=attempt.rehearsal(key).share(share),
        )
        return record.SerializeToString(deterministic=True)

    def _once(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The journal's entry, made and written first if there is none."""
        known = self.journal.get(name)
        if known is None:
            known = make()
            self.journal.put(name, known)
        return known

    def _entry(self, name: str) -> bytes:
        known = self.journal.get(name)
        if known is None:
            raise LostSecretError(
                f"the journal has no {name!r} for {self.attempt.task} round {self.attempt.number}: "
                "this seat cannot take part in the round"
            )
        return known


def _drawn(public: bytes | None) -> bytes:
    """A part of a beacon, 32 bytes: the system's, unless it is public."""
    return secrets.token_bytes(32) if public is None else public


def complaint(why: str) -> b.KeyContribution:
    """In place of an artifact: why this seat has none."""
    return b.KeyContribution(complaint=line(why))


def complaint_of(fault: Faulty) -> b.KeyContribution:
    """In place of an artifact: what of another seat's cannot be used, and its reference where the store does not hold it."""
    given = complaint(str(fault))
    if fault.withheld is not None:
        about = fault.finding
        given.withheld.CopyFrom(b.Complaint(seat=about.seat, fault=about.fault, artifact=fault.withheld))
    return given


def grace_over(step: b.Ceremony | b.Round, step_seconds: int, now_ms: int) -> bool:
    """Whether a step that waits for another seat's artifact must give up: a third of its time is left."""
    return now_ms >= grace_ends_ms(step, step_seconds)


def updates_grace_over(round_: b.Round, screen_seconds: int, now_ms: int) -> bool:
    """Whether SCREEN waits no longer for an update that the store does not have: a third of its time is over. Those that there are have
    been sketched by then."""
    return now_ms >= round_.deadline_ms - screen_seconds * 2000 // 3


def grace_ends_ms(step: b.Ceremony | b.Round, step_seconds: int) -> int:
    """When it must, in milliseconds since 1970."""
    return step.deadline_ms - step_seconds * 1000 // 3
