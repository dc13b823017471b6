"""A whole key ceremony in one process: seats with journals, a store, the ledger's contributions, and cheats among the seats.

The steps close as the contract closes them; no time passes. A cheat takes the part of an honest seat and spoils what it says.
"""

from __future__ import annotations

import copy
import hashlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from quorumlearn import ckks
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.ckks import residues as r
from quorumlearn.ckks import seal, shamir
from quorumlearn.ckks.container import Kind, write
from quorumlearn.nodes import exchange, sealing
from quorumlearn.nodes.committee.attempt import Attempt, Faulty, Finding
from quorumlearn.nodes.committee.ceremony_part import CeremonyPart, complaint, complaint_of
from quorumlearn.nodes.journal import Journal
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import PartialDecryption, PublicShare, SealedShares
from quorumlearn_proto.common_pb2 import ArtifactRef

TASK, NUMBER, ATTEMPT = "played", 1, 1


@lru_cache(maxsize=8)
def parameters(seats: int, threshold: int) -> ckks.Parameters:
    """Too small a ring to protect anything: fast."""
    return ckks.Parameters.choose(
        300, seats=seats, threshold=threshold, sketch_size=16, minimum_security_bits=0
    )


@dataclass
class Ceremony:
    """`seats` take part; `parts` are their contributions as on the ledger."""

    p: ckks.Parameters
    store: ArtifactStore
    folder: Path
    seats: list[int]
    parts: dict[int, b.KeyContribution] = field(default_factory=dict)

    @property
    def attempt(self) -> Attempt:
        return Attempt(self.p, self.store, TASK, NUMBER, ATTEMPT, copy.deepcopy(self.parts))

    def part(self, seat: int) -> CeremonyPart:
        return CeremonyPart(self.attempt, Journal(self.folder / f"seat-{seat}"), seat)

    def post(self, seat: int, given: b.KeyContribution) -> None:
        """What the contract writes."""
        held = self.parts.setdefault(
            seat, b.KeyContribution(task_id=TASK, round=NUMBER, attempt=ATTEMPT, seat=seat)
        )
        held.MergeFrom(given)

    @property
    def failed(self) -> bool:
        return self.attempt.has_failed


class Seat:
    """An honest seat; what can be spoiled is a method each."""

    def commit(self, part: CeremonyPart) -> b.KeyContribution:
        return part.commit()

    def reveal(self, part: CeremonyPart) -> b.KeyContribution:
        return part.reveal()

    def test(self, part: CeremonyPart) -> b.KeyContribution:
        return part.test()

    def confirm(self, part: CeremonyPart, seats: list[int]) -> b.KeyContribution:
        return part.confirm(seats)

    def open(self, part: CeremonyPart) -> b.KeyContribution:
        return part.open()


def or_complaint(act: Callable[..., b.KeyContribution], *given: object) -> b.KeyContribution:
    """As a node that has no time left: what another has spoiled is complained of, by cheats too."""
    try:
        return act(*given)
    except Faulty as fault:
        return complaint_of(fault)


def begun(folder: Path, seats: int, threshold: int) -> Ceremony:
    store = ArtifactStore(str(folder / "store"), create=True)
    return Ceremony(parameters(seats, threshold), store, folder, list(range(1, seats + 1)))


def play(folder: Path, seats: int, threshold: int, cheats: Mapping[int, Seat] | None = None) -> Ceremony:
    """Up to KEY_CONFIRM, or up to KEY_OPEN if the attempt has failed."""
    c = begun(folder, seats, threshold)
    who = {seat: (cheats or {}).get(seat, Seat()) for seat in c.seats}
    for step in ("commit", "reveal", "test"):
        given = {seat: or_complaint(getattr(who[seat], step), c.part(seat)) for seat in c.seats}
        for seat, contribution in given.items():
            c.post(seat, contribution)
    if not c.failed:
        given = {seat: or_complaint(who[seat].confirm, c.part(seat), c.seats) for seat in c.seats}
        for seat, contribution in given.items():
            c.post(seat, contribution)
    if c.failed:
        for seat in c.seats:
            c.post(seat, who[seat].open(c.part(seat)))
    return c


def _reference(data: bytes) -> ArtifactRef:
    return ArtifactRef(digest=hashlib.sha256(data).hexdigest(), size=len(data))


def _public_record(part: CeremonyPart, polynomial: bytes) -> bytes:
    a = part.attempt
    record = PublicShare(
        task_id=a.task, round=a.number, attempt=a.attempt, seat=part.seat, polynomial=polynomial
    )
    return record.SerializeToString(deterministic=True)


class OtherPublicShare(Seat):
    """Shows the public share of another secret than it deals."""

    def commit(self, part: CeremonyPart) -> b.KeyContribution:
        given = part.commit()
        other = ckks.new_key_share(part.attempt.parameters, part.attempt.common_seed)
        part.journal.put("public", _public_record(part, other.public))
        return self._named(part, given)

    @staticmethod
    def _named(part: CeremonyPart, given: b.KeyContribution) -> b.KeyContribution:
        given.public_share.CopyFrom(_reference(part.journal.get("public") or b""))
        return given


