"""From the seats' sketch shares to sketches: which shares count, and whose do not (phase SELECT).

What honest verifiers can know, while no more seats are faulty than a round can do without (v - t) and no more than f miners are bad:
- Claims and shares were fixed before anybody saw a share of a sketch: claims in REVEAL, shares by their digest in SCREEN. So nobody
  can make shares open to the claim of a ciphertext whose content its miner does not know.
- The honest seats' own shares open every honest miner's update to its claim. What no t shares open to its claim is FALSE_CLAIM, or
  OUT_OF_RANGE if none open it in range. What some t shares open to its claim is that sketch; a claim is of one sketch only, so it does
  not matter which t they are, and a seat that sends other shares to others changes nothing of it.
- A miner that knows its values may claim another sketch, and a seat in league with it make shares to fit: for f miners at most. So a
  seat is at fault (BAD_SKETCH_SHARES) only if more than f updates open to their claims and none of them by its share: one of them is an
  honest miner's. Fewer are `contested`: they count, or one seat could put out any miner, but whoever opens the aggregate must
  not believe them (nodes.committee.partials).
- With no share to spare a wrong share looks like a false claim, and nobody can say who lied: `undecided`, and no miner is called
  false on such shares alone. (Where one share opens, a verifier has its own.)
- That an update is malformed everybody sees who has it. Who has not believes t seats, and whoever finds it well-formed believes none.
- A claim is salted (nodes.salts). Any salt that a seat passes on counts if with it the sketch fits: a claim is of one sketch with one salt
  only. A salt that no seat passes on leaves its claim false, whoever's fault that is.
- Missing, malformed or unreadable shares are the seat's fault on their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import Coverage

from quorumlearn import ckks
from quorumlearn.artifacts import ArtifactMissing
from quorumlearn.nodes.committee.attempt import Finding
from quorumlearn.nodes.committee.subsets import subsets
from quorumlearn.nodes.screening import Reason, Sketch, Sketched


@dataclass(frozen=True)
class Shares:
    """What one seat says of the submissions: its coverage and its sketch shares, by miner, and the salts that it passes on."""

    reasons: Mapping[str, Reason]
    shares: Mapping[str, bytes]
    salts: Mapping[str, bytes]


@dataclass(frozen=True)
class Opened:
    """Each revealed miner's sketch, float64 (k,), or the Reason why it has none; and what is wrong with the shares.

    `undecided` says why the sketches mean nothing: then nobody is to be judged by them.
    """

    sketches: Mapping[str, Sketch | Reason]
    false: tuple[Finding, ...] = ()
    contested: frozenset[str] = frozenset()
    undecided: str = ""
    salts: Mapping[str, bytes] = field(default_factory=dict)
    """Of the miners whose sketch opened to its claim: with which salt."""


@dataclass(frozen=True)
class _Opening:
    """One submission: its sketch or reason, the seats whose shares open it to its claim, whether a spare share agrees, and the claim's
    salt if the sketch opens to it."""

    found: Sketch | Reason
    fitting: frozenset[int]
    sure: bool
    salt: bytes = b""


def open_sketches(
    parameters: ckks.Parameters,
    plan: ckks.SketchPlan,
    sketched: Sequence[Sketched],
    claims: Mapping[str, str],
    posted: Mapping[int, Shares],
    byzantine: int,
) -> Opened:
    """`sketched` are this verifier's ciphertexts, `claims` the miners' (hex), `posted` the seats' readable shares.

    ArtifactMissing while an update that t seats have sketched has not reached this verifier.
    """
    false = [
        Finding(seat, b.BAD_SKETCH_SHARES, why)
        for seat, one in sorted(posted.items())
        if (why := _malformed(parameters, sketched, one))
    ]
    usable = {seat: one for seat, one in posted.items() if seat not in {finding.seat for finding in false}}
    found: dict[str, Sketch | Reason] = {}
    openings: dict[str, _Opening] = {}
    undecided = ""
    for one in sketched:
        miner = one.coverage.miner
        given = {seat: shares.shares[miner] for seat, shares in usable.items() if miner in shares.shares}
        if len(given) < parameters.threshold:
            found[miner] = _reason_without(one.coverage, usable, parameters.threshold)
            if found[miner] == b.CONTRIBUTES:
                undecided = f"too few usable shares of {miner}'s sketch"
            continue
        if one.ciphertext is None:
            raise ArtifactMissing(
                f"the others have sketched the update of {miner}; it does not reach this verifier"
            )
        salts = {shares.salts[miner] for shares in posted.values() if miner in shares.salts}
        openings[miner] = _open(parameters, plan, miner, one.ciphertext, claims[miner], salts, given)
        found[miner] = openings[miner].found
    matched = {miner: one.fitting for miner, one in openings.items() if one.fitting}
    doubtful = sum(not one.fitting and not one.sure for one in openings.values())
    if doubtful:
        undecided = (
            f"{doubtful} of {len(openings)} sketches open to other than claimed, with no share to spare"
        )
    against = {
        seat: [miner for miner, fitting in matched.items() if miner in one.shares and seat not in fitting]
        for seat, one in usable.items()
    }
    for seat, miners in sorted(against.items()):
        if len(miners) > byzantine:
            why = f"{len(miners)} of {len(matched)} updates open to their claims, and not with its shares"
            false.append(Finding(seat, b.BAD_SKETCH_SHARES, why))
    named = {finding.seat for finding in false}
    contested = {miner for seat, miners in against.items() if seat not in named for miner in miners}
    fitting_salts = {miner: one.salt for miner, one in openings.items() if one.fitting}
    return Opened(found, tuple(false), frozenset(contested), undecided, fitting_salts)


def _malformed(parameters: ckks.Parameters, sketched: Sequence[Sketched], posted: Shares) -> str:
    """Why a seat's shares cannot be used; "" if they can be."""
    for one in sketched:
        share = posted.shares.get(one.coverage.miner)
        if one.ciphertext is None or share is None:
            continue
        try:
            ckks.check_sketch_share(parameters, one.ciphertext, share)
        except ckks.MalformedShare as error:
            return f"of the update of {one.coverage.miner}: {error}"
    return ""


