"""Every bound of a TaskSpec: its limit is accepted, one beyond is refused by a sentence that names the field."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from quorumlearn import robust
from quorumlearn.nodes.screening import ROOT
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_chaincode.contracts.rule_parameters import BOUNDS, ROOT_DIGEST, check_parameters
from quorumlearn_chaincode.contracts.specification import check_spec
from quorumlearn_proto.task_pb2 import RobustRule, TaskSpec, VerificationMode

from tests.chaincode.contracts.market_actors import SLACK_MS, TIMEOUTS, config, spec

NETWORK = config(17)
V = [f"V{number}MSP" for number in range(1, 18)]


def changed(path: str, value: object) -> TaskSpec:
    made = spec()
    *folders, name = path.split(".")
    target: object = made
    for folder in folders:
        target = getattr(target, folder)
    if isinstance(value, list):
        del getattr(target, name)[:]
        getattr(target, name).extend(value)
    else:
        setattr(target, name, value)
    return made


WITHIN: list[tuple[str, object]] = [
    ("rule.name", "bucketing+nnm+multi-krum"),
    ("task_id", "a" * 63),
    ("title", ""),
    ("title", "Zürich " * 28),
    ("rounds", 10_000),
    ("min_miners", 4),
    ("byzantine", 0),
    ("workload.public_blocks", []),
    ("workload.metric", "auc"),
    ("workload.metric", "dice.top-5"),
    ("sample_classes", [1]),
    ("sample_classes", [10, 1 << 40]),
    ("committee.threshold", 3),
    ("ckks.coeff_modulus_bits", [58, 60, 60, 40]),
    ("ckks.sketch_size", 8192),
    ("ckks.max_weight_sum", 2),
    ("ckks.max_weight_sum", 32),
    ("ckks.flooding_bits", 30),
    ("stakes.miner", 3500),
    ("stakes.verifier", 1333),
    ("stakes.challenge", 20_000),
    ("stakes.miner_slash", 0),
    ("stakes.miner_slash", 100),
    ("reward.per_round", 10**15),
    ("tolerance_bp", 10_000),
    ("challenge_window_seconds", 0),
    ("min_aggregate", 0),
    ("min_aggregate", 2),
    ("min_aggregate", 3),
    ("committee.reserve_msp_ids", V[3:]),
    ("reward.by_contribution", True),
    ("seed", 2**64 - 1),
    *[
        (f"timeouts.{name}", value)
        for name in sorted(TIMEOUTS)
        for value in (6 * SLACK_MS // 1000 + 1, 7 * 86400)
    ],
]
BEYOND: list[tuple[str, object]] = [
    ("task_id", "ab"),
    ("task_id", "a" * 64),
    ("task_id", "-abc"),
    ("task_id", "a/b/c"),
    ("title", "x" * 201),
    ("title", "a\nb"),
    ("workload.name", ""),
    ("workload.name", "../x"),
    ("workload.metric", "a b"),
    ("workload.metric", "loss"),
    ("workload.lower_is_better", True),
    ("sample_classes", [0]),
    ("sample_classes", [10, 10]),
    ("sample_classes", [(1 << 40) + 1]),
    ("sample_classes", [1, 2, 3, 4]),
    ("workload.public_blocks", ["top", "top"]),
    ("workload.public_blocks", [""]),
    ("workload.public_blocks", [f"b{number}" for number in range(65)]),
    ("initial_model.digest", "0" * 63),
    ("initial_model.size", 0),
    ("rounds", 0),
    ("rounds", 10_001),
    ("max_miners", 257),
    ("max_miners", 0),
    ("min_miners", 0),
    ("min_miners", 5),
    ("byzantine", 2),
    ("rule.name", ""),
    ("rule.name", "nnm+"),
    ("rule.name", "nnm multi-krum"),
    ("rule.name", "+".join(["nnm"] * 9)),
    ("committee.msp_ids", []),
    ("committee.msp_ids", ["V1MSP"]),
    ("committee.msp_ids", ["V1MSP", "V1MSP", "V2MSP"]),
    ("committee.msp_ids", ["V1MSP", "V2MSP", "OwnerMSP"]),
    ("committee.msp_ids", V),
    ("committee.reserve_msp_ids", ["V4MSP", "V4MSP"]),
    ("committee.reserve_msp_ids", ["V3MSP"]),
    ("committee.reserve_msp_ids", ["V4MSP", "OwnerMSP"]),
    ("committee.reserve_msp_ids", ["NobodyMSP"]),
    ("min_aggregate", 1),
    ("min_aggregate", 4),
    ("committee.threshold", 1),
    ("committee.threshold", 4),
    ("ckks.poly_modulus_degree", 512),
    ("ckks.poly_modulus_degree", 8191),
    ("ckks.poly_modulus_degree", 65536),
    ("ckks.coeff_modulus_bits", [60]),
    ("ckks.coeff_modulus_bits", [61, 60]),
    ("ckks.coeff_modulus_bits", [59, 60, 60, 40]),
    ("ckks.scale_bits", 0),
    ("ckks.scale_bits", 157),
    ("ckks.sign_scale_bits", 61),
    ("ckks.step_bits", 53),
    ("ckks.bound_steps", 0),
    ("ckks.bound_steps", 2**31),
    ("ckks.max_weight_sum", 1),
    ("ckks.max_weight_sum", 33),
    ("ckks.flooding_bits", 29),
    ("ckks.flooding_bits", 157),
    ("ckks.sketch_size", 0),
    ("ckks.sketch_size", 8193),
    ("ckks.update_size", 0),
    ("ckks.update_size", 10**9 + 1),
    ("reward.per_round", 0),
    ("reward.per_round", -1),
    ("reward.per_round", 10**15 + 1),
    ("reward.miners_bp", 7001),
    ("stakes.miner", -1),
    ("stakes.miner", 10**15 + 1),
    ("stakes.miner", 3501),
    ("stakes.verifier", 1334),
    ("stakes.challenge", 20_001),
    ("stakes.miner_slash", 101),
    ("stakes.miner_slash", -1),
    ("stakes.verifier_slash", 201),
    ("stakes.challenge", -1),
    ("tolerance_bp", 10_001),
    ("challenge_window_seconds", 30 * 86400 + 1),
    *[
        (f"timeouts.{name}", value)
        for name in sorted(TIMEOUTS)
        for value in (0, 6 * SLACK_MS // 1000, 604801)
    ],
    ("timeouts.trace", 100),
    ("timeouts.replay", 100),
]


@pytest.mark.parametrize(("path", "value"), WITHIN)
def test_the_limit_itself_is_accepted(path: str, value: object) -> None:
    check_spec(changed(path, value), NETWORK)


@pytest.mark.parametrize(("path", "value"), BEYOND)
def test_beyond_the_limit_is_refused_by_name(path: str, value: object) -> None:
    with pytest.raises(Refusal) as caught:
        check_spec(changed(path, value), NETWORK)
    assert caught.value.code == Code.BAD_ARGUMENT
    assert path.rsplit(".", maxsplit=1)[-1].removesuffix("_id") in caught.value.sentence


@pytest.mark.parametrize(
    "fill",
    [
        lambda made: made.workload.config.update({f"k{number}": "v" for number in range(65)}),
        lambda made: made.workload.config.update({"k": "v" * 201}),
        lambda made: made.rule.parameters.update({"a b": "v"}),
        lambda made: (
            made.reward.MergeFrom(type(made.reward)(per_round=10**15)) or setattr(made, "rounds", 1001)
        ),
    ],
    ids=["entries", "value", "key", "total"],
)
def test_maps_and_the_total_reward_are_bounded(fill: Callable[[TaskSpec], object]) -> None:
    made = spec()
    fill(made)
    with pytest.raises(Refusal) as caught:
        check_spec(made, NETWORK)
    assert caught.value.code == Code.BAD_ARGUMENT


@pytest.mark.parametrize(("v", "threshold"), [(2, 2), (3, 2), (4, 3), (5, 3), (16, 9)])
def test_the_least_threshold_is_a_majority_and_two_of_several(v: int, threshold: int) -> None:
    made = changed("committee.msp_ids", V[:v])
    made.committee.threshold = threshold
    check_spec(made, NETWORK)
    made.committee.threshold = threshold - 1
    with pytest.raises(Refusal):
        check_spec(made, NETWORK)


def test_the_most_miners_are_accepted_with_a_reward_for_so_many() -> None:
    made = changed("max_miners", 256)
    with pytest.raises(Refusal, match=r"stakes.miner is 100: at most 54, 20 rounds of reward.per_round 1000"):
        check_spec(made, NETWORK)
    made.reward.per_round = 2000
    check_spec(made, NETWORK)


def test_a_networks_clocks_say_how_short_a_phase_may_be() -> None:
    slow = config(17)
    slow.clock_slack_ms = 20_000
    with pytest.raises(
        Refusal, match=r"timeouts.join is 100: at least 121 seconds, for clocks may take 120 of them"
    ):
        check_spec(spec(), slow)


def test_classes_of_data_take_miners_who_outweigh_the_cheats_at_the_top() -> None:
    made = changed("sample_classes", [100, 1000])
    made.byzantine, made.max_miners, made.min_miners, made.ckks.max_weight_sum = 1, 12, 6, 36
    with pytest.raises(
        Refusal, match=r"min_miners is 6: with 3 classes of samples 1 Byzantine miners may weigh 3 times each"
    ):
        check_spec(made, NETWORK)
    made.min_miners = 7
    check_spec(made, NETWORK)
    made.ckks.max_weight_sum = 8
    with pytest.raises(Refusal, match=r"ckks.max_weight_sum is 8: 9 to 288"):
        check_spec(made, NETWORK)


PARAMETERS = [
    ("selected", "1", "4", "0", "5"),
    ("nearest", "1", "4", "0", "5"),
    ("bucket_size", "1", "4", "0", "5"),
    ("steps", "1", "1000", "0", "1001"),
    ("margin", "0", "0.5", "-0.1", "0.51"),
    ("least_new", "0.1", "0.95", "0.09", "0.96"),
    ("slack", "1", "10", "0.99", "10.1"),
    ("smoothing", "1e-9", "1", "0", "1.1"),
    ("clip", "1e-6", "1000000", "0", "1e7"),
    ("radius", "1e-6", "1000000", "0", "1e7"),
    ("root_size", "1", "16777216", "0", "16777217"),
    ("root_digest", "0" * 64, "f" * 64, "0" * 63, "F" * 64),
]


@pytest.mark.parametrize(("name", "low", "high", "under", "over"), PARAMETERS)
def test_a_parameter_of_the_rule_stays_within_its_bounds(
    name: str, low: str, high: str, under: str, over: str
) -> None:
    for text in (low, high):
        check_parameters({name: text}, max_miners=4)
    for text in (under, over, "", "nan", "inf", "1 ", "one"):
        with pytest.raises(Refusal, match=re.escape(f"rule.parameters[{name}]")):
            check_parameters({name: text}, max_miners=4)


def test_a_parameter_that_no_rule_has_is_refused() -> None:
    made = spec()
    made.rule.parameters["krum"] = "1"
    with pytest.raises(Refusal, match=r"rule.parameters has 'krum': there are bucket_size, clip"):
        check_spec(made, NETWORK)


def test_a_rule_of_a_package_says_which_copy_it_is_and_has_short_parameters_of_its_own() -> None:
    good = {"rule_version": "1.0+local", "rule_digest": "0" * 64, "own_reach": "0.5"}
    check_parameters(good, max_miners=4)
    for name, text in (
        ("rule_version", ""),
        ("rule_version", "v" * 41),
        ("rule_version", "1 0"),
        ("rule_digest", "0" * 63),
        ("own_reach", "\n"),
        ("own_reach", "-1"),
    ):
        with pytest.raises(Refusal, match=re.escape(f"rule.parameters[{name}]")):
            check_parameters({**good, name: text}, max_miners=4)
    for name in ("own_", "own_A", "own_" + "a" * 37, "rule_size"):
        with pytest.raises(Refusal, match="there are bucket_size, clip"):
            check_parameters({**good, name: "1"}, max_miners=4)


def test_every_parameter_that_a_rule_has_is_bounded_by_the_ledger() -> None:
    for name in (*robust.RULES, *(f"{before}+mean" for before in robust.MIXTURES)):
        with pytest.raises(robust.RuleError) as caught:
            robust.make_rule(name, {"no_such": "1"}, 0, np.ones(1))
        known = str(caught.value).rpartition("it has ")[2].split(", ")
        assert {*known} - {"none"} <= {*BOUNDS}
    assert {*ROOT} <= {*BOUNDS, ROOT_DIGEST}


def test_no_more_reserves_than_seats_may_ever_be() -> None:
    with pytest.raises(Refusal) as caught:
        check_spec(changed("committee.reserve_msp_ids", [f"V{n}MSP" for n in range(4, 21)]), config(20))
    assert "reserve_msp_ids" in caught.value.sentence


@pytest.mark.parametrize(
    ("rule", "f", "least"),
    [
        ("multi-krum", 0, 2),
        ("mean", 0, 2),
        ("multi-krum", 2, 7),
        ("agreement", 2, 6),
        ("trust-scores", 2, 6),
        ("l-nearest", 2, 6),
        ("bucketing+multi-krum", 1, 9),
        ("nnm+multi-krum", 3, 9),
        ("of-the-future", 2, 7),
    ],
)
def test_a_round_has_the_miners_that_its_rule_needs_and_a_sum_two_more_than_may_cheat(
    rule: str, f: int, least: int
) -> None:
    made = spec(min_miners=least, max_miners=16, byzantine=f, rule=RobustRule(name=rule))
    check_spec(made, NETWORK)
    made.min_aggregate = f + 2
    check_spec(made, NETWORK)
    for field, too_few in (("min_aggregate", f + 1), ("min_miners", least - 1)):
        few = spec()
        few.CopyFrom(made)
        setattr(few, field, too_few)
        with pytest.raises(Refusal, match=f"{field}.* is {too_few}"):
            check_spec(few, NETWORK)


def test_a_refusal_for_want_of_miners_says_what_would_do() -> None:
    with pytest.raises(Refusal) as caught:
        check_spec(spec(min_miners=6, max_miners=8, byzantine=2), NETWORK)
    assert "multi-krum with byzantine = 2 needs 7 in every round" in caught.value.sentence
    assert "set it to 7 at least, or byzantine to 1" in caught.value.sentence


@pytest.mark.parametrize(
    ("mode", "code", "says"),
    [
        (
            VerificationMode.VERIFICATION_MODE_UNSPECIFIED,
            Code.BAD_ARGUMENT,
            "mode is missing: give ROBUST, RECOMPUTE",
        ),
        (VerificationMode.RECOMPUTE, Code.BAD_ARGUMENT, "recompute is missing, and mode is RECOMPUTE"),
        (VerificationMode.ROBUST_AND_RECOMPUTE, Code.BAD_ARGUMENT, "recompute is missing"),
        (77, Code.NOT_SUPPORTED, "mode 77 is not offered"),
    ],
)
def test_a_mode_that_is_not_offered_or_lacks_what_it_takes_is_refused(
    mode: int, code: Code, says: str
) -> None:
    with pytest.raises(Refusal, match=says) as caught:
        check_spec(changed("mode", mode), NETWORK)
    assert caught.value.code == code


def test_a_task_that_pays_by_contribution_takes_two_groups_and_a_committee_without_even_votes() -> None:
    made = spec(min_aggregate=3)
    made.reward.by_contribution = True
    with pytest.raises(Refusal, match="takes two groups of 3 miners"):
        check_spec(made, NETWORK)
    even = spec()
    even.reward.by_contribution = True
    even.committee.msp_ids.append("V4MSP")
    even.committee.threshold = 3
    with pytest.raises(Refusal, match="2 dishonest seats could move the medians"):
        check_spec(even, NETWORK)
