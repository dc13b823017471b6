"""From revealed submissions to weights and reasons (design: protocol 3.2, phases SCREEN and SELECT).

Rules, so that all honest verifiers vote the same:
- A verifier covers each revealed submission: it has sketched it, or says why not (not in the store, malformed).
- The shares of one t-subset of seats are combined for all submissions: of the subsets in order, the first that opens most of them in range.
- When none opens in range, the shares are suspect and not the miners: no vote, rather than a wrong one.
- A submission that this subset does not cover gets the reason that most of the others give (the lower on a tie).
- Everything else is a function of the opened sketches, the order of commits on the chain and the task's rule.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import Coverage
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks, robust
from quorumlearn.artifacts import ArtifactCorrupt, ArtifactMissing, ArtifactStore, ArtifactTooLarge
from quorumlearn.nodes.subsets import subsets

Sketch = NDArray[np.float64]
Reason = int

UNCOVERED = b.REASON_UNSPECIFIED
LIMITS = ("norm_limit", "duplicate_tolerance", "outlier_factor", "least_norm")
"""Parameters of a task's rule that are the selection's, not the rule's own."""
FAULTS = (b.WITHHELD, b.MISSING_ARTIFACT, b.MALFORMED, b.OUT_OF_RANGE)


@dataclass(frozen=True)
class Sketched:
    """One submission as this verifier has it: the sketch's ciphertext, or None with the reason."""

    coverage: Coverage
    ciphertext: ckks.SketchCiphertext | None


@dataclass(frozen=True)
class Shares:
    """What one seat says of the submissions: its coverage and its sketch shares, by miner."""

    reasons: Mapping[str, Reason]
    shares: Mapping[str, bytes]


def fetch_update(store: ArtifactStore, parameters: ckks.Parameters, ref: ArtifactRef) -> ckks.Ciphertexts:
    """The submitted ciphertexts, checked. Raises ArtifactMissing, ArtifactCorrupt, MalformedCiphertext."""
    if ref.size != parameters.update_bytes:
        raise ckks.MalformedCiphertext(
            f"an encrypted update of this task has {parameters.update_bytes} bytes, this one {ref.size}"
        )
    return ckks.parse(parameters, store.get(ref, parameters.update_bytes))


def sketch_submission(
    store: ArtifactStore, parameters: ckks.Parameters, plan: ckks.SketchPlan, submission: b.Submission
) -> Sketched:
    """Fetch, parse strictly and sketch; what is wrong with the submission becomes its coverage.

    A store that cannot be reached is no fault of the miner: StoreUnavailable passes.
    """
    ref = submission.manifest.update
    ciphertext = None
    reason = b.CONTRIBUTES
    try:
        ciphertext = ckks.sketch(parameters, plan, fetch_update(store, parameters, ref))
    except (ArtifactMissing, ArtifactCorrupt, ArtifactTooLarge):
        reason = b.MISSING_ARTIFACT
    except ckks.MalformedCiphertext:
        reason = b.MALFORMED
    return Sketched(Coverage(miner=submission.miner, update=ref.digest, reason=reason), ciphertext)


def open_sketches(
    parameters: ckks.Parameters,
    plan: ckks.SketchPlan,
    sketched: Sequence[Sketched],
    shares: Mapping[int, Shares],
) -> dict[str, Sketch | Reason]:
    """For each revealed miner its sketch, float64 (k,), or the Reason why it has none.

    `sketched` are this verifier's ciphertexts, `shares` what each seat posted.
    """
    best: dict[str, Sketch | Reason] = {}
    most = -1
    for seats in subsets(shares, parameters.threshold):
        chosen = {seat: shares[seat] for seat in seats}
        found = {one.coverage.miner: _open_one(parameters, plan, one, chosen) for one in sketched}
        count = sum(not isinstance(value, int) for value in found.values())
        if count > most:
            best, most = found, count
        if most == len(sketched):
            break
    if most == 0 and any(value in (b.OUT_OF_RANGE, UNCOVERED) for value in best.values()):
        raise ckks.BadPartial("no sketch opens in range: the shares are suspect, not the miners")
    return {
        miner: _common_reason(miner, shares) if isinstance(value, int) and value == UNCOVERED else value
        for miner, value in best.items()
    }


