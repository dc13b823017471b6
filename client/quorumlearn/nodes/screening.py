"""From revealed submissions to weights and reasons (docs/protocol.md, phases SCREEN and SELECT).

Rules, so that all honest verifiers vote the same:
- A verifier covers each revealed submission: it has sketched it, or says why not (not in the store, malformed).
- Which sketches the seats' shares give, and which submissions have none, is said in nodes.committee.openings.
- Everything else is a function of the opened sketches, the round's beacon, the last public steps, the task's rule, what was opened
  on the round's base before, where there are copies the order of the commits on the chain, and where the task weighs by data
  the classes that miners claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import Coverage
from quorumlearn_proto.classes import weights_by_class
from quorumlearn_proto.derived import least_aggregate, most_weight, top_class
from quorumlearn_proto.recompute import recomputes
from quorumlearn_proto.task_pb2 import RECOMPUTE, TaskSpec

from quorumlearn import ckks, robust
from quorumlearn.artifacts import ArtifactCorrupt, ArtifactMissing, ArtifactStore, ArtifactTooLarge
from quorumlearn.nodes.exchange import ExchangeError
from quorumlearn.nodes.work import useful_work
from quorumlearn.nodes.work.useful_work import Unsound

Sketch = NDArray[np.float64]
Reason = int

UNCOVERED = b.REASON_UNSPECIFIED
COVERAGES = (b.CONTRIBUTES, b.MISSING_ARTIFACT, b.MALFORMED)
"""What a seat may say of a submission before its sketch is opened."""
LIMITS = {"norm_limit": math.inf, "outlier_factor": math.inf, "least_new": 1.0}
"""Parameters of a task's rule that are the selection's, not the rule's own: each is above 0 and below this."""
ROOT = ("root_digest", "root_size")
"""Those that name the root set of a rule that compares with one (nodes.rootset)."""
FAULTS = (
    b.WITHHELD,
    b.MISSING_ARTIFACT,
    b.MALFORMED,
    b.OUT_OF_RANGE,
    b.FALSE_CLAIM,
    b.NO_TRACE,
    b.WRONG_WORK,
)


class Overtaken(ExchangeError):
    """The round has gone on without what was being computed for it."""


def never() -> bool:
    return False


@dataclass(frozen=True)
class Sketched:
    """One submission as this verifier has it: the sketch's ciphertext, or None with the reason."""

    coverage: Coverage
    ciphertext: ckks.SketchCiphertext | None


def fetch_update(
    store: ArtifactStore, parameters: ckks.Parameters, submission: b.Submission
) -> ckks.Ciphertexts:
    """The submitted ciphertexts, checked. Raises ArtifactMissing, ArtifactCorrupt, MalformedCiphertext."""
    return ckks.parse(parameters, _fetch(store, parameters, submission))


def _fetch(store: ArtifactStore, parameters: ckks.Parameters, submission: b.Submission) -> bytes:
    """What was read once has a copy: whoever removes it afterwards stops neither the sum nor its opening."""
    ref = submission.manifest.update
    if ref.size != parameters.update_bytes:
        raise ckks.MalformedCiphertext(
            f"an encrypted update of this task has {parameters.update_bytes} bytes, this one {ref.size}"
        )
    purpose = submission.manifest.task_id, submission.manifest.round
    return store.get(ref, parameters.update_bytes, submission.miner, purpose)


