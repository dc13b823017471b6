"""A fall of the score counts only when it is more than chance, at every size of a test set, by integers alone."""

from __future__ import annotations

import doctest
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn_proto import gate
from quorumlearn_proto.block_pb2 import Ballot
from quorumlearn_proto.gate import MAX_CHANCE, MAX_SCORE, MAX_TOTAL, least_chance, score_fault, score_fell
from quorumlearn_proto.task_pb2 import TaskSpec, Workload

from tests.ballots import counted

LEVEL = Fraction(1, 1000)


def spec(metric: str = "", tolerance_bp: int = 0) -> TaskSpec:
    lower = metric in gate.LOWER_IS_BETTER
    return TaskSpec(workload=Workload(metric=metric, lower_is_better=lower), tolerance_bp=tolerance_bp)


ACCURACY = spec()


def changed(lost: int, gained: int, same: int = 0, total: int = 0) -> Ballot:
    """Of `total` samples `lost` and `gained` changed and `same` are correct both times."""
    return counted(same + gained, same + lost, total or same + lost + gained or 1, lost)


def likely(lost: int, of: int) -> Fraction:
    """How likely at least so many of the changed samples are lost, each with a probability of 1/2: exactly."""
    return Fraction(sum(comb(of, k) for k in range(max(lost, 0), of + 1)), 2**of)


def least_that_counts(of: int) -> int:
    """The fewest lost samples, of so many that changed, that are called a fall; one more than all if none are."""
    low, high = 0, of + 1
    while low < high:
        middle = (low + high) // 2
        if score_fell(changed(middle, of - middle), ACCURACY):
            high = middle
        else:
            low = middle + 1
    return low


def mcnemar(lost: int, gained: int, total: int, tolerance_bp: int) -> bool:
    """The rule on counts, in whole numbers."""
    fall = lost - gained
    return fall > 0 and fall * 10_000 > tolerance_bp * total and (fall - 1) ** 2 * 20 >= 191 * (lost + gained)


def test_the_examples_of_the_module_are_true() -> None:
    assert doctest.testmod(gate).failed == 0


def test_by_the_exact_binomial_a_model_that_is_no_worse_falls_at_most_once_in_a_thousand() -> None:
    for of in (*range(1, 300), 500, 1000, 1001, 4000):
        least = least_that_counts(of)
        assert likely(least, of) <= LEVEL
        assert likely(least - 2, of) > LEVEL, "and little more is asked than the exact test asks"


def test_one_patient_rejects_nothing_and_no_test_set_is_too_small_to_say_so() -> None:
    for of in range(12):
        assert not score_fell(changed(of, 0), ACCURACY)
    assert score_fell(changed(12, 0), ACCURACY)


COUNTS = st.integers(0, 500) | st.sampled_from([0, 1, 11, 12, 191 * 5, 2006, 1814])


@given(COUNTS, COUNTS, COUNTS, COUNTS, st.integers(0, 10_000))
def test_an_accuracy_falls_exactly_where_mcnemars_test_says_so(
    lost: int, gained: int, same: int, neither: int, tolerance_bp: int
) -> None:
    one = changed(lost, gained, same, max(1, lost + gained + same + neither))
    assert not score_fault(one, ACCURACY)
    assert score_fell(one, spec(tolerance_bp=tolerance_bp)) == mcnemar(lost, gained, one.total, tolerance_bp)


def test_what_is_just_as_much_as_chance_falls() -> None:
    """(192 - 1)^2 = 9.55 x 3820, the least tie there is."""
    assert mcnemar(2006, 1814, 10_000, 0)
    assert score_fell(changed(2006, 1814, total=10_000), ACCURACY)
    assert not score_fell(changed(2006, 1815, total=10_000), ACCURACY)


@pytest.mark.parametrize("scale", [1, 2, 700])
def test_where_less_is_better_the_tolerance_is_of_what_the_base_scores(scale: int) -> None:
    rose = Ballot(score=1_100_000 * scale, base_score=1_000_000 * scale, chance=1000, total=10_000)
    assert score_fell(rose, spec("loss", 999))
    assert not score_fell(rose, spec("loss", 1000))
    assert not score_fell(rose, spec("dice", 0)), "more of what is better is no fall"


def test_elsewhere_the_tolerance_is_of_a_scale_of_one() -> None:
    fell = Ballot(score=100_000, base_score=200_000, chance=1000, total=10_000)
    assert score_fell(fell, spec("dice", 999))
    assert not score_fell(fell, spec("dice", 1000))
    assert not score_fell(fell, spec("loss", 0))


def lost_three_of_ten(chance: int) -> Ballot:
    return Ballot(score=500_000, base_score=800_000, total=10, chance=chance)


@pytest.mark.parametrize(
    ("ballot", "metric", "fault"),
    [
        (Ballot(score=1_000_001, total=10), "", "0 to 1000000 millionths of accuracy"),
        (Ballot(base_score=-1, total=10), "", "0 to 1000000 millionths of accuracy"),
        (Ballot(score=MAX_SCORE + 1, total=10), "loss", f"{-MAX_SCORE} to {MAX_SCORE} millionths of loss"),
        (Ballot(score=1_000_001, total=10), "r2", "to 1000000 millionths of r2"),
        (Ballot(total=MAX_TOTAL + 1), "", f"at most {MAX_TOTAL}"),
        (Ballot(chance=-1, total=1), "loss", f"0 to {MAX_CHANCE}"),
        (Ballot(chance=MAX_CHANCE + 1, total=1), "loss", f"0 to {MAX_CHANCE}"),
        (Ballot(base_score=500_000), "", "base_score is given, and total is 0"),
        (Ballot(score=550_000, base_score=500_000, total=10), "", "no number of right samples of 10"),
        (lost_three_of_ten(635_255), "", "by less than 635256"),
        (lost_three_of_ten(635_256), "", ""),
        (lost_three_of_ten(917_619), "", ""),
        (lost_three_of_ten(917_624), "", "at most"),
        (Ballot(score=900_000, base_score=500_000, chance=430_888, total=10), "loss", "by less than"),
        (Ballot(score=900_000, base_score=500_000, chance=430_899, total=10), "loss", ""),
    ],
)
def test_numbers_that_contradict_each_other_are_told_apart(ballot: Ballot, metric: str, fault: str) -> None:
    found = score_fault(ballot, spec(metric))
    assert fault in found if fault else not found


SCORES = st.integers(0, MAX_SCORE) | st.integers(0, 100)


@given(SCORES, SCORES, st.integers(1, 11), st.sampled_from(["loss", "dice"]), st.integers(-2, 2))
def test_no_ballot_on_fewer_than_twelve_samples_says_that_a_score_fell(
    score: int, base_score: int, total: int, metric: str, beside: int
) -> None:
    """But for falls that are hardly more than what rounding makes of none."""
    fall = abs(score - base_score)
    for chance in (0, least_chance(fall, total) + beside, fall):
        one = Ballot(score=score, base_score=base_score, total=total, chance=max(0, chance))
        assert score_fault(one, spec(metric)) or not score_fell(one, spec(metric)) or fall < 100


def test_whoever_lies_about_chance_can_call_no_accuracy_fallen_that_lost_fewer_than_twelve() -> None:
    for lost in range(12):
        for chance in range(0, 20_000, 7):
            one = Ballot(score=500_000 - 1000 * lost, base_score=500_000, total=1000, chance=chance)
            assert score_fault(one, ACCURACY) or not score_fell(one, ACCURACY)
