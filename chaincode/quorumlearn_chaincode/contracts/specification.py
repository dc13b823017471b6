"""What a task may ask for: every bound of a TaskSpec, each refused by a sentence with field, value and limit.

The limits on the modulus are those of the Homomorphic Encryption Standard (2018) for 128-bit classical
security and ternary secrets, as in SEAL's `CoeffModulus::MaxBitCount`.
"""

from __future__ import annotations

import re
from itertools import pairwise

from quorumlearn_proto import canonical, gate
from quorumlearn_proto.classes import MAX_CLASS, MAX_SAMPLES, least_miners_by_class
from quorumlearn_proto.common_pb2 import Config
from quorumlearn_proto.contribution import division_fault
from quorumlearn_proto.derived import WEIGHT_A_MINER, least_aggregate, places_of_organisation, top_class
from quorumlearn_proto.protocol import ROUND
from quorumlearn_proto.recompute import replays
from quorumlearn_proto.rules import least_miners
from quorumlearn_proto.task_pb2 import (
    CkksParameters,
    Committee,
    RewardSplit,
    Stakes,
    TaskSpec,
    Timeouts,
    Workload,
)
from quorumlearn_proto.task_pb2 import VerificationMode as Mode

from .arguments import MAX_AMOUNT, MAX_SUPPLY, artifact, bad, digest, line, shown, task_id, within
from .call import shortened_ms
from .configuration import MINER, VERIFIER, organisation_roles
from .errors import Code, Refusal
from .payment import WHOLE_BP
from .recompute_settings import check_recompute, replicas_of
from .rule_parameters import check_parameters

MAX_SPEC_BYTES = 64 * 1024
MAX_ROUNDS = 10_000
MAX_LIVE_TASKS = 32
"""Of an organisation of owners at the same time: every one takes threads of many nodes."""
MAX_MINERS = 256
MAX_SEATS = 16
MAX_TIMEOUT = 7 * 24 * 3600
MAX_CHALLENGE_WINDOW = 30 * 24 * 3600
MAX_MODULUS_BITS = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
MAX_UPDATE_SIZE = 10**9
MAX_ENTRIES = 64
MAX_RULE_PARTS = 8
MIN_SEATS = 2
"""And as many make a quorum: a single seat would decrypt, and decide, alone."""
MIN_FLOODING_BITS = 30
MAX_STAKE_ROUNDS = 20
"""A stake is at most what its place earns in so many rounds, at an even part of the reward. Whoever cheats gains at most a round's reward,
so more deters nobody further; it only makes burning it worth while. All stakes of a task together are at most so many rewards."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


def check_spec(spec: TaskSpec, config: Config) -> None:
    """Refuse a TaskSpec that is out of bounds, contradicts itself or names a committee that the Config does not know."""
    check_bounds(spec)
    _longer_than_clocks(spec, config)
    _enough_organisations(spec, config)
    for name in ("msp_ids", "reserve_msp_ids"):
        for msp_id in getattr(spec.committee, name):
            if VERIFIER not in (organisation_roles(config, msp_id) or ()):
                raise bad(
                    f"committee.{name} names {shown(msp_id)}, which the Config does not know as a verifier"
                )


def check_bounds(spec: TaskSpec) -> None:
    """Refuse a TaskSpec that is out of bounds or contradicts itself. Reads nothing else, so that an owner can ask it beforehand."""
    if len(canonical.to_json(spec)) > MAX_SPEC_BYTES:
        raise bad(f"the TaskSpec has {len(canonical.to_json(spec))} bytes: at most {MAX_SPEC_BYTES}")
    task_id(spec.task_id)
    line("title", spec.title)
    _word("workload.name", spec.workload.name)
    _map("workload.config", dict(spec.workload.config))
    _blocks(list(spec.workload.public_blocks))
    _word("workload.version", spec.workload.version)
    digest("workload.digest", spec.workload.digest)
    _metric(spec.workload)
    artifact("initial_model", spec.initial_model)
    within("rounds", spec.rounds, 1, MAX_ROUNDS)
    within("max_miners", spec.max_miners, 1, MAX_MINERS)
    within("min_miners", spec.min_miners, 1, spec.max_miners)
    within("max_per_organisation", spec.max_per_organisation, 0, spec.max_miners)
    within("byzantine", spec.byzantine, 0, (spec.max_miners - 1) // 2)
    _rule_name(spec.rule.name)
    _map("rule.parameters", dict(spec.rule.parameters))
    _mode(spec.mode)
    check_recompute(spec)
    _enough_miners(spec)
    _sample_classes(spec)
    check_parameters(dict(spec.rule.parameters), spec.max_miners)
    _committee(spec.committee)
    _ckks(spec.ckks)
    within(
        "ckks.max_weight_sum",
        spec.ckks.max_weight_sum,
        least_aggregate(spec) * top_class(spec),
        WEIGHT_A_MINER * top_class(spec) * spec.max_miners,
    )
    _timeouts(spec)
    _reward(spec.reward, spec.rounds)
    if fault := division_fault(spec):
        raise bad(fault)
    _stakes(spec.stakes)
    _proportions(spec)
    within("tolerance_bp", spec.tolerance_bp, 0, WHOLE_BP)
    within("challenge_window_seconds", spec.challenge_window_seconds, 0, MAX_CHALLENGE_WINDOW)


def _word(name: str, text: str) -> None:
    if not _WORD.fullmatch(text):
        raise bad(f"{name} is {shown(text)}: 1 to 64 of A-Z a-z 0-9 _ . -, beginning with a letter or digit")


def _rule_name(text: str) -> None:
    """A rule, or what comes before it and a rule, joined by `+`."""
    parts = text.split("+")
    within("the number of parts of rule.name", len(parts), 1, MAX_RULE_PARTS)
    for part in parts:
        _word("rule.name" if len(parts) == 1 else "a part of rule.name", part)


def _enough_miners(spec: TaskSpec) -> None:
    """A round must have as many miners as its rule needs for the task's f, and a sum f + 2 of them: no round makes do with less.

    Of replicas a sum has one, so that where miners train in teams it takes as many teams.
    """
    f, least, replicas = spec.byzantine, least_miners(spec), replicas_of(spec)
    if spec.min_miners // replicas < least:
        fewer = (
            lower for lower in reversed(range(f)) if _miners_for(spec, lower) <= spec.min_miners // replicas
        )
        or_fewer = next((f", or byzantine to {lower}" for lower in fewer), "")
        teams = f" teams of {replicas}" if replicas > 1 else ""
        raise bad(
            f"min_miners is {spec.min_miners}: {spec.rule.name} with byzantine = {f} needs {least}{teams} in every round; "
            f"set it to {least * replicas} at least{or_fewer}"
        )
    if spec.min_aggregate:
        within(
            "min_aggregate, unless it is left out,", spec.min_aggregate, f + 2, spec.min_miners // replicas
        )


def _sample_classes(spec: TaskSpec) -> None:
    """Few classes, of numbers that rise, and so many miners that the rule withstands those who lie about their class."""
    thresholds = list(spec.sample_classes)
    within("the number of sample_classes", len(thresholds), 0, MAX_CLASS - 1)
    for earlier, later in pairwise([0, *thresholds]):
        within("an entry of sample_classes, each above the one before,", later, earlier + 1, MAX_SAMPLES)
    least = least_miners_by_class(spec)
    if thresholds and spec.min_miners < least:
        top = len(thresholds) + 1
        raise bad(
            f"min_miners is {spec.min_miners}: with {top} classes of samples {spec.byzantine} Byzantine miners may weigh {top} times "
            f"each, and {spec.rule.name} then needs {least} in every round; raise min_miners, or give fewer sample_classes"
        )


def _enough_organisations(spec: TaskSpec, config: Config) -> None:
    """The miners' organisations can fill a round, each with its share of the places."""
    share = places_of_organisation(spec)
    organisations = sum(MINER in organisation.roles for organisation in config.organisations)
    if organisations * share < spec.min_miners:
        raise bad(
            f"max_per_organisation is {share}{'' if spec.max_per_organisation else ' (half of max_miners)'}: so the Config's "
            f"organisations of miners, {organisations}, fill {organisations * share} places, and min_miners is {spec.min_miners}; "
            "raise max_per_organisation"
        )