def _open(
    parameters: ckks.Parameters,
    plan: ckks.SketchPlan,
    miner: str,
    ciphertext: ckks.SketchCiphertext,
    claim: str,
    salts: Set[bytes],
    given: Mapping[int, bytes],
) -> _Opening:
    agree = ckks.sketch_shares_agree(parameters, ciphertext, given)
    reason: Reason = b.OUT_OF_RANGE
    opened: Sketch | None = None
    fitting: set[int] = set()
    fits = b""
    for seats in subsets(given, parameters.threshold):
        if fitting.issuperset(seats):
            continue
        try:
            sketch = ckks.open_sketch(parameters, plan, ciphertext, {seat: given[seat] for seat in seats})
        except ckks.OutOfRange:
            pass
        else:
            reason = b.FALSE_CLAIM
            known = (
                one for one in salts if ckks.claim_of(parameters, plan, sketch, miner, one).hex() == claim
            )
            if (salt := next(known, None)) is not None:
                opened, fits = sketch, salt
                fitting.update(given if agree else seats)
        if agree:
            break
    found = reason if opened is None else opened
    spare = len(given) > parameters.threshold or parameters.threshold == 1
    return _Opening(found, frozenset(fitting), agree and spare, fits)


def _reason_without(own: Coverage, posted: Mapping[int, Shares], threshold: int) -> Reason:
    """The reason that most seats give which have not sketched it, the lower on a tie; CONTRIBUTES if all have.

    MALFORMED costs its miner stake: it is what this verifier itself finds, or t seats say.
    """
    said = [one.reasons[own.miner] for one in posted.values()]
    reasons = Counter(reason for reason in said if reason != b.CONTRIBUTES)
    common = min(reasons, key=lambda reason: (-reasons[reason], reason), default=b.CONTRIBUTES)
    if common == b.MALFORMED and own.reason != b.MALFORMED and reasons[common] < threshold:
        return own.reason
    return common
