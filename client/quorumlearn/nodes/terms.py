"""What a node asks of a task before it stakes anything: `accept:` in its file. A task that breaks a term is left alone.

The defaults hold for a node whose file has no `accept:`. What they are, with every other term, `quorumlearn node check --help` and
docs/terms.md show, as `tasksettings.rows` gives them:

    python -m quorumlearn.nodes.terms > docs/terms.md
"""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from quorumlearn_proto.derived import least_aggregate, spec_digest
from quorumlearn_proto.recompute import recomputes, replays
from quorumlearn_proto.task_pb2 import Task, TaskSpec

from quorumlearn import learning
from quorumlearn.artifacts import reference_of
from quorumlearn.nodes.models import workload_of
from quorumlearn.nodes.replaycosts import replay_costs
from quorumlearn.nodes.tasksettings import WHOLE, BasisPoints, table
from quorumlearn.nodes.work.exactness import training_of

Staking = Literal["miner", "verifier"]
Number = int | float


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ShortestTimeouts(_Strict):
    """Seconds. A slow node misses a phase that is shorter, and that costs it pay or stake."""

    key: int = Field(30, ge=1, description="seconds of each step of a key ceremony, at least")
    commit: int = Field(60, ge=1, description="seconds of the phase COMMIT, in which miners train, at least")
    reveal: int = Field(30, ge=1, description="seconds of the phase REVEAL, at least")
    beacon: int = Field(30, ge=1, description="seconds of the phase BEACON, at least")
    trace: int = Field(
        30, ge=1, description="seconds of the phase TRACE, at least, where training is replayed"
    )
    replay: int = Field(
        60, ge=1, description="seconds of the phase REPLAY, at least, where training is replayed"
    )
    screen: int = Field(30, ge=1, description="seconds of the phase SCREEN, at least")
    select: int = Field(30, ge=1, description="seconds of the phase SELECT, at least")
    open: int = Field(30, ge=1, description="seconds of the phase OPEN, at least")
    propose: int = Field(30, ge=1, description="seconds of the phase PROPOSE, at least")
    validate_: int = Field(30, ge=1, alias="validate", description="seconds of the phase VALIDATE, at least")


class Terms(_Strict):
    """The terms of a node's file. Names may be patterns, such as OwnerMSP/*."""

    owners: tuple[str, ...] = Field(("*",), description="accounts whose tasks are joined")
    specifications: tuple[str, ...] = Field(
        (), description="digests of tasks that are joined whoever their owner is; node check --task shows it"
    )
    workloads: tuple[str, ...] = Field(("*",), description="names of workloads, such as mnist-cnn")
    rules: tuple[str, ...] = Field(("*",), description="rules, such as multi-krum or nnm+*")
    rule_parameters: dict[str, tuple[float, float]] = Field(
        {}, description="least and largest of a rule's parameters, such as {slack: [1, 3]}"
    )
    largest_stake: int = Field(1000, ge=0, description="tokens that an identity locks in one task")
    largest_slash: int = Field(100, ge=0, description="tokens that one fault may cost")
    largest_risk: int = Field(
        5000, ge=0, description="tokens that an identity has locked or lost, in all tasks together"
    )
    least_reward: int = Field(
        1, ge=0, description="tokens a round for a place: an even part of the miners', or of the verifiers'"
    )
    shortest_timeouts: ShortestTimeouts = ShortestTimeouts.model_validate({})
    verifiers: tuple[str, ...] = Field(
        ("*",), description="MSP ids; each of the committee's and of its reserves is one of them"
    )
    least_threshold: int = Field(2, ge=1, description="so many seats decrypt and decide together, at least")
    least_threshold_share: BasisPoints = Field(5000, description="and so much of the committee's seats")
    least_flooding_bits: int = Field(40, ge=0, description="what hides a key in what it opens; encryption.*")
    least_aggregate: int = Field(2, ge=1, description="miners in a sum that is opened, at least")
    regrouped_sums: bool = Field(
        False,
        description="whether a miner takes part where each round opens sums of other groups (reward.by contribution); docs/threat-model.md",
    )
    least_local_steps: int = Field(
        5, ge=1, description="training steps of a round on the miner's data, at least: one alone shows them"
    )
    largest_learning_rate: float = Field(1.0, gt=0, description="of a miner's training")
    largest_epsilon: float | None = Field(
        None, gt=0, description="of a miner's training over all rounds; training that is not private has none"
    )
    largest_replays: float = Field(
        5.0, gt=0, description="a verifier's: whole trainings that a seat has to replay in a round, at most"
    )
    initial_models: tuple[str, ...] = Field(
        (), description="digests of initial models that are joined though the task's seed does not give them"
    )


