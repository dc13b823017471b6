"""A verifier's part in the key ceremony of one round (docs/protocol.md, design: protocol 3.1).

Commit to b_i, show it and seal Shamir shares of s_i to the others, test that the sum of the shares decrypts, confirm the
collective key. Secrets live in the journal below `round-N/attempt-A` and are erased with the round: `secret` (s_i, until its
shares are dealt), `sealing` (the round's private sealing key), `share` (this seat's share of s), `beacon`.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import (
    CollectiveKey,
    PartialDecryption,
    PublicShare,
    SealedShares,
)
from quorumlearn_proto.common_pb2 import KEY_TEST_DECRYPTION, ArtifactRef

from quorumlearn import ckks, seeds
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import exchange, sealing
from quorumlearn.nodes.encryption import common_seed, polynomial_bytes
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.subsets import first_that_opens


@dataclass(frozen=True)
class CeremonyPart:
    """What one seat does in one attempt of one round's ceremony. `beacon_key` makes beacons repeatable."""

    parameters: ckks.Parameters
    store: ArtifactStore
    journal: Journal
    task: str
    number: int
    attempt: int
    seat: int
    beacon_key: bytes | None = None

    @property
    def _context(self) -> str:
        return f"{self.task}/{self.number}/{self.attempt}/share"

    def commit(self) -> b.KeyContribution:
        """Draw s_i, the sealing key and the part of the beacon; name their public sides by digest."""
        public = self._once("public", self._draw)
        sealing_key = self._once("sealing", sealing.new_key)
        beacon = self._once("beacon", self._beacon)
        return b.KeyContribution(
            public_share=ArtifactRef(digest=hashlib.sha256(public).hexdigest(), size=len(public)),
            beacon_commitment=hashlib.sha256(beacon).hexdigest(),
            sealing_key=sealing.public_key(sealing_key),
        )

    def reveal(self, parts: dict[int, b.KeyContribution]) -> b.KeyContribution:
        """Put b_i in the store and deal s_i to the seats that committed."""
        self.store.put(self._entry("public"))
        sealed = self.journal.get("sealed")
        if sealed is None:
            secret = ckks.SecretPolynomial.restore(self.parameters, self._entry("secret"))
            shares = ckks.deal(self.parameters, secret, sorted(parts))
            keys = {seat: part.sealing_key for seat, part in parts.items()}
            record = SealedShares(
                task_id=self.task,
                round=self.number,
                attempt=self.attempt,
                seat=self.seat,
                boxes=exchange.seal_for(keys, shares, self._context, self.seat),
            )
            sealed = record.SerializeToString(deterministic=True)
            self.journal.put("sealed", sealed)
        self.journal.erase("secret")
        return b.KeyContribution(sealed_shares=self.store.put(sealed))

    def test(self, parts: dict[int, b.KeyContribution]) -> b.KeyContribution:
        """Add up the shares dealt to this seat and decrypt, in part, a ciphertext that everyone can make."""
        key = self._collective_key(parts)
        dealt = []
        for sender in dealers(parts):
            record = exchange.get(
                self.store,
                SealedShares,
                parts[sender].sealed_shares,
                polynomial_bytes(self.parameters) * self.parameters.seats,
                task_id=self.task,
                round=self.number,
                attempt=self.attempt,
                seat=sender,
            )
            boxes = list(record.boxes)
            dealt.append(
                exchange.unseal_from(boxes, self._entry("sealing"), self._context, sender, self.seat)
            )
        share = ckks.sum_shares(self.parameters, dealt)
        self.journal.put("share", share)
        sample = ckks.test_ciphertext(self.parameters, key, self._test_seed)
        tested = PartialDecryption(
            task_id=self.task,
            round=self.number,
            seat=self.seat,
            purpose=KEY_TEST_DECRYPTION,
            ciphertext=sample.digest().hex(),
            residues=self._once("test", lambda: ckks.partial_decrypt(self.parameters, share, sample)),
        )
        return b.KeyContribution(test_partial=exchange.put(self.store, tested))

    def confirm(self, parts: dict[int, b.KeyContribution], seats: list[int]) -> b.KeyContribution:
        """Combine the test's partial decryptions; only a key that decrypts is confirmed."""
        key = self._collective_key(parts)
        sample = ckks.test_ciphertext(self.parameters, key, self._test_seed)
        partials = {
            seat: exchange.partial(
                self.store,
                parts[seat].test_partial,
                polynomial_bytes(self.parameters),
                seat=seat,
                ciphertext=sample.digest().hex(),
                purpose=KEY_TEST_DECRYPTION,
            )
            for seat in seats
        }
        opened = first_that_opens(self.parameters, sample, partials)
        if not (opened == ckks.test_values(self.parameters, self._test_seed)).all():
            raise ckks.BadPartial("the collective key decrypts the test ciphertext to something else")
        record = CollectiveKey(
            task_id=self.task, round=self.number, attempt=self.attempt, seats=dealers(parts), key=key
        )
        return b.KeyContribution(confirmed_key=exchange.put(self.store, record))

    def beacon(self) -> bytes:
        """This seat's part of the round's beacon."""
        return self._entry("beacon")

    def share(self) -> bytes:
        """This seat's share of the round's secret key."""
        return self._entry("share")

    def sealing_key(self) -> bytes:
        """The round's private sealing key."""
        return self._entry("sealing")

    def _collective_key(self, parts: dict[int, b.KeyContribution]) -> bytes:
        publics = {}
        for seat in dealers(parts):
            record = exchange.get(
                self.store,
                PublicShare,
                parts[seat].public_share,
                polynomial_bytes(self.parameters),
                task_id=self.task,
                round=self.number,
                attempt=self.attempt,
                seat=seat,
            )
            publics[seat] = record.polynomial
        return ckks.collective_key(self.parameters, self._common_seed, publics)

    @property
    def _common_seed(self) -> bytes:
        return common_seed(self.task, self.number, self.attempt)

    @property
    def _test_seed(self) -> bytes:
        return b"test/" + self._common_seed

    def _draw(self) -> bytes:
        drawn = ckks.new_key_share(self.parameters, self._common_seed)
        self.journal.put("secret", drawn.secret.reveal(self.parameters))
        record = PublicShare(
            task_id=self.task,
            round=self.number,
            attempt=self.attempt,
            seat=self.seat,
            polynomial=drawn.public,
        )
        return record.SerializeToString(deterministic=True)

    def _beacon(self) -> bytes:
        if self.beacon_key is None:
            return secrets.token_bytes(32)
        return seeds.secret(self.beacon_key, "beacon", self.task, self.number)

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
                f"the journal has no {name!r} for {self.task} round {self.number}: this seat cannot take part in the round"
            )
        return known


class LostSecretError(Exception):
    """The journal lacks a secret of this round (it was erased or moved); the seat sits the round out."""


def dealers(parts: dict[int, b.KeyContribution]) -> list[int]:
    """The seats whose keys add up to the collective key: those that dealt their shares."""
    return sorted(seat for seat, part in parts.items() if part.HasField("sealed_shares"))