class NoisyPublicShare(OtherPublicShare):
    """Its error is larger than the key's distribution gives: so large that the key opens nothing."""

    def error(self, p: ckks.Parameters) -> np.ndarray:
        """What it adds to b_i: coefficients (primes, N)."""
        large = np.zeros((len(p.primes), p.poly_modulus_degree), dtype=np.uint64)
        size = math.prod(p.primes) // 7  # no factor that clears denominators takes it to zero
        large[:, 3] = [size % q for q in p.primes]
        return large

    def commit(self, part: CeremonyPart) -> b.KeyContribution:
        given = part.commit()
        p = part.attempt.parameters
        record = PublicShare.FromString(part.journal.get("public") or b"")
        error = seal.to_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, self.error(p)[None])[0]
        total = r.add(ckks.read_public(p, record.polynomial), error, r.column(p.primes))
        part.journal.put("public", _public_record(part, write(p, Kind.PUBLIC_SHARE, total[None])))
        return self._named(part, given)


class LoudPublicShare(NoisyPublicShare):
    """Its error is so large that sums still open, but every honest update's sketch would look like a cheat's."""

    def error(self, p: ckks.Parameters) -> np.ndarray:
        numbers = p.chunks * p.poly_modulus_degree
        std = 6 * p.budget.sketch_std / math.sqrt(2 * p.poly_modulus_degree / 3 * numbers / 2)
        drawn = np.random.default_rng(1).normal(0, std, p.poly_modulus_degree)
        return r.from_integers(drawn.astype(np.int64), r.column(p.primes))


class MalformedPublicShare(OtherPublicShare):
    """Shows bytes that are no polynomial."""

    def commit(self, part: CeremonyPart) -> b.KeyContribution:
        given = part.commit()
        part.journal.put("public", _public_record(part, os.urandom(200)))
        return self._named(part, given)


class NoPublicShare(Seat):
    """Names a public share that it never shows."""

    def reveal(self, part: CeremonyPart) -> b.KeyContribution:
        given = part.reveal()
        assert part.attempt.store.delete(part.attempt.parts[part.seat].public_share)
        return given


class FalseDealing(Seat):
    """Deals what `spoil` makes of its shares, by recipient."""

    def spoil(self, part: CeremonyPart, shares: dict[int, bytes]) -> dict[int, bytes]:
        raise NotImplementedError

    def reveal(self, part: CeremonyPart) -> b.KeyContribution:
        a = part.attempt
        a.store.put(part.journal.get("public") or b"")
        secret = ckks.SecretPolynomial.restore(a.parameters, part.journal.get("secret") or b"")
        shares = self.spoil(part, ckks.deal(a.parameters, secret, sorted(a.parts)))
        keys = {seat: one.sealing_key for seat, one in a.parts.items()}
        boxes = exchange.seal_for(keys, shares, a.context, part.seat)
        record = SealedShares(task_id=a.task, round=a.number, attempt=a.attempt, seat=part.seat, boxes=boxes)
        return b.KeyContribution(sealed_shares=exchange.put(a.store, record))


class DealsFalselyToOne(FalseDealing):
    """One member's share is of another secret."""

    def spoil(self, part: CeremonyPart, shares: dict[int, bytes]) -> dict[int, bytes]:
        p = part.attempt.parameters
        other = ckks.new_key_share(p, b"other").secret
        victim = min(seat for seat in shares if seat != part.seat)
        return {**shares, victim: ckks.deal(p, other, sorted(shares))[victim]}


class DealsJunkToOne(FalseDealing):
    """One member's box holds no share."""

    def spoil(self, part: CeremonyPart, shares: dict[int, bytes]) -> dict[int, bytes]:
        return {**shares, max(seat for seat in shares if seat != part.seat): b"junk"}


class DealsNothingToOne(FalseDealing):
    """One member has no box."""

    def spoil(self, part: CeremonyPart, shares: dict[int, bytes]) -> dict[int, bytes]:
        victim = max(seat for seat in shares if seat != part.seat)
        return {seat: share for seat, share in shares.items() if seat != victim}


class DealsTooSteeply(FalseDealing):
    """Its shares lie on a polynomial of degree t."""

    def spoil(self, part: CeremonyPart, shares: dict[int, bytes]) -> dict[int, bytes]:
        p = part.attempt.parameters
        secret = ckks.SecretPolynomial.restore(p, part.journal.get("secret") or b"")
        steep = shamir.share(secret.residues(), p.threshold + 1, sorted(shares), p.primes)
        return {seat: write(p, Kind.SHARE, one[None]) for seat, one in steep.items()}


class SealedSharesHidden(Seat):
    """Names sealed shares that are not there."""

    def reveal(self, part: CeremonyPart) -> b.KeyContribution:
        given = part.reveal()
        assert part.attempt.store.delete(given.sealed_shares)
        return given