def broken_terms(task: Task, terms: Terms, role: Staking, samples: int | None = None) -> list[str]:
    """The terms that a task breaks for an identity in this role, a sentence each with the term, its value and the task's.

    `samples` are what a miner trains on in a round; None leaves out what depends on them. Reads nothing but its arguments. Where training
    is replayed the data are the task's own: the terms that protect a miner's do not hold.
    """
    spec, strange = task.spec, unwelcome(task, terms)
    found = [*strange, *_tokens(spec, terms, role), *_time(spec, terms)]
    found += [*_committee(spec, terms), *_replays(spec, terms, role)]
    own_data = role == "miner" and not recomputes(spec)
    if own_data:
        together = least_aggregate(spec)
        found += _at_least("least_aggregate", terms.least_aggregate, "least opened sum", together)
        if spec.reward.by_contribution and not terms.regrouped_sums:
            found.append(
                "accept.regrouped_sums is false: the task pays by contribution, so each round opens sums of other groups of miners"
            )
    if strange:
        return found  # nothing is built at a stranger's word
    try:
        workload = workload_of(spec)
        if recomputes(spec):
            training_of(spec)
        return found + (list(_training(spec, terms, workload, samples)) if own_data else [])
    except learning.LearningError as error:
        return [*found, f"the task's workload cannot be had: {error}"]


def unwelcome(task: Task, terms: Terms) -> list[str]:
    """The terms on owner, workload and rule that a task breaks: while there are any, a node builds no model and reads no data for it."""
    return list(_who_and_what(task, terms))


def _who_and_what(task: Task, terms: Terms) -> Iterator[str]:
    spec, digest = task.spec, spec_digest(task.spec)
    if not _matches(task.owner, terms.owners) and digest not in terms.specifications:
        yield (
            f"accept.owners is {_list(terms.owners)} and accept.specifications does not have {digest}: "
            f"the task's owner is {task.owner}"
        )
    for name, known, value in (
        ("workloads", terms.workloads, spec.workload.name),
        ("rules", terms.rules, spec.rule.name),
    ):
        if not _matches(value, known):
            yield f"accept.{name} is {_list(known)}: the task's {name.removesuffix('s')} is {value}"
    for name, (low, high) in sorted(terms.rule_parameters.items()):
        text = spec.rule.parameters.get(name)
        if text is not None and not _inside(text, low, high):
            yield f"accept.rule_parameters[{name}] is {low:g} to {high:g}: the task's rule has {text[:40]!r}"


def _tokens(spec: TaskSpec, terms: Terms, role: Staking) -> Iterator[str]:
    stakes, reward = spec.stakes, spec.reward
    stake, slash = (
        (stakes.miner, stakes.miner_slash) if role == "miner" else (stakes.verifier, stakes.verifier_slash)
    )
    part, places = (
        (reward.miners_bp, spec.max_miners)
        if role == "miner"
        else (reward.verifiers_bp, len(spec.committee.msp_ids))
    )
    yield from _at_most("largest_stake", terms.largest_stake, f"stakes.{role}", stake)
    yield from _at_most("largest_slash", terms.largest_slash, f"stakes.{role}_slash", slash)
    earned = reward.per_round * part // WHOLE // max(1, places)
    yield from _at_least("least_reward", terms.least_reward, f"reward a round for a {role}", earned)


