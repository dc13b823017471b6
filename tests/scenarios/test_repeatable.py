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


def heads(folder: Path, data: Path, seed: int) -> list[str]:
    """The digests of the blocks of one task on a network of its own."""
    stage = raised(folder, data, miners_each=3)
    try:
        files = stage.node_files(TASK, MINERS, owner=False, seed=seed)
        with running(*(NodeThread(file) for file in files.values())) as nodes:
            stage.publish(TASK, seed=seed, miners={"minimum": 5, "maximum": 5, "byzantine": 1})
            stage.played(TASK, nodes)
        assert [one.outcome for one in stage.market().rounds(TASK)] == [b.ACCEPTED] * 2
        return [block.digest for block in stage.market().blocks(TASK)]
    finally:
        stage.close()


def test_the_same_seed_gives_the_same_heads_and_another_seed_others(
    tmp_path: Path, mnist_folder: Path
) -> None:
    first = heads(tmp_path / "first", mnist_folder, 7)
    assert heads(tmp_path / "second", mnist_folder, 7) == first
    assert not set(heads(tmp_path / "third", mnist_folder, 8)) & set(first)