def _open_one(
    parameters: ckks.Parameters, plan: ckks.SketchPlan, one: Sketched, chosen: Mapping[int, Shares]
) -> Sketch | Reason:
    miner = one.coverage.miner
    if not all(miner in seat.shares for seat in chosen.values()):
        return UNCOVERED
    if one.ciphertext is None:
        raise ArtifactMissing(
            f"the others have sketched the update of {miner}; it does not reach this verifier"
        )
    given = {number: seat.shares[miner] for number, seat in chosen.items()}
    try:
        return ckks.open_sketch(parameters, plan, one.ciphertext, given)
    except ckks.OutOfRange:
        return b.OUT_OF_RANGE
    except ckks.MalformedShare:
        return UNCOVERED


def _common_reason(miner: str, shares: Mapping[int, Shares]) -> Reason:
    reasons = Counter(seat.reasons[miner] for seat in shares.values() if seat.reasons[miner] != b.CONTRIBUTES)
    if not reasons:
        raise ckks.BadPartial(f"the shares of {miner}'s sketch do not fit together")
    return min(reasons, key=lambda reason: (-reasons[reason], reason))


def select(
    spec: TaskSpec,
    round_: b.Round,
    submissions: Mapping[str, b.Submission],
    opened: Mapping[str, Sketch | Reason],
    position: Callable[[str], tuple[int, int]],
) -> b.Selection:
    """One verdict for each miner of the round. `position` gives a transaction's place on the chain."""
    verdicts = {miner: _unranked(miner, submissions, opened) for miner in round_.miners}
    ranked = [miner for miner in round_.miners if not isinstance(opened.get(miner, UNCOVERED), int)]
    faulty = sum(verdict.reason in FAULTS for verdict in verdicts.values())
    for finding, miner in zip(
        _findings(spec, ranked, submissions, opened, position, faulty), ranked, strict=True
    ):
        verdicts[miner] = finding
    return b.Selection(verdicts=[verdicts[miner] for miner in round_.miners])


def _unranked(
    miner: str, submissions: Mapping[str, b.Submission], opened: Mapping[str, Sketch | Reason]
) -> b.Verdict:
    if miner not in submissions:
        return b.Verdict(miner=miner, reason=b.ABSENT)
    if not submissions[miner].HasField("manifest"):
        return b.Verdict(miner=miner, reason=b.WITHHELD)
    value = opened[miner]
    return b.Verdict(miner=miner, reason=b.Reason.Name(value) if isinstance(value, int) else "CONTRIBUTES")


def _findings(
    spec: TaskSpec,
    ranked: Sequence[str],
    submissions: Mapping[str, b.Submission],
    opened: Mapping[str, Sketch | Reason],
    position: Callable[[str], tuple[int, int]],
    faulty: int,
) -> list[b.Verdict]:
    if not ranked:
        return []
    places = [position(submissions[miner].commit_tx) for miner in ranked]
    rule, limits = rule_of(spec)
    findings = robust.select(
        np.stack([np.asarray(opened[miner], dtype=np.float64) for miner in ranked]),
        commit_order=sorted(range(len(ranked)), key=lambda row: (places[row], ranked[row])),
        rule=rule,
        max_weight_sum=spec.ckks.max_weight_sum,
        already_found=faulty,
        **limits,
    )
    return [
        b.Verdict(
            miner=miner,
            weight=finding.weight,
            reason=finding.reason,
            detail=finding.detail if finding.copy_of is None else f"a copy of {ranked[finding.copy_of]}",
        )
        for miner, finding in zip(ranked, findings, strict=True)
    ]


def rule_of(spec: TaskSpec) -> tuple[robust.Rule, dict[str, float]]:
    """The task's rule and the limits of the selection around it; robust.RuleError for what there is not.

    Without a `norm_limit` of the task's own, the longest update within the bound is the limit.
    """
    settings = dict(spec.rule.parameters)
    limits = {"norm_limit": math.sqrt(spec.ckks.update_size) * spec.ckks.bound_steps / 2**spec.ckks.step_bits}
    for name in LIMITS:
        if name in settings:
            text = settings.pop(name)
            try:
                limits[name] = float(text)
            except ValueError as error:
                raise robust.RuleError(f"{name} = {text!r}; it must be a number above 0") from error
            if not 0 < limits[name] < math.inf:
                raise robust.RuleError(f"{name} = {text!r}; it must be a number above 0")
    return robust.make_rule(spec.rule.name, settings, spec.byzantine), limits
