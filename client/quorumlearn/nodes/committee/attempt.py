"""One attempt of a key ceremony, as ledger and store show it to everybody.

What a seat posted is read here and nowhere else, so that the seats of the ceremony (nodes.committee.ceremony_part) and those who judge it
afterwards (nodes.committee.blame) agree on what is well-formed. What is not raises `Faulty`, which names the seat and its fault. An
artifact that is not in the store may only be late: then `Faulty.withheld` names it, and a caller with time tries again.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import (
    CollectiveKey,
    PartialDecryption,
    PublicShare,
    SealedBox,
    SealedShares,
)
from quorumlearn_proto.common_pb2 import KEY_TEST_DECRYPTION, ArtifactRef
from quorumlearn_proto.derived import attempt_failed

from quorumlearn import ckks
from quorumlearn.artifacts import (
    ArtifactCorrupt,
    ArtifactMissing,
    ArtifactStore,
    ArtifactTooLarge,
    BadReference,
    Purpose,
    reference_of,
)
from quorumlearn.nodes import exchange
from quorumlearn.nodes.encryption import common_seed, polynomial_bytes
from quorumlearn.nodes.exchange import ExchangeError, Record

MAX_LINE = 200  # characters of a complaint or a detail that the ledger takes
BOX_BYTES = 2048  # of a sealed box beside the share in it


@dataclass(frozen=True)
class Finding:
    """What one seat did wrong in a ceremony, and why it is thought so, for people."""

    seat: int
    fault: b.Fault
    why: str


class Faulty(ExchangeError):
    """What a seat posted cannot be used. `withheld`: its artifact that is not in the store, but may come."""

    def __init__(self, finding: Finding, *, withheld: ArtifactRef | None = None) -> None:
        super().__init__(line(f"seat {finding.seat}, {b.Fault.Name(finding.fault)}: {finding.why}"))
        self.finding = finding
        self.withheld = withheld


@dataclass(frozen=True)
class Attempt:
    """`parts` are the attempt's contributions by seat.

    `seen` holds the artifacts read so far, by digest: what a seat has shown once it cannot take back before it is judged.
    """

    parameters: ckks.Parameters
    store: ArtifactStore
    task: str
    number: int
    attempt: int
    parts: Mapping[int, b.KeyContribution]
    seen: MutableMapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def context(self) -> str:
        """What the sealed shares are bound to, beside sender and recipient."""
        return f"{self.task}/{self.number}/{self.attempt}/share"

    @property
    def purpose(self) -> Purpose:
        """What the artifacts of the attempt are kept for."""
        return self.task, self.number

    @property
    def common_seed(self) -> bytes:
        return common_seed(self.task, self.number, self.attempt)

    @property
    def test_seed(self) -> bytes:
        return b"test/" + self.common_seed

    @property
    def dealers(self) -> list[int]:
        """The seats whose keys add up to the collective key: those that dealt their shares."""
        return sorted(seat for seat, part in self.parts.items() if part.HasField("sealed_shares"))

    @property
    def has_failed(self) -> bool:
        """Whether the ledger shows why the attempt is no key."""
        return attempt_failed(self.parts.values())

    def public_share(self, seat: int) -> bytes:
        """A dealer's b_i; Faulty (BAD_PUBLIC_SHARE) if it is none."""
        record = self._read(
            PublicShare, seat, self.parts[seat].public_share, b.BAD_PUBLIC_SHARE, attempt=self.attempt
        )
        try:
            ckks.read_public(self.parameters, record.polynomial)
        except ckks.MalformedKey as error:
            raise Faulty(Finding(seat, b.BAD_PUBLIC_SHARE, str(error))) from error
        return record.polynomial

    def collective_key(self) -> bytes:
        """The key that the dealers' public shares add up to."""
        publics = {seat: self.public_share(seat) for seat in self.dealers}
        return ckks.collective_key(self.parameters, self.common_seed, publics)

    def key_record(self, key: bytes) -> CollectiveKey:
        """What a seat that confirms the key puts in the store."""
        return CollectiveKey(
            task_id=self.task, round=self.number, attempt=self.attempt, seats=self.dealers, key=key
        )

    def key_reference(self, key: bytes) -> ArtifactRef:
        """What a seat that confirms the key names on the ledger."""
        data = self.key_record(key).SerializeToString(deterministic=True)
        return reference_of(data)

    def boxes(self, dealer: int) -> list[SealedBox]:
        """What a dealer sealed to the seats; Faulty (BAD_DEALING) if it is nothing of the kind."""
        record = self._read(
            SealedShares,
            dealer,
            self.parts[dealer].sealed_shares,
            b.BAD_DEALING,
            limit=self.parameters.seats * (polynomial_bytes(self.parameters) + BOX_BYTES),
            attempt=self.attempt,
        )
        return list(record.boxes)

    def dealt(self, boxes: Sequence[SealedBox], dealer: int, recipient: int, private: bytes) -> bytes:
        """The share in a dealer's boxes for this recipient; Faulty (BAD_DEALING) if there is none that opens to it."""
        try:
            share = exchange.unseal_from(list(boxes), private, self.context, dealer, recipient)
            ckks.read_share(self.parameters, share)
        except (ExchangeError, ckks.MalformedShare) as error:
            why = str(error) if isinstance(error, ExchangeError) else f"to seat {recipient}: {error}"
            raise Faulty(Finding(dealer, b.BAD_DEALING, why)) from error
        return share

    def sample(self, key: bytes) -> ckks.Ciphertexts:
        """The test's ciphertext, which everybody can make."""
        return ckks.test_ciphertext(self.parameters, key, self.test_seed)

    def rehearsal(self, key: bytes) -> ckks.Rehearsal:
        """An update of zeros under the key, sketched: what the round's updates will be like."""
        return ckks.rehearsal(self.parameters, key, self.test_seed)

    def tested(self, seat: int, sample: ckks.Ciphertexts) -> PartialDecryption:
        """A seat's parts of both tests; Faulty (BAD_TEST_PARTIAL) if it posted none."""
        return self._read(
            PartialDecryption,
            seat,
            self.parts[seat].test_partial,
            b.BAD_TEST_PARTIAL,
            limit=2 * polynomial_bytes(self.parameters),
            purpose=KEY_TEST_DECRYPTION,
            ciphertext=sample.digest().hex(),
        )

    def has_seen(self, ref: ArtifactRef) -> bool:
        return len(self.seen.get(ref.digest, b"")) == ref.size

    def _read(
        self,
        kind: type[Record],
        seat: int,
        ref: ArtifactRef,
        fault: b.Fault,
        limit: int | None = None,
        **expected: object,
    ) -> Record:
        limit = polynomial_bytes(self.parameters) if limit is None else limit
        named = f"{kind.DESCRIPTOR.name} {ref.digest[:12]}"
        try:
            if not self.has_seen(ref):
                self.seen[ref.digest] = self.store.get(ref, limit + exchange.OVERHEAD)
            data = self.seen[ref.digest]
            return exchange.parsed(
                kind, data, ref, task_id=self.task, round=self.number, seat=seat, **expected
            )
        except (ArtifactMissing, ArtifactCorrupt) as error:
            raise Faulty(Finding(seat, fault, f"{named} is not in the store"), withheld=ref) from error
        except (ArtifactTooLarge, BadReference) as error:
            raise Faulty(
                Finding(seat, fault, f"{named} has {ref.size} bytes, {limit + exchange.OVERHEAD} are allowed")
            ) from error
        except ExchangeError as error:
            raise Faulty(Finding(seat, fault, str(error))) from error


def line(text: str) -> str:
    """The text as the ledger takes it: printable, and not too long."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= MAX_LINE else shown[: MAX_LINE - 3] + "..."
