"""Each way to cheat does what its table says, and what cannot be meant is refused."""

from __future__ import annotations

import byzfl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.attacks import BEHAVIOURS, BehaviourError, Sight, make_behaviour, trigger
from quorumlearn.attacks.updates import APART
from quorumlearn.robust import MultiKrum, select

D = 4000
NEEDS = {"copy": ":miner1", "mimic": ":miner1", "thief": ":miner1"} | dict.fromkeys(
    ("alie", "inner-product", "adaptive"), ":miner1,miner2"
)


def honest(count: int = 6, seed: int = 1, size: int = D) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=size) + random.normal(size=(count, size))


def weigh(sketches: np.ndarray) -> np.ndarray:
    findings = select(
        sketches,
        commit_order=range(len(sketches)),
        rule=MultiKrum(2),
        norm_limit=1e6,
        max_weight_sum=len(sketches),
    )
    return np.array([float(finding.weight) for finding in findings])


def sight(seed: int = 3, byzantine: int = 2, size: int = D) -> Sight:
    updates = honest(size=size)
    return Sight(size=size, seed=seed, own=updates[0], others=updates[1:], byzantine=byzantine, weigh=weigh)


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_every_behaviour_is_made_from_its_text_and_forms_an_update(name: str) -> None:
    behaviour = make_behaviour(name + NEEDS.get(name, ""))
    assert make_behaviour(str(behaviour)) == behaviour
    update = behaviour.form(sight())
    assert (update.shape, update.dtype) == ((D,), np.float64)
    assert np.isfinite(update).all()
    np.testing.assert_array_equal(update, behaviour.form(sight()))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lazy", "there is no behaviour 'lazy'"),
        ("", "there is no behaviour ''"),
        ("copy", "copy needs whom it watches"),
        ("copy:", "copy needs whom it watches"),
        ("alie:1.5", "alie needs whom it watches"),
        ("alie:miner1,", "alie needs whom it watches"),
        ("copy:miner1,miner2", "watches one miner, got 2"),
        ("honest:1", "honest does not take '1'"),
        ("noise:lots", "noise does not take 'lots'"),
        ("noise:-1", "noise does not take '-1'"),
        ("noise:1:miner2", "noise does not take 'miner2'"),
        ("backdoor:0.5", "a whole number"),
        ("skipper:2", "a share, at most 1"),
        ("thief", "thief needs whom it watches"),
    ],
)
def test_a_behaviour_that_means_nothing_is_refused(text: str, says: str) -> None:
    with pytest.raises(BehaviourError, match=says):
        make_behaviour(text)


def test_an_attacker_without_what_it_works_on_is_told_so() -> None:
    blind = Sight(size=D, seed=1)
    for text in ("sign-flip", "scaling", "honest"):
        with pytest.raises(BehaviourError, match="nothing was trained"):
            make_behaviour(text).form(blind)
    for text in ("copy:a", "mimic:a", "alie:a", "inner-product:a"):
        with pytest.raises(BehaviourError, match="sees none"):
            make_behaviour(text).form(blind)
    with pytest.raises(BehaviourError, match="none was given"):
        make_behaviour("adaptive:a").form(Sight(size=D, seed=1, others=honest()))


def test_factors_scale_the_own_update() -> None:
    own = sight().trained
    np.testing.assert_array_equal(make_behaviour("sign-flip").form(sight()), -own)
    np.testing.assert_array_equal(make_behaviour("scaling:3").form(sight()), 3 * own)
    assert not make_behaviour("zero").form(sight()).any()
    assert make_behaviour("noise:0.5").form(sight()).std() == pytest.approx(0.5, rel=0.1)


def test_inner_product_and_alie_are_byzfls_but_for_each_colluders_own_noise() -> None:
    x = sight()
    for text, oracle in (
        ("inner-product:2:a", byzfl.InnerProductManipulation(2.0)(x.known)),
        # ours goes against the mean's sign, ByzFL's along it: the same distance to it
        ("alie:1.5:a", 2 * x.known.mean(axis=0) - byzfl.ALittleIsEnough(1.5)(x.known)),
    ):
        update = make_behaviour(text).form(x)
        away = float(((update - oracle) ** 2).sum() / (oracle**2).sum())
        assert away == pytest.approx(APART, rel=0.2)


def test_colluders_are_no_copies_of_one_another_and_a_copy_is_one() -> None:
    for text in ("alie:a", "inner-product:a", "mimic:a", "adaptive:a"):
        behaviour = make_behaviour(text)
        one, two = (behaviour.form(sight(seed=seed)) for seed in (10, 11))
        assert APART < ((one - two) ** 2).sum() / (one**2).sum() < 5 * APART
        assert weigh(np.vstack([honest(), one, two])).shape == (8,)
    mimicked = make_behaviour("mimic:a").form(sight())
    assert ((mimicked - honest()[1]) ** 2).sum() > APART * (honest()[1] ** 2).sum()
    np.testing.assert_array_equal(make_behaviour("copy:a").form(sight()), honest()[1])


@given(st.integers(0, 2**32))
def test_labels_are_turned_round_and_back(seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 10, 50)
    images = np.zeros((50, 1, 28, 28), dtype=np.float32)
    flip = make_behaviour("label-flip:9").poison
    once = flip(images, labels, 1)[1]
    assert (once != labels).all()
    assert (flip(images, once, 1)[1] == labels).all()


def test_the_trigger_marks_half_of_the_images_and_leaves_the_originals() -> None:
    random = np.random.default_rng(1)
    images = random.random((40, 1, 28, 28)).astype(np.float32)
    labels = random.integers(1, 10, 40)
    before = images.copy()
    marked, renamed = make_behaviour("backdoor:7").poison(images, labels, 5)
    changed = (marked != images).any(axis=(1, 2, 3))
    assert changed.sum() == 20
    assert (renamed[changed] == 7).all()
    assert (renamed[~changed] == labels[~changed]).all()
    np.testing.assert_array_equal(marked[changed], trigger(images)[changed])
    np.testing.assert_array_equal(images, before)
    assert ((trigger(images) != images).sum(axis=(1, 2, 3)) <= 16).all()


def test_honest_work_is_neither_poisoned_nor_tampered_with() -> None:
    behaviour = make_behaviour("honest")
    images, labels = np.zeros((3, 1, 28, 28), dtype=np.float32), np.arange(3)
    given_images, given_labels = behaviour.poison(images, labels, 1)
    assert given_images is images
    assert given_labels is labels
    assert (behaviour.tampering, behaviour.trains, behaviour.watches) == (None, True, ())


def test_the_adaptive_attacker_finds_what_passes_and_does_the_most_harm() -> None:
    size = 6000
    x = sight(byzantine=2, size=size)
    mean = x.known.mean(axis=0)
    update = make_behaviour("adaptive:a").form(x)
    random = np.random.default_rng(77)
    passed = []
    for _ in range(12):
        projection = random.choice([-1.0, 1.0], size=(size, 256)) / 16.0
        weights = weigh(
            np.vstack([x.known, update, update * 1.0 + random.normal(size=size) * 0.2]) @ projection
        )
        passed.append(weights[6] > 0)
    assert np.mean(passed) > 0.5
    assert update @ mean < 0.9 * (mean @ mean)
    plain = -mean
    assert weigh(np.vstack([x.known, plain, plain * 1.05])[:, :4096])[6] == 0
