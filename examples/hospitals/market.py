"""The market: the files of this folder, with a seed, rounds and privacy of one's choice, played on a network of this machine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import quorumlearn
import yaml
from quorumlearn.analysis import TaskReport

from examples.hospitals.heart import HOSPITALS, original
from examples.hospitals.ways import Scores, Ways
from examples.play import play

HERE = Path(__file__).parent
SEAT_TOKENS = 400
"""What `examples.play` funds a verifier with."""


@dataclass
class Played:
    """What a task left: AUC by hospital, the report, and the tokens that each hospital's seat earned."""

    scores: Scores = field(default_factory=dict)
    report: TaskReport | None = None
    seats: dict[str, int] = field(default_factory=dict)


def play_market(data: Path, folder: Path, ways: Ways) -> Played:
    """Play the task as `ways` has it: its rounds, settings and seed. Failure as in `examples.play.play`."""
    played = Played()

    def look(folder: Path) -> None:
        with quorumlearn.connect(folder / "network", "owner/owner", store=folder / "artifacts") as market:
            played.scores = ways.scores(dict(market.task("heart-1").model().tensors))
            played.seats = {
                one: market.contracts.account(f"{one.capitalize()}MSP/verifier").balance - SEAT_TOKENS
                for one in HOSPITALS
            }

    with tempfile.TemporaryDirectory() as made:
        files = Path(made)
        written(files, ways.seed, ways.plan.rounds, ways.plan.settings)
        links = {f"{one}.csv": original(data, one) for one in HOSPITALS}
        played.report = play(files, folder, [f"{one}.yaml" for one in HOSPITALS], links, look)
    return played


def written(into: Path, seed: int, rounds: int, settings: Mapping[str, object]) -> None:
    """The files of this folder with another seed, which is the number of the division too, number of rounds, and settings."""
    shutil.copy(HERE / "heart.py", into)
    shutil.copy(HERE / "network.yaml", into)
    task = yaml.safe_load((HERE / "task.yaml").read_text())
    task["workload"]["config"] = dict(settings)
    _dump(into / "task.yaml", task | {"seed": seed, "rounds": rounds})
    for hospital in HOSPITALS:
        node = yaml.safe_load((HERE / f"{hospital}.yaml").read_text())
        for identity in node["identities"]:
            identity["part"] = str(seed)
        _dump(into / f"{hospital}.yaml", node)


def _dump(path: Path, fields: object) -> None:
    path.write_text(yaml.safe_dump(fields, sort_keys=False))