def sketch_submissions(
    store: ArtifactStore,
    parameters: ckks.Parameters,
    plan: ckks.SketchPlan,
    submissions: Sequence[b.Submission],
    workers: ckks.Workers,
    overtaken: Callable[[], bool] = never,
) -> list[Sketched]:
    """Fetch, parse strictly and sketch each; what is wrong with one becomes its coverage. Overtaken once nobody waits for it.

    A store that cannot be reached is no fault of a miner: StoreUnavailable passes.
    """
    reasons: dict[str, Reason] = {}
    fetched: list[str] = []

    def updates() -> Iterator[bytes]:
        for one in submissions:
            if overtaken():
                raise Overtaken("the round has gone on, what was sketched for it is dropped")
            try:
                data = _fetch(store, parameters, one)
            except (ArtifactMissing, ArtifactCorrupt, ArtifactTooLarge):
                reasons[one.miner] = b.MISSING_ARTIFACT
            except ckks.MalformedCiphertext:
                reasons[one.miner] = b.MALFORMED
            else:
                fetched.append(one.miner)
                yield data

    found = list(workers.sketches(parameters, plan, updates()))
    sketches = dict(zip(fetched, found, strict=True))
    return [
        _covered(one, sketches.get(one.miner), reasons.get(one.miner, b.MALFORMED)) for one in submissions
    ]


def _covered(
    submission: b.Submission, found: ckks.SketchCiphertext | ckks.MalformedCiphertext | None, why: Reason
) -> Sketched:
    ciphertext = found if isinstance(found, ckks.SketchCiphertext) else None
    reason = why if ciphertext is None else b.CONTRIBUTES
    digest = submission.manifest.update.digest
    return Sketched(Coverage(miner=submission.miner, update=digest, reason=reason), ciphertext)


def select(
    spec: TaskSpec,
    round_: b.Round,
    submissions: Mapping[str, b.Submission],
    opened: Mapping[str, Sketch | Reason],
    position: Callable[[str], tuple[int, int]],
    root: Sketch | None = None,
    rounding: float = 0.0,
    groups: Sequence[Sequence[str]] = (),
    public_steps: Sequence[Sketch] = (),
    unsound: Mapping[str, Unsound] = MappingProxyType({}),
) -> b.Selection:
    """One verdict for each miner of the round. `position` gives a transaction's place on the chain, asked only if some update is a
    copy; `root` is the sketch (k,) of the root update, where the task's rule compares with one; `rounding` is the task's
    `ckks.sketch_rounding`; `groups` are the miners whom the sums that were opened on the round's base weigh alike;
    `public_steps` are the sketches (k,) of how the public model moved last; `unsound` are the miners whose work does not stand, where
    trainings are replayed."""
    verdicts = {miner: _unranked(miner, submissions, opened) for miner in round_.miners}
    useful_work.rule_out(verdicts, unsound)
    ranked = [miner for miner in round_.miners if verdicts[miner].reason == b.CONTRIBUTES]
    if recomputes(spec):
        sketches = {miner: np.asarray(opened[miner], dtype=np.float64) for miner in ranked}
        ranked = useful_work.one_of_each_team(spec, round_, submissions, sketches, verdicts)
    faulty = sum(verdict.reason in FAULTS for verdict in verdicts.values())
    for finding, miner in zip(
        _findings(
            spec, round_, ranked, submissions, opened, position, faulty, root, rounding, groups, public_steps
        ),
        ranked,
        strict=True,
    ):
        verdicts[miner] = finding
    if recomputes(spec):
        useful_work.share_out(spec, round_, submissions, verdicts)
    _weigh_by_data(spec, submissions, groups, verdicts)
    return b.Selection(verdicts=[verdicts[miner] for miner in round_.miners])


def _weigh_by_data(
    spec: TaskSpec,
    submissions: Mapping[str, b.Submission],
    groups: Sequence[Sequence[str]],
    verdicts: Mapping[str, b.Verdict],
) -> None:
    """Where the task weighs by data, what the rule gave is each miner's share, and its weight that times the class it claims."""
    if not spec.sample_classes:
        return
    shares = {miner: verdict.weight for miner, verdict in verdicts.items() if verdict.weight}
    classes = {miner: submissions[miner].manifest.sample_class for miner in shares}
    for miner, weight in weights_by_class(spec, groups, shares, classes).items():
        verdicts[miner].share, verdicts[miner].weight = shares[miner], weight


