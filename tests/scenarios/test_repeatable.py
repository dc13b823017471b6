"""The same seeds give the same blocks on another network; another seed gives others."""

from __future__ import annotations

from pathlib import Path

import pytest
from quorumlearn_proto import block_pb2 as b

from tests.scenarios.stage import NodeThread, raised, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

TASK = "repeatable"
MINERS = {
    "miners1/miner1": "honest",
    "miners1/miner2": "noise",
    "miners2/miner1": "honest",
    "miners2/miner2": "honest",
    "miners2/miner3": "honest",
}


def blocks(folder: Path, data: Path, seed: int, rounds: int = 2) -> list[b.Block]:
    """The blocks of one task on a network of its own, the initial model's first."""
    stage = raised(folder, data, miners_each=3)
    try:
        files = stage.node_files(TASK, MINERS, owner=False)
        with running(*(NodeThread(file) for file in files.values())) as nodes:
            stage.publish(TASK, seed=seed, rounds=rounds, miners={"minimum": 5, "maximum": 5, "byzantine": 1})
            stage.played(TASK, nodes)
        assert [one.outcome for one in stage.market().rounds(TASK)] == [b.ACCEPTED] * rounds
        return list(stage.market().blocks(TASK))
    finally:
        stage.close()


def test_the_same_seed_gives_the_same_heads_and_another_seed_others(
    tmp_path: Path, mnist_folder: Path
) -> None:
    first = blocks(tmp_path / "first", mnist_folder, 7)
    second = blocks(tmp_path / "second", mnist_folder, 7)
    assert [block.digest for block in second] == [block.digest for block in first]
    other = blocks(tmp_path / "third", mnist_folder, 8, rounds=1)
    assert not {block.core.model.digest for block in other} & {block.core.model.digest for block in first}
    # What is encrypted is not repeatable, and must not be: the same update is never sent as the same bytes.
    assert not {*first[1].manifests} & {*second[1].manifests}
