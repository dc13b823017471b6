"""What an organisation's identities share: their parts of the data, taken once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn import learning
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
                IdentityConfig(user="verifier", role="verifier", shard="iid:1/4"),
            ),
        )
    )


def test_parts_of_the_data_are_taken_once_and_the_rest_is_let_go(
    organisation: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[learning.DigitsSource] = []
    real = learning.load

    def load(source: learning.DigitsSource) -> learning.Dataset:
        loaded.append(source)
        return real(source)

    whole = organisation.dataset()
    miner, verifier = organisation.config.identities
    wanted = whole.train.take(learning.ShardSpec.parse("iid:0/40").indices(whole.train.targets))
    organisation.ready_data()
    monkeypatch.setattr(learning, "load", load)
    shard, test_set = organisation.shard(miner), organisation.test_set(verifier)
    assert not loaded
    np.testing.assert_array_equal(shard.inputs, wanted.inputs)
    np.testing.assert_array_equal(shard.targets, wanted.targets)
    assert len(test_set) == len(whole.test) // 4
    assert organisation.shard(miner) is shard
    with pytest.raises(ValueError, match="read-only"):
        shard.inputs[0] = 0
    assert organisation.dataset().digest == whole.digest
    assert len(loaded) == 1
