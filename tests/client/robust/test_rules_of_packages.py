"""Rules by entry point: found, held to their version and to what they say, and nothing that they die of passes as an answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn import robust
from quorumlearn.robust import RuleError, plugins

from tests.client.packages import installed

CODE = """
import numpy as np
from quorumlearn.robust import RuleDefinition, Weights

class Rule:
    def __init__(self, weigh):
        self.weigh = weigh
    def weights(self, vectors):
        return Weights(*self.weigh(vectors))
    def for_remaining(self, count, excluded):
        return self

def given(weigh, **more):
    return RuleDefinition(version="2.1", make=lambda parameters, byzantine: Rule(weigh), **more)

def nearest(vectors):
    away = np.abs(vectors - np.median(vectors, axis=0)).sum(axis=1)
    return 1.0 / (1.0 + away), away

def dies(vectors):
    raise ZeroDivisionError("no reason")

def reach(parameters, byzantine):
    size = float(parameters.get("own_reach", "1"))
    return Rule(lambda vectors: (np.full(len(vectors), size), np.zeros(len(vectors))))

near = given(nearest)
alike = given(lambda v: (np.ones(len(v)), np.zeros(len(v))), equal=True)
random = given(lambda v: (np.random.default_rng().random(len(v)), np.zeros(len(v))))
negative = given(lambda v: (-np.ones(len(v)), np.zeros(len(v))))
short = given(lambda v: (np.ones(1), np.ones(1)))
broken = given(dies)
own = RuleDefinition(version="1", make=reach, parameters=("own_reach",))
other = object()
"""
NAMES = ("near", "alike", "random", "negative", "short", "broken", "own", "other", "missing")


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {f"{name}-rule": f"rules_of_a_test:{name}" for name in NAMES} | {"mean": "rules_of_a_test:near"}
    installed(tmp_path / "one", monkeypatch, "rules_of_a_test", CODE, {plugins.ENTRY_POINTS: entries})


def test_a_rule_of_a_package_is_a_rule_like_any_other() -> None:
    vectors = np.random.default_rng(1).normal(size=(9, 8))
    vectors[0] += 50
    found = robust.make_rule("near-rule", {}, 2).weights(vectors)
    assert np.argmin(found.values) == 0
    mixed = robust.make_rule("nnm+near-rule", {}, 2).weights(vectors)
    assert mixed.values.shape == (9,)
    assert "near-rule" in robust.rules()
    assert robust.weight_room("alike-rule", 7) == 7
    assert robust.weight_room("near-rule", 7) == 7 * robust.FRACTIONS
    assert not robust.needs_root("near-rule")


def test_no_package_takes_the_name_of_one_of_ours() -> None:
    assert isinstance(robust.make_rule("mean", {}, 1), robust.Mean)
    assert robust.rules()["mean"] == "quorumlearn"
    assert robust.copy_of("mean", {}, 1) == {}


def test_a_parameter_of_its_own_reaches_it_and_another_does_not() -> None:
    vectors = np.ones((3, 2))
    assert robust.make_rule("own-rule", {"own_reach": "4"}, 0).weights(vectors).values.tolist() == [4, 4, 4]
    with pytest.raises(RuleError, match="own-rule has no parameter 'slack'; it has own_reach"):
        robust.make_rule("own-rule", {"slack": "2"}, 0)
    with pytest.raises(RuleError, match="cannot be made: ValueError"):
        robust.make_rule("own-rule", {"own_reach": "far"}, 0)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "is installed here; there are mean, .*near-rule"),
        ("missing-rule", "cannot be had from rules_of_a_test:missing: AttributeError"),
        ("other-rule", "is a object at .*; a RuleDefinition is wanted"),
    ],
)
def test_a_rule_that_cannot_be_had_is_named(name: str, says: str) -> None:
    with pytest.raises(RuleError, match=says):
        robust.make_rule(name, {}, 1)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("broken-rule", "fails: ZeroDivisionError: no reason"),
        ("negative-rule", "negative or not finite"),
        ("short-rule", r"gives \(1,\) weights for 5 vectors"),
    ],
)
def test_what_a_rule_dies_of_or_gives_that_is_no_answer_is_said(name: str, says: str) -> None:
    with pytest.raises(RuleError, match=says):
        robust.make_rule(name, {}, 1).weights(np.eye(5))
    with pytest.raises(RuleError, match=says.replace(" for 5 vectors", "")):
        robust.copy_of(name, {}, 1)  # and nobody publishes it


def test_a_rule_that_draws_is_refused_before_it_is_published() -> None:
    with pytest.raises(RuleError, match="two things of the same vectors"):
        robust.copy_of("random-rule", {}, 1)


def test_who_has_another_copy_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = robust.copy_of("near-rule", {}, 2)
    assert task["rule_version"] == "2.1"
    assert len(task["rule_digest"]) == 64
    assert robust.check_copy("near-rule", {"outlier_factor": "4", **task}, 2) == {"outlier_factor": "4"}
    for changed, says in (
        ({"rule_version": "2.0"}, "is version '2.0' and the one installed here '2.1'"),
        ({"rule_digest": "0" * 64}, "says other things here"),
        ({"rule_version": ""}, "version ''"),
    ):
        with pytest.raises(RuleError, match=says):
            robust.check_copy("near-rule", {**task, **changed}, 2)
    with pytest.raises(RuleError, match="QuorumLearn's own"):
        robust.check_copy("mean", task, 2)
    again = CODE.replace("1.0 + away", "1.5 + away")
    monkeypatch.undo()
    installed(
        tmp_path / "two",
        monkeypatch,
        "rules_changed",
        again,
        {plugins.ENTRY_POINTS: {"near-rule": "rules_changed:near"}},
    )
    with pytest.raises(RuleError, match=r"version '2\.1', says other things here"):
        robust.check_copy("near-rule", task, 2)


def test_a_name_that_two_packages_have_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {plugins.ENTRY_POINTS: {"near-rule": "rules_twice:near"}}
    installed(tmp_path / "three", monkeypatch, "rules_twice", CODE, entries)
    with pytest.raises(RuleError, match="in several packages"):
        robust.make_rule("near-rule", {}, 1)
