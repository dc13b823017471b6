"""What an organisation's identities share: their parts of the data, taken once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn import learning
from quorumlearn.learning import mnist
from quorumlearn.nodes.config import IdentityConfig, NodeConfig
from quorumlearn.nodes.organisation import Organisation


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