def _miners_for(spec: TaskSpec, byzantine: int) -> int:
    other = TaskSpec(rule=spec.rule, byzantine=byzantine)
    return least_miners(other)


def _map(name: str, entries: dict[str, str]) -> None:
    within(f"the number of entries of {name}", len(entries), 0, MAX_ENTRIES)
    for key in sorted(entries):
        _word(f"a key of {name}", key)
        line(f"{name}[{key}]", entries[key])


def _blocks(names: list[str]) -> None:
    within("the number of workload.public_blocks", len(names), 0, MAX_ENTRIES)
    for name in names:
        _word("an entry of workload.public_blocks", name)
    if len(set(names)) != len(names):
        raise bad("workload.public_blocks names a block twice")


def _metric(workload: Workload) -> None:
    """A metric by any name; one whose name is known goes the way that it goes everywhere."""
    if workload.metric:
        _word("workload.metric", workload.metric)
    name = workload.metric or gate.ACCURACY
    lower = name in gate.LOWER_IS_BETTER
    if name in gate.BOUNDS and workload.lower_is_better != lower:
        raise bad(
            f"workload.lower_is_better is {str(workload.lower_is_better).lower()} with the metric {name}: "
            f"give {str(lower).lower()}, or another name to another metric"
        )


def _mode(mode: Mode) -> None:
    known = [name for name, value in Mode.items() if value != Mode.VERIFICATION_MODE_UNSPECIFIED]
    if mode == Mode.VERIFICATION_MODE_UNSPECIFIED:
        raise bad(f"mode is missing: give {', '.join(known)}")
    if mode not in Mode.values():
        raise Refusal(Code.NOT_SUPPORTED, f"mode {int(mode)} is not offered: give {', '.join(known)}")


