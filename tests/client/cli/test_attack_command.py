"""`quorumlearn attack` knows every behaviour there is, gives it whom to watch, and refuses what is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from quorumlearn.attacks import BEHAVIOURS, make_behaviour
from quorumlearn.cli import run
from quorumlearn.cli.attack import ATTACKS, behaviour_of
from quorumlearn.cli.scene import CHEATS, make_scene
from quorumlearn.cli.terminal import Failure


def test_every_behaviour_but_honesty_is_an_attack() -> None:
    assert set(ATTACKS) == set(BEHAVIOURS) - {"honest"}


@pytest.mark.parametrize("name", ATTACKS)
def test_each_attack_can_be_asked_for_by_its_name_alone(name: str) -> None:
    behaviour = make_behaviour(behaviour_of(name))
    assert behaviour.name == name
    assert "miner4" not in behaviour.watches


@pytest.mark.parametrize("text", ["scaling:4", "copy:miner1", "alie:0.5:miner2", "backdoor:3"])
def test_a_nodes_own_form_is_taken_as_it_is(text: str) -> None:
    assert behaviour_of(text) == text


@pytest.mark.parametrize("text", ["", "honest", "nope", "noise:x", "copy:", "zero:miner1"])
def test_what_is_no_attack_is_refused(text: str) -> None:
    with pytest.raises(Failure, match="--list"):
        behaviour_of(text)


def test_the_list_needs_no_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["attack", "--list", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["attacks"]) == set(ATTACKS)
    assert run(["attack", "--list"]) == 0
    assert all(name in capsys.readouterr().out for name in ("noise",))
    assert run(["attack"]) == 2
    assert "name an attack" in capsys.readouterr().err
    assert run(["attack", "nope"]) == 2
    assert "no attack 'nope'" in capsys.readouterr().err


def test_the_scene_is_the_demos_with_other_cheats(tmp_path: Path) -> None:
    scene = make_scene(tmp_path, 3, 7, None, cheats=dict.fromkeys(CHEATS, "withhold"))
    scene.write(8000)
    behaviours = {
        f"{path.stem}/{one['user']}": one.get("behaviour", "honest")
        for path in scene.node_files
        for one in yaml.safe_load(path.read_text())["identities"]
        if one["role"] == "miner"
    }
    assert {who for who, does in behaviours.items() if does == "withhold"} == {
        f"{organisation}/{user}" for organisation, user in CHEATS
    }
    assert set(behaviours.values()) == {"withhold", "honest"}
    assert scene.behaviour("Miners1MSP/miner4") == "withhold"
    assert scene.behaviour("Miners1MSP/miner1") == "honest"
