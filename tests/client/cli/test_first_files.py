"""The files that users start from hold no seed of a node's and no word that makes a run repeatable for whoever copies them."""

from __future__ import annotations

from pathlib import Path

import yaml
from quorumlearn.cli.example import node_example, task_example
from quorumlearn.cli.scene import make_scene
from quorumlearn.nodes import config, taskfile
from quorumlearn_network.spec import default_spec


def test_the_demos_task_says_that_it_is_repeatable_and_its_nodes_files_do_not(tmp_path: Path) -> None:
    scene = make_scene(tmp_path, rounds=1, seed=7, data=None)
    scene.write(samples=1600)
    assert taskfile.load(tmp_path / "task.yaml").repeatable
    for file in scene.node_files:
        config.load(file)
        node = yaml.safe_load(file.read_text())
        for part in (node, *node["identities"]):
            assert part.keys().isdisjoint({"seed", "repeatable"}), file.name


def test_the_examples_are_not_repeatable(tmp_path: Path) -> None:
    spec = default_spec(miner_organisations=2, miners_each=2, verifiers=3)
    (tmp_path / "task.yaml").write_text(task_example(spec))
    assert not taskfile.load(tmp_path / "task.yaml").repeatable
    for one in spec.organisations:
        if "treasury" in one.roles:
            continue
        text = node_example(spec, one, tmp_path, "artifacts", None)
        for part in (yaml.safe_load(text), *yaml.safe_load(text)["identities"]):
            assert part.keys().isdisjoint({"seed", "repeatable"}), one.name
