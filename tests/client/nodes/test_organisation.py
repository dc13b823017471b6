"""What an organisation's identities share: their parts of the data, taken once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn import learning
from quorumlearn.learning import mnist
from quorumlearn.nodes.config import IdentityConfig, NodeConfig
from quorumlearn.nodes.organisation import MOST_PARTS, Organisation


@pytest.fixture
def organisation(tmp_path: Path) -> Organisation:
    (tmp_path / "store").mkdir()
    return Organisation(
        NodeConfig(
            organisation=tmp_path,
            store=(tmp_path / "store").as_uri(),
            state=tmp_path / "state",
            identities=(
                IdentityConfig(user="miner1", role="miner", shard="iid:0/40"),
                IdentityConfig(user="miner2", role="miner", shard="iid:1/40"),
                IdentityConfig(user="verifier", role="verifier", shard="iid:1/4"),
            ),
        )
    )


def test_parts_of_the_data_are_taken_once_and_the_rest_is_let_go(
    organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By two identities with different parts of one file."""
    loaded: list[learning.DigitsSource] = []
    real = learning.load_digits

    def load(source: learning.DigitsSource) -> learning.Digits:
        loaded.append(source)
        return real(source)

    monkeypatch.setattr(mnist, "load_digits", load)
    monkeypatch.setattr(Organisation, "name", lambda _, user: f"M/{user}")
    workload = learning.get_workload("mnist-cnn", {})
    whole = workload.load(None, learning.Part("train"))
    assert isinstance(whole, learning.Samples)
    miner, other, verifier = organisation.config.identities
    wanted = whole.take(learning.ShardSpec.parse("iid:0/40").indices(whole.targets))
    tested = workload.load(None, learning.Part("test"))
    loaded.clear()
    del whole
    organisation.ready_data([workload])
    assert len(loaded) == 1, "the training samples were nobody's any more, the test samples still are"
    shard, test_set = organisation.shard(miner, workload), organisation.test_set(verifier, workload)
    assert isinstance(shard, learning.Samples)
    assert len(loaded) == 1
    np.testing.assert_array_equal(shard.inputs, wanted.inputs)
    np.testing.assert_array_equal(shard.targets, wanted.targets)
    assert len(test_set) == len(tested) // 4
    assert organisation.shard(miner, workload) is shard
    assert organisation.shard(other, workload).digest() != shard.digest()
    with pytest.raises(ValueError, match="read-only"):
        shard.inputs[0] = 0


def test_equal_samples_are_kept_once_whatever_strangers_tasks_configure_and_not_for_ever(
    organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    class Reads:
        name = "clinic"

        def __init__(self, number: int) -> None:
            self.config = learning.TrainingConfig(late_rounds=number)

        def load(self, source: str | None, part: learning.Part) -> learning.Samples:
            read.append(part.identity)
            return learning.Samples(np.arange(40.0).reshape(40, 1), np.arange(40) % 2)

    monkeypatch.setattr(Organisation, "name", lambda _, user: f"M/{user}")
    miner = organisation.config.identities[0]
    parts = [organisation.shard(miner, Reads(number)) for number in range(MOST_PARTS)]  # type: ignore[arg-type]
    assert len({id(part) for part in parts}) == 1
    times = read.count("M/miner1")
    organisation.shard(miner, Reads(MOST_PARTS - 1))  # type: ignore[arg-type]
    assert read.count("M/miner1") == times == MOST_PARTS
    organisation.shard(miner, Reads(0))  # type: ignore[arg-type]
    assert read.count("M/miner1") == times + 1
