"""Whose fault it was that an attempt of the key ceremony failed: a function of ledger records and artifacts alone.

The seats have opened their sealing keys, so everybody can open what was dealt to them. Every seat votes what `judge` finds,
and an outsider who asks it of the same records finds the same. Rules, of which the first that a seat breaks is its fault:
- BAD_SEALING_KEY: it registered a key to which nothing can be sealed, or opened another than it had registered;
- BAD_PUBLIC_SHARE: its b_i is missing, malformed, or not of the secret that it dealt;
- BAD_DEALING: its sealed shares are missing, one does not open to a seat that opened its key, or they are not t-of-v
  shares of a ternary secret (ckks.audit; needs t opened keys);
- BAD_TEST_PARTIAL: its test partial is missing, or other bytes than its share gives (partial_decrypt is deterministic);
- FALSE_CONFIRMATION: it confirmed another key than the public shares give;
- what t complaints name (`Complaint`) that it withheld: among t seats one is honest, so what is shown only after the complaints
  does not put its author in the right. Nothing else of a complaint is believed, and its words are never read: who was dealt a
  false share looks like a liar;
- UNFOUNDED_COMPLAINT: it complained, nobody is at fault, fewer than t complained, and nobody who posted a test partial
  kept its key closed.
Who did not act at all the ledger sees by itself (MISSED_STEP).

Source: docs/protocol.md; Mouchet et al. 2021, section 4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.common_pb2 import ArtifactRef

from quorumlearn import ckks
from quorumlearn.nodes import sealing
from quorumlearn.nodes.committee.attempt import Attempt, Faulty, Finding, line

Shares = Mapping[int, Mapping[int, bytes]]

_POSTED: Mapping[b.Fault, str] = {
    b.BAD_PUBLIC_SHARE: "public_share",
    b.BAD_DEALING: "sealed_shares",
    b.BAD_TEST_PARTIAL: "test_partial",
}
"""The artifact of which each fault is, also when it is missing."""


def judge(attempt: Attempt) -> tuple[Finding, ...]:
    """The faults of a failed attempt, by seat, at most one each; empty if nobody is at fault.

    Raises artifacts.StoreUnavailable when the store cannot be asked. What it does not hold counts as missing.
    """
    keys = _opened_keys(attempt)
    shares: dict[int, dict[int, bytes]] = {}
    findings = [
        *_sealing_keys(attempt, keys),
        *_dealings(attempt, keys, shares),
        *_tests_and_confirmations(attempt, shares),
        *_withheld(attempt),
    ]
    if not findings:
        findings = list(_unfounded(attempt))
    first: dict[int, Finding] = {}
    for finding in findings:
        first.setdefault(finding.seat, finding)
    return tuple(first[seat] for seat in sorted(first))


def vote(findings: Iterable[Finding]) -> b.BlameVote:
    """What a seat votes."""
    return b.BlameVote(
        blames=[b.Blame(seat=one.seat, fault=one.fault, detail=line(one.why)) for one in findings]
    )


def absent(attempt: Attempt) -> list[ArtifactRef]:
    """The artifacts of the attempt that nobody has shown here (yet): with them a judgement may be another."""
    wanted = [
        getattr(attempt.parts[seat], field)
        for seat in attempt.dealers
        for field in _POSTED.values()
        if attempt.parts[seat].HasField(field)
    ]
    return [ref for ref in wanted if not attempt.has_seen(ref) and not attempt.store.has(ref)]


def _opened_keys(attempt: Attempt) -> dict[int, bytes]:
    """The private sealing keys, by seat, that are opened and are those registered."""
    keys = {}
    for seat, part in sorted(attempt.parts.items()):
        try:
            if part.opened_sealing_key and sealing.public_key(part.opened_sealing_key) == part.sealing_key:
                keys[seat] = part.opened_sealing_key
        except sealing.SealError:
            continue
    return keys


def _sealing_keys(attempt: Attempt, keys: Mapping[int, bytes]) -> Iterator[Finding]:
    for seat, part in sorted(attempt.parts.items()):
        if not sealing.works(part.sealing_key):
            yield Finding(seat, b.BAD_SEALING_KEY, "nothing can be sealed to the key that it registered")
        elif part.opened_sealing_key and seat not in keys:
            yield Finding(seat, b.BAD_SEALING_KEY, "it opened another key than it had registered")


def _dealings(
    attempt: Attempt, keys: Mapping[int, bytes], shares: dict[int, dict[int, bytes]]
) -> Iterator[Finding]:
    """What is wrong with public shares and dealings; fills in what each dealer dealt to whom, as far as it opens."""
    for dealer in attempt.dealers:
        shares[dealer] = {}
        public: bytes | None = None
        broken = False
        try:
            public = attempt.public_share(dealer)
        except Faulty as fault:
            yield fault.finding
        try:
            boxes = attempt.boxes(dealer)
        except Faulty as fault:
            yield fault.finding
            continue
        for recipient, private in keys.items():
            try:
                shares[dealer][recipient] = attempt.dealt(boxes, dealer, recipient, private)
            except Faulty as fault:
                broken = True
                yield fault.finding
        if public is None or broken or len(shares[dealer]) < attempt.parameters.threshold:
            continue
        flaw = ckks.audit_dealing(attempt.parameters, attempt.common_seed, public, shares[dealer])
        if flaw is not None:
            fault_ = b.BAD_PUBLIC_SHARE if flaw.wrong is ckks.Wrong.PUBLIC_SHARE else b.BAD_DEALING
            yield Finding(dealer, fault_, flaw.why)


def _tests_and_confirmations(attempt: Attempt, shares: Shares) -> Iterator[Finding]:
    """Test partials that the shares do not give, confirmations of other keys; nothing if there is no key to tell by."""
    if len(attempt.dealers) < attempt.parameters.threshold:
        return
    try:
        key = attempt.collective_key()
    except Faulty:
        return
    sample = attempt.sample(key)
    ref = attempt.key_reference(key)
    for seat, part in sorted(attempt.parts.items()):
        if part.HasField("test_partial"):
            try:
                posted = attempt.tested(seat, sample)
            except Faulty as fault:
                yield fault.finding
            else:
                dealt = [given[seat] for given in shares.values() if seat in given]
                if len(dealt) == len(attempt.dealers):
                    share = ckks.sum_shares(attempt.parameters, dealt)
                    right = (
                        ckks.partial_decrypt(attempt.parameters, share, sample),
                        attempt.rehearsal(key).share(share),
                    )
                    if (posted.residues, posted.rehearsal) != right:
                        why = "its test partial decryption is not what its share gives"
                        yield Finding(seat, b.BAD_TEST_PARTIAL, why)
        if part.HasField("confirmed_key") and part.confirmed_key != ref:
            why = f"it confirmed {part.confirmed_key.digest[:12]}, the attempt gives {ref.digest[:12]}"
            yield Finding(seat, b.FALSE_CONFIRMATION, why)


def _withheld(attempt: Attempt) -> Iterator[Finding]:
    said = Counter(
        (part.withheld.seat, part.withheld.fault)
        for part in attempt.parts.values()
        if part.HasField("withheld") and _was_posted(attempt, part.withheld)
    )
    for (seat, fault), count in sorted(said.items()):
        if count >= attempt.parameters.threshold:
            yield Finding(seat, fault, f"{count} seats did not find it in the store")


def _was_posted(attempt: Attempt, complaint: b.Complaint) -> bool:
    """Whether a complaint is of what its seat has named on the ledger."""
    part, field = attempt.parts.get(complaint.seat), _POSTED.get(complaint.fault)
    return part is not None and field is not None and getattr(part, field) == complaint.artifact


def _unfounded(attempt: Attempt) -> Iterator[Finding]:
    parts = attempt.parts
    if any(part.HasField("test_partial") and not part.opened_sealing_key for part in parts.values()):
        return
    complaints = sorted(seat for seat, part in parts.items() if part.complaint)
    if len(complaints) < attempt.parameters.threshold:
        for seat in complaints:
            yield Finding(seat, b.UNFOUNDED_COMPLAINT, "it complained, and nobody is at fault")