def _committee(committee: Committee) -> None:
    msp_ids, reserves = list(committee.msp_ids), list(committee.reserve_msp_ids)
    v, t = len(msp_ids), committee.threshold
    within("the number of committee.msp_ids", v, MIN_SEATS, MAX_SEATS)
    within("the number of committee.reserve_msp_ids", len(reserves), 0, MAX_SEATS)
    _organisations("committee.msp_ids", msp_ids)
    _organisations("committee.reserve_msp_ids", reserves)
    both = sorted(set(msp_ids) & set(reserves))
    if both:
        raise bad(f"committee.reserve_msp_ids names {both[0]}, which has a seat of its own")
    within(f"committee.threshold for {v} seats", t, max(v // 2 + 1, MIN_SEATS), v)


def _organisations(name: str, msp_ids: list[str]) -> None:
    if len(set(msp_ids)) != len(msp_ids):
        raise bad(f"{name} names an organisation twice: each has one seat")


def _ckks(ckks: CkksParameters) -> None:
    degree, bits = ckks.poly_modulus_degree, list(ckks.coeff_modulus_bits)
    if degree not in MAX_MODULUS_BITS:
        raise bad(f"ckks.poly_modulus_degree is {degree}: a power of two from 1024 to 32768")
    within("the number of ckks.coeff_modulus_bits", len(bits), 2, 32)
    for size in bits:
        within("an entry of ckks.coeff_modulus_bits", size, 2, 60)
    if sum(bits) > MAX_MODULUS_BITS[degree]:
        raise bad(
            f"ckks.coeff_modulus_bits add up to {sum(bits)}: at most {MAX_MODULUS_BITS[degree]} "
            f"for 128-bit security at degree {degree}"
        )
    data_bits = sum(bits)
    within("ckks.scale_bits", ckks.scale_bits, 1, data_bits)
    within("ckks.sign_scale_bits", ckks.sign_scale_bits, 0, 60)
    within("ckks.step_bits", ckks.step_bits, 0, 52)
    within("ckks.bound_steps", ckks.bound_steps, 1, 2**31 - 1)
    within("ckks.flooding_bits", ckks.flooding_bits, MIN_FLOODING_BITS, data_bits)
    within("ckks.sketch_size", ckks.sketch_size, 1, degree)
    within("ckks.update_size", ckks.update_size, 1, MAX_UPDATE_SIZE)


def _timeouts(spec: TaskSpec) -> None:
    for name in Timeouts.DESCRIPTOR.fields_by_name:
        value = getattr(spec.timeouts, name)
        if name in _used_timeouts(spec):
            within(f"timeouts.{name}", value, 1, MAX_TIMEOUT)
        elif value:
            raise bad(f"timeouts.{name} is {value}, and nobody replays in this task: leave it out")


def _used_timeouts(spec: TaskSpec) -> list[str]:
    unused = {step.timeout for step in ROUND.values() if step.replayed and not replays(spec)}
    return [name for name in Timeouts.DESCRIPTOR.fields_by_name if name not in unused]


def _longer_than_clocks(spec: TaskSpec, config: Config) -> None:
    """No phase or step may be over before others can act, whatever the clocks of those who begin and end it."""
    least = shortened_ms(config) // 1000 + 1
    for name in _used_timeouts(spec):
        if getattr(spec.timeouts, name) < least:
            raise bad(
                f"timeouts.{name} is {getattr(spec.timeouts, name)}: at least {least} seconds, "
                f"for clocks may take {shortened_ms(config) / 1000:g} of them"
            )


def _reward(reward: RewardSplit, rounds: int) -> None:
    within("reward.per_round", reward.per_round, 1, MAX_AMOUNT)
    if rounds * reward.per_round > MAX_SUPPLY:
        raise bad(f"rounds x reward.per_round is {rounds * reward.per_round}: at most {MAX_SUPPLY}")
    parts = (reward.miners_bp, reward.verifiers_bp, reward.proposer_bp)
    if sum(parts) != WHOLE_BP:
        raise bad(f"reward.miners_bp, verifiers_bp and proposer_bp are {parts}: they add up to {WHOLE_BP}")


def _stakes(stakes: Stakes) -> None:
    for name in Stakes.DESCRIPTOR.fields_by_name:
        within(f"stakes.{name}", getattr(stakes, name), 0, MAX_AMOUNT)
    within("stakes.miner_slash", stakes.miner_slash, 0, stakes.miner)
    within("stakes.verifier_slash", stakes.verifier_slash, 0, stakes.verifier)


def _proportions(spec: TaskSpec) -> None:
    """What is at stake is in proportion to what can be earned."""
    reward, stakes = spec.reward, spec.stakes
    parts = (
        ("miner", reward.miners_bp, spec.max_miners),
        ("verifier", reward.verifiers_bp, len(spec.committee.msp_ids)),
        ("challenge", WHOLE_BP, 1),
    )
    for name, part_bp, places in parts:
        most = MAX_STAKE_ROUNDS * reward.per_round * part_bp // WHOLE_BP // places
        if getattr(stakes, name) > most:
            raise bad(
                f"stakes.{name} is {getattr(stakes, name)}: at most {most}, {MAX_STAKE_ROUNDS} rounds of "
                f"reward.per_round {reward.per_round} x {part_bp} / {WHOLE_BP} over {places}"
            )
