"""What a cheating node submits is what its behaviour says, and is found where the protocol says it is found."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from quorumlearn import ckks, learning
from quorumlearn.attacks import make_behaviour
from quorumlearn.nodes import adversary
from quorumlearn.nodes.journal import Journal
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.task_pb2 import CkksParameters, RobustRule, TaskSpec

SIZE = 1500


@lru_cache(maxsize=1)
def parameters() -> ckks.Parameters:
    return ckks.Parameters.choose(
        SIZE, seats=2, threshold=2, bound=0.5, sketch_size=64, minimum_security_bits=0
    )


@lru_cache(maxsize=4)
def keys(number: int) -> tuple[bytes, dict[int, bytes]]:
    """The collective key of a round and the seats' shares."""
    p, seed = parameters(), b"round/%d" % number
    mine = {seat: ckks.new_key_share(p, seed) for seat in (1, 2)}
    dealt = {seat: ckks.deal(p, key.secret, (1, 2)) for seat, key in mine.items()}
    shares = {to: ckks.sum_shares(p, [dealt[seat][to] for seat in mine]) for to in mine}
    return ckks.collective_key(p, seed, {seat: key.public for seat, key in mine.items()}), shares


def spec() -> TaskSpec:
    p = parameters()
    return TaskSpec(
        byzantine=2,
        rule=RobustRule(name="multi-krum"),
        ckks=CkksParameters(
            update_size=p.update_size,
            bound_steps=p.bound_steps,
            step_bits=p.step_bits,
            max_weight_sum=p.max_weight_sum,
        ),
    )


def update(seed: int) -> np.ndarray:
    random = np.random.default_rng(0)
    common = random.normal(0.0, 0.05, SIZE)
    return ckks.quantise(common + np.random.default_rng(seed).normal(0.0, 0.05, SIZE), parameters())


def sent(text: str, journal: Journal, number: int, values: np.ndarray) -> bytes:
    key = keys(number)[0]
    honest = ckks.encrypt(parameters(), key, values)
    return adversary.tampered(parameters(), key, make_behaviour(text), journal, honest)


def opened(data: bytes, number: int) -> np.ndarray:
    p, shares = parameters(), keys(number)[1]
    plan = ckks.SketchPlan.from_beacon(p, b"beacon")
    s = ckks.sketch(p, plan, ckks.parse(p, data))
    return ckks.open_sketch(
        p, plan, s, {seat: ckks.sketch_share(p, plan, one, s) for seat, one in shares.items()}
    )


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def test_malformed_bytes_are_no_ciphertext(journal: Journal) -> None:
    with pytest.raises(ckks.MalformedCiphertext):
        ckks.parse(parameters(), sent("malformed", journal, 1, update(1)))


@pytest.mark.parametrize("seed", range(5))
def test_overflowing_ciphertexts_are_well_formed_and_out_of_range(journal: Journal, seed: int) -> None:
    data = sent("overflow", journal, 1, update(seed))
    assert len(data) == parameters().update_bytes
    with pytest.raises(ckks.OutOfRange):
        opened(data, 1)


def test_a_replayed_ciphertext_is_the_first_and_a_re_randomised_one_is_not(journal: Journal) -> None:
    first = sent("replay-ciphertext", journal, 1, update(1))
    opened(first, 1)
    assert sent("replay-ciphertext", journal, 2, update(2)) == first
    again = sent("replay-rerandomised", journal, 2, update(2))
    assert again != first
    for data in (first, again):  # the first round's key is gone
        with pytest.raises(ckks.OutOfRange):
            opened(data, 2)


def test_a_replayed_plaintext_outlives_a_restart(journal: Journal) -> None:
    replay = make_behaviour("replay-plaintext")
    assert adversary.kept_update(replay, journal) is None
    values = adversary.formed(spec(), parameters(), replay, journal, own=update(1), others=[], seed=1)
    np.testing.assert_array_equal(values, update(1))
    after = adversary.kept_update(replay, Journal(journal.folder))
    assert after is not None
    np.testing.assert_array_equal(after, update(1))
    assert after.dtype == np.int64
    assert adversary.kept_update(make_behaviour("honest"), journal) is None