def _time(spec: TaskSpec, terms: Terms) -> Iterator[str]:
    for name, least in terms.shortest_timeouts.model_dump(by_alias=True).items():
        if name in ("trace", "replay") and not replays(spec):
            continue
        has = getattr(spec.timeouts, name)
        yield from _at_least(f"shortest_timeouts.{name}", least, f"timeouts.{name}", has)


def _replays(spec: TaskSpec, terms: Terms, role: Staking) -> Iterator[str]:
    costs = replay_costs(spec)
    if role == "verifier" and costs is not None:
        what = "number of trainings that a seat replays in a round"
        yield from _at_most("largest_replays", terms.largest_replays, what, round(costs.seat, 2))


def _committee(spec: TaskSpec, terms: Terms) -> Iterator[str]:
    committee = spec.committee
    for msp_id in (*committee.msp_ids, *committee.reserve_msp_ids):
        if not _matches(msp_id, terms.verifiers):
            yield f"accept.verifiers is {_list(terms.verifiers)}: the task's committee names {msp_id}"
    yield from _at_least("least_threshold", terms.least_threshold, "committee.threshold", committee.threshold)
    share = WHOLE * committee.threshold // max(1, len(committee.msp_ids))
    if share < terms.least_threshold_share:
        yield (
            f"accept.least_threshold_share is {terms.least_threshold_share / 100:g}%: the task's committee.threshold is "
            f"{committee.threshold} of {len(committee.msp_ids)}"
        )
    bits = spec.ckks.flooding_bits
    yield from _at_least("least_flooding_bits", terms.least_flooding_bits, "ckks.flooding_bits", bits)


def _training(
    spec: TaskSpec, terms: Terms, workload: learning.Workload, samples: int | None
) -> Iterator[str]:
    config = workload.config
    yield from _at_most(
        "largest_learning_rate", terms.largest_learning_rate, "learning_rate", config.learning_rate
    )
    if samples is not None:
        what = f"number of local steps on {samples} samples"
        yield from _at_least("least_local_steps", terms.least_local_steps, what, config.steps(samples))
    if terms.largest_epsilon is not None and not config.private:
        yield f"accept.largest_epsilon is {terms.largest_epsilon:g}: the task's training is not private"
    elif terms.largest_epsilon is not None and samples is not None:
        cost = workload.epsilon([samples] * spec.rounds) or 0.0
        what = f"epsilon over {spec.rounds} rounds"
        yield from _at_most("largest_epsilon", terms.largest_epsilon, what, round(cost, 4))
    brought = spec.initial_model.digest
    if brought not in terms.initial_models:
        public = learning.split(workload.initial_model(spec.seed), spec.workload.public_blocks)[0]
        if reference_of(learning.to_bytes(public)).digest != brought:
            yield (
                f"accept.initial_models is {_list(terms.initial_models)}: the task's initial model {brought} "
                "is not what its seed gives"
            )


def _at_most(term: str, limit: Number, field: str, value: Number) -> Iterator[str]:
    if value > limit:
        yield f"accept.{term} is {limit}: the task's {field} is {value}"


def _at_least(term: str, limit: Number, field: str, value: Number) -> Iterator[str]:
    if value < limit:
        yield f"accept.{term} is {limit}: the task's {field} is {value}"


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _inside(text: str, low: float, high: float) -> bool:
    try:
        return low <= float(text) <= high
    except ValueError:
        return False


def _list(names: tuple[str, ...]) -> str:
    return f"[{', '.join(names)}]"


_PAGE = """\
# A node's terms
What `accept:` in a node's file may say, in YAML, and what holds where it says nothing. A node stakes nothing on a task that breaks a term.
Its log says which one, `/metrics` counts them (`quorumlearn_broken_terms`), and `quorumlearn node check FILE --task ID` says it beforehand.
The terms on training, on the initial model and on the opened sum are a miner's only, and protect its data: they do not hold in a task
whose training is replayed, which brings its own. In a task that it has joined an identity goes on, whatever its terms have become.
"""


if __name__ == "__main__":
    sys.stdout.write(f"{_PAGE}\n{table(Terms, 'accept.')}")