class NoSealingKey(Seat):
    """Registers bytes to which nothing can be sealed."""

    def commit(self, part: CeremonyPart) -> b.KeyContribution:
        given = part.commit()
        given.sealing_key = b"\xff" * sealing.PUBLIC_KEY_BYTES
        return given


class StrangersSealingKey(Seat):
    """Registers a key that it does not have."""

    def commit(self, part: CeremonyPart) -> b.KeyContribution:
        given = part.commit()
        given.sealing_key = sealing.public_key(sealing.new_key())
        return given


def _strangers_share(part: CeremonyPart) -> bytes:
    """A share of a secret that has nothing to do with the ceremony."""
    a = part.attempt
    other = ckks.new_key_share(a.parameters, b"other").secret
    return ckks.deal(a.parameters, other, a.dealers)[part.seat]


class FalseTest(Seat):
    """Its test partial is of another share."""

    def test(self, part: CeremonyPart) -> b.KeyContribution:
        given = part.test()
        a = part.attempt
        record = PartialDecryption.FromString(a.store.get(given.test_partial, 1 << 24))
        share = _strangers_share(part)
        record.residues = ckks.partial_decrypt(a.parameters, share, a.sample(a.collective_key()))
        return b.KeyContribution(test_partial=exchange.put(a.store, record))


class NoTest(Seat):
    """Names a test partial that is not there."""

    def test(self, part: CeremonyPart) -> b.KeyContribution:
        given = part.test()
        assert part.attempt.store.delete(given.test_partial)
        return given


class FalseRehearsal(Seat):
    """Its part of the rehearsal is of another share."""

    def test(self, part: CeremonyPart) -> b.KeyContribution:
        given = part.test()
        a = part.attempt
        record = PartialDecryption.FromString(a.store.get(given.test_partial, 1 << 24))
        share = _strangers_share(part)
        record.rehearsal = a.rehearsal(a.collective_key()).share(share)
        return b.KeyContribution(test_partial=exchange.put(a.store, record))


class MalformedTest(Seat):
    """Its test partial is no partial decryption."""

    def test(self, part: CeremonyPart) -> b.KeyContribution:
        given = part.test()
        record = PartialDecryption.FromString(part.attempt.store.get(given.test_partial, 1 << 24))
        record.residues = record.residues[:-1]
        return b.KeyContribution(test_partial=exchange.put(part.attempt.store, record))


class FalseConfirmation(Seat):
    """Confirms another key."""

    def confirm(self, part: CeremonyPart, seats: list[int]) -> b.KeyContribution:
        return b.KeyContribution(confirmed_key=ArtifactRef(digest="ab" * 32, size=7))


class ComplainsOfNothing(Seat):
    """Says that it could not."""

    def test(self, part: CeremonyPart) -> b.KeyContribution:
        part.test()
        return complaint("I do not feel like it")


class ComplainsLate(Seat):
    """The same, of a test that opens."""

    def confirm(self, part: CeremonyPart, seats: list[int]) -> b.KeyContribution:
        return complaint("the test does not open")


class Slanders(Seat):
    """Complains of its neighbour by name."""

    def test(self, part: CeremonyPart) -> b.KeyContribution:
        part.test()
        other = min(seat for seat in part.attempt.parts if seat != part.seat)
        sealed = part.attempt.parts[other].sealed_shares
        return complaint_of(Faulty(Finding(other, b.BAD_DEALING, "is not in the store"), withheld=sealed))


CHEATS: Mapping[type[Seat], b.Fault] = {
    OtherPublicShare: b.BAD_PUBLIC_SHARE,
    NoisyPublicShare: b.BAD_PUBLIC_SHARE,
    LoudPublicShare: b.BAD_PUBLIC_SHARE,
    MalformedPublicShare: b.BAD_PUBLIC_SHARE,
    NoPublicShare: b.BAD_PUBLIC_SHARE,
    DealsFalselyToOne: b.BAD_DEALING,
    DealsJunkToOne: b.BAD_DEALING,
    DealsNothingToOne: b.BAD_DEALING,
    DealsTooSteeply: b.BAD_DEALING,
    SealedSharesHidden: b.BAD_DEALING,
    NoSealingKey: b.BAD_SEALING_KEY,
    StrangersSealingKey: b.BAD_SEALING_KEY,
    FalseTest: b.BAD_TEST_PARTIAL,
    FalseRehearsal: b.BAD_TEST_PARTIAL,
    NoTest: b.BAD_TEST_PARTIAL,
    MalformedTest: b.BAD_TEST_PARTIAL,
    FalseConfirmation: b.FALSE_CONFIRMATION,
    ComplainsOfNothing: b.UNFOUNDED_COMPLAINT,
    ComplainsLate: b.UNFOUNDED_COMPLAINT,
    Slanders: b.UNFOUNDED_COMPLAINT,
}
"""Each way to cheat, and the fault that it is."""