def _unranked(
    miner: str, submissions: Mapping[str, b.Submission], opened: Mapping[str, Sketch | Reason]
) -> b.Verdict:
    if miner not in submissions:
        return b.Verdict(miner=miner, reason=b.ABSENT)
    if not submissions[miner].HasField("manifest"):
        return b.Verdict(miner=miner, reason=b.WITHHELD)
    if miner not in opened:
        return b.Verdict(miner=miner, reason=b.NO_TRACE)
    value = opened[miner]
    return b.Verdict(miner=miner, reason=b.Reason.Name(value) if isinstance(value, int) else "CONTRIBUTES")


def _findings(
    spec: TaskSpec,
    round_: b.Round,
    ranked: Sequence[str],
    submissions: Mapping[str, b.Submission],
    opened: Mapping[str, Sketch | Reason],
    position: Callable[[str], tuple[int, int]],
    faulty: int,
    root: Sketch | None,
    rounding: float,
    groups: Sequence[Sequence[str]],
    public_steps: Sequence[Sketch],
) -> list[b.Verdict]:
    if not ranked:
        return []
    rule, limits = rule_of(spec, root)
    sketches = np.stack([np.asarray(opened[miner], dtype=np.float64) for miner in ranked])
    if spec.mode == RECOMPUTE:
        return useful_work.weigh_alike(
            ranked, sketches, limits["norm_limit"], levels_of(spec, ranked, groups)
        )
    if robust.order_matters(sketches, rounding):
        places = [position(submissions[miner].commit_tx) for miner in ranked]
        order = sorted(range(len(ranked)), key=lambda row: (places[row], ranked[row]))
    else:
        order = sorted(range(len(ranked)), key=lambda row: useful_work.lot(round_.beacon, ranked[row]))
    findings = robust.select(
        sketches,
        commit_order=order,
        rule=rule,
        max_weight_sum=most_weight(spec, len(round_.miners)) // top_class(spec),
        rounding=rounding,
        already_found=faulty,
        levels=levels_of(spec, ranked, groups),
        public_steps=np.stack(public_steps) if public_steps else None,
        byzantine=spec.byzantine,
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


def levels_of(spec: TaskSpec, miners: Sequence[str], groups: Sequence[Sequence[str]] = ()) -> robust.Levels:
    """What the weights of these miners keep to, after sums on the same base that weigh each of the groups alike."""
    group_of = {miner: number for number, group in enumerate(groups) for miner in group}
    return robust.Levels(
        least_aggregate(spec),
        tuple(group_of.get(miner) for miner in miners),
        tuple(len(group) for group in groups),
    )


def rule_of(spec: TaskSpec, root: Sketch | None = None) -> tuple[robust.Rule, dict[str, float]]:
    """The task's rule and the limits of the selection around it; robust.RuleError for what there is not. `root` is the root update's
    sketch, for a rule that compares with one; to check such a rule any vector will do.

    Without a `norm_limit` of the task's own, the longest update within the bound is the limit.
    """
    settings = robust.check_copy(spec.rule.name, spec.rule.parameters, spec.byzantine)
    limits = {"norm_limit": math.sqrt(spec.ckks.update_size) * spec.ckks.bound_steps / 2**spec.ckks.step_bits}
    for name, most in LIMITS.items():
        if name in settings:
            text = settings.pop(name)
            try:
                limits[name] = float(text)
            except ValueError as error:
                raise robust.RuleError(_wanted(name, text)) from error
            if not 0 < limits[name] < most:
                raise robust.RuleError(_wanted(name, text))
    if robust.needs_root(spec.rule.name):
        settings = {name: value for name, value in settings.items() if name not in ROOT}
    return robust.make_rule(spec.rule.name, settings, spec.byzantine, root), limits


def _wanted(name: str, text: str) -> str:
    below = "" if LIMITS[name] == math.inf else f" and below {LIMITS[name]:g}"
    return f"{name} = {text!r}; it must be a number above 0{below}"