def test_a_tampering_that_leaves_bytes_alone_leaves_them_alone(journal: Journal) -> None:
    key = keys(1)[0]
    for text in ("withhold", "replay-plaintext", "honest"):
        assert adversary.tampered(parameters(), key, make_behaviour(text), journal, b"bytes") == b"bytes"
    assert journal.names() == []


@pytest.mark.parametrize(
    "text",
    [
        "noise:9",
        "free-rider",
        "zero",
        "sign-flip",
        "scaling:50",
        "copy:a",
        "mimic:a",
        "alie:a,b",
        "inner-product:a",
    ],
)
def test_whatever_is_formed_can_be_encrypted(journal: Journal, text: str) -> None:
    behaviour = make_behaviour(text)
    values = adversary.formed(
        spec(),
        parameters(),
        behaviour,
        journal,
        own=update(9) if behaviour.trains else None,
        others=[update(1), update(2)],
        seed=3,
    )
    assert np.isfinite(opened(sent(text, journal, 1, values), 1)).all()
    expected = {"zero": np.zeros(SIZE), "sign-flip": -update(9), "copy:a": update(1)}
    if text in expected:
        np.testing.assert_array_equal(values, expected[text])


def test_a_free_rider_sends_the_last_step_with_noise_and_noise_alone_before_there_is_one(
    journal: Journal,
) -> None:
    def sent_on(*moved: np.ndarray) -> np.ndarray:
        rider = make_behaviour("free-rider:0.5")
        return adversary.formed(
            spec(), parameters(), rider, journal, own=None, others=[], seed=3, moved=moved
        ).astype(np.float64)

    step, again = update(1).astype(np.float64), sent_on(update(1))
    assert np.linalg.norm(again - step) == pytest.approx(0.5 * np.linalg.norm(step), rel=0.05)
    assert 0 < np.linalg.norm(sent_on()) < np.linalg.norm(step)


def test_an_adaptive_miner_works_against_the_tasks_own_rule(journal: Journal) -> None:
    others = [update(seed) for seed in range(6)]
    values = adversary.formed(
        spec(), parameters(), make_behaviour("adaptive:a"), journal, own=update(9), others=others, seed=3
    )
    mean = np.mean([*others, update(9)], axis=0)
    assert values @ mean < 0.95 * (mean @ mean)


def test_a_watcher_waits_for_training_and_a_copier_for_the_commit() -> None:
    left: dict[str, np.ndarray] = {}
    view = b.TaskView()
    me = "Org/miner9"

    def seen(text: str) -> list[np.ndarray] | None:
        return adversary.watched(view, me, make_behaviour(text), left.get)

    assert seen("honest") == []
    assert seen("copy:miner1") is None
    left["Org/miner1"] = update(1)
    assert seen("alie:miner1,miner2") is None
    assert seen("copy:miner1") is None
    assert seen("mimic:miner1") is None
    left["Org/miner2"] = update(2)
    assert len(seen("alie:miner1,miner2") or []) == 2
    view.submissions.add(miner="Org/miner1")
    for text in ("copy:miner1", "mimic:miner1"):
        found = seen(text)
        assert found
        np.testing.assert_array_equal(found[0], update(1))


def test_label_flips_reach_the_training_data() -> None:
    data = learning.Samples(np.zeros((4, 1, 28, 28), dtype=np.float32), np.array([0, 3, 5, 9]))
    assert targets_of("label-flip", data).tolist() == [9, 6, 4, 0]
    assert targets_of("honest", data) is data.targets


def targets_of(behaviour: str, data: learning.Samples) -> np.ndarray:
    found = adversary.poisoned(make_behaviour(behaviour), data, 1)
    assert isinstance(found, learning.Samples)
    return found.targets
