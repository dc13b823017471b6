"""Behaviours by entry point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn.attacks import BehaviourError, Sight, make_behaviour, plugged, plugins
from quorumlearn.cli.attack import all_attacks, behaviour_of
from quorumlearn.nodes.config import IdentityConfig

from tests.client.packages import installed

CODE = """
import numpy as np
from quorumlearn.attacks import BehaviourDefinition

half = BehaviourDefinition("half of its own update", lambda sight, part: part * sight.trained, strength=0.5)
short = BehaviourDefinition("too little", lambda sight, _: np.zeros(1), trains=False)
follow = BehaviourDefinition("the mean of others", lambda sight, _: sight.seen.mean(axis=0), trains=False, watches="some")
upset = BehaviourDefinition(
    "samples upside down", lambda sight, _: sight.trained, poison=lambda inputs, targets, seed: (-inputs, targets)
)
other = "no behaviour"
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("half", "short", "follow", "upset", "other")
    entries = {name: f"behaviours_of_a_test:{name}" for name in names} | {
        "noise": "behaviours_of_a_test:half"
    }
    installed(tmp_path, monkeypatch, "behaviours_of_a_test", CODE, {plugins.ENTRY_POINTS: entries})


def test_a_behaviour_of_a_package_does_what_it_says() -> None:
    sight = Sight(
        size=3, seed=1, own=np.array([2.0, 4.0, 6.0]), others=np.array([[1.0, 1.0, 1.0], [3.0, 3.0, 3.0]])
    )
    half, quarter = make_behaviour("half"), make_behaviour("half:0.25")
    assert half.form(sight).tolist() == [1, 2, 3]
    assert quarter.form(sight).tolist() == [0.5, 1, 1.5]
    assert (half.trains, half.tampering, half.poisons, str(quarter)) == (True, None, False, "half:0.25")
    follow = make_behaviour("follow:miner1,miner2")
    assert follow.form(sight).tolist() == [2, 2, 2]
    assert follow.watches == ("miner1", "miner2")
    upset = make_behaviour("upset")
    inputs, targets = upset.poison(np.ones((2, 3)), np.arange(2), seed=1)
    assert upset.poisons
    assert inputs.tolist() == [[-1, -1, -1]] * 2
    assert targets.tolist() == [0, 1]


def test_a_nodes_file_and_the_command_take_it() -> None:
    assert IdentityConfig(user="miner1", role="miner", behaviour="half:0.1").behaviour == "half:0.1"
    assert behaviour_of("half") == "half"
    assert behaviour_of("follow").startswith("follow:miner1")
    assert set(plugged()) >= {"half", "follow"}


def test_ours_come_first() -> None:
    assert not make_behaviour("noise").trains


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("other", "is a str at behaviours_of_a_test:other"),
        ("nowhere", "there is no behaviour 'nowhere'; there are .*half"),
        ("follow", "needs whom it watches"),
        ("upset:3", "does not take '3'"),
    ],
)
def test_what_is_no_behaviour_is_named(text: str, says: str) -> None:
    with pytest.raises(BehaviourError, match=says):
        make_behaviour(text)


def test_what_is_no_update_is_never_submitted() -> None:
    with pytest.raises(BehaviourError, match=r"forms \(1,\) numbers; 3 finite ones"):
        make_behaviour("short").form(Sight(size=3, seed=1))


def test_the_list_of_attacks_has_those_that_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    entries = {plugins.ENTRY_POINTS: {"half": "behaviours_listed:half"}}
    installed(tmp_path / "listed", monkeypatch, "behaviours_listed", CODE, entries)
    assert all_attacks()["half"] == "half of its own update (behaviours_listed:half)"
