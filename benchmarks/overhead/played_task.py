"""A task played by real nodes on the devnet, as the demo plays one, and how long its rounds took by the ledger's times.

A round's time is from its COMMIT to the next round's: waiting for the next key is in it, start-up and the first key are not.
The last round ends with its block.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml
from quorumlearn.analysis import pooled
from quorumlearn.cli.access import open_market
from quorumlearn.cli.demo import MARK, end, play
from quorumlearn.cli.processes import Nodes
from quorumlearn.cli.scene import Scene, make_scene
from quorumlearn_network.spec import default_spec
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.protocol import ROUND
from rich.console import Console

PHASES = tuple(phase for phase in ROUND if phase >= b.COMMIT)


@dataclass(frozen=True)
class MarketRun:
    """Seconds of each round by phase (by its name), and of each round; parameters: of its public blocks.

    memory: bytes that all processes held together, at most; accuracy: of the last model on the verifiers' test sets, 0 to 1.
    """

    phases: tuple[dict[str, float], ...]
    rounds: tuple[float, ...]
    parameters: int
    miners: int
    memory: int
    accuracy: float

    @property
    def seconds(self) -> float:
        return sum(self.rounds)


class NotPlayed(Exception):
    """The task did not end as it should."""


def demo_scene(folder: Path, rounds: int, seed: int, data: Path | None) -> Scene:
    """The demo's own, without its cheats."""
    return make_scene(folder, rounds, seed, data, cheats={})


def honest_scene(folder: Path, miners: int, rounds: int, seed: int, data: Path | None) -> Scene:
    """As many miners as asked for in two organisations, three verifiers."""
    spec = default_spec(miner_organisations=2, miners_each=-(-miners // 2), verifiers=3)
    return Scene(folder, spec, f"overhead-{seed}", rounds, seed, data, {})


def adapt(scene: Scene, samples: int, shard_samples: int, task: Mapping[str, object]) -> None:
    """Change the written scene: these fields of its task, and so many samples for each miner, whose training may be of one step. Its f is
    what multi-Krum withstands."""
    file = scene.folder / "task.yaml"
    fields = yaml.safe_load(file.read_text()) | task
    f = (len(scene.miners) - 3) // 2
    fields["miners"] |= {"byzantine": f, "minimum": 2 * f + 3}
    file.write_text(yaml.safe_dump(fields, sort_keys=False))
    for path in scene.node_files:
        node = yaml.safe_load(path.read_text()) | {"accept": {"least_local_steps": 1}}
        for identity in node["identities"]:
            if identity["role"] == "miner":
                index = identity["shard"].partition(":")[2].partition("/")[0]
                identity["shard"] = f"iid:{index}/{samples // shard_samples}@{scene.seed}"
        path.write_text(yaml.safe_dump(node, sort_keys=False))


def add_workload(scene: Scene, module: Path) -> None:
    """Put a workload's file beside the task's and the nodes', and have the nodes know it by what the task says of it."""
    told = yaml.safe_load((scene.folder / "task.yaml").read_text())["workload"]
    for folder in {scene.folder, *(path.parent for path in scene.node_files)}:
        shutil.copy(module, folder)
    for path in scene.node_files:
        node = yaml.safe_load(path.read_text()) | {"workloads": {told["name"]: told["module"]}}
        path.write_text(yaml.safe_dump(node, sort_keys=False))


def shards_of(scene: Scene) -> list[list[str]]:
    """The shards in the scene's files, by miner organisation."""
    found = []
    for path in scene.node_files:
        node = yaml.safe_load(path.read_text())
        shards = [one["shard"] for one in node["identities"] if one["role"] == "miner"]
        if shards:
            found.append(shards)
    return found


def workload_of(scene: Scene) -> tuple[str, dict[str, str]]:
    """Name and configuration of the written scene's workload."""
    workload = yaml.safe_load((scene.folder / "task.yaml").read_text())["workload"]
    return workload["name"], workload["config"]


def fresh_folder() -> Path:
    """An empty folder for a scene."""
    folder = Path(tempfile.mkdtemp(prefix="quorumlearn-overhead-"))
    for name in ("logs", "artifacts"):
        (folder / name).mkdir()
    (folder / MARK).touch()
    return folder


def play_market(scene: Scene, console: Console) -> MarketRun:
    """Brings up the written scene, plays its task, takes everything down. Failure, NotPlayed."""
    with Nodes(scene.folder) as nodes:
        try:
            peak = play(console, scene, nodes)
            with open_market(scene.network, "owner/owner") as market:
                summary = market.task(scene.task)
                views = [
                    market.round_view(scene.task, number) for number in range(1, summary.state.round + 1)
                ]
        finally:
            end(console, scene, nodes, keep=False)
    outcomes = [b.Outcome.Name(view.round.outcome) for view in views]
    if summary.state.status != t.COMPLETED or set(outcomes) != {"ACCEPTED"} or len(views) != scene.rounds:
        raise NotPlayed(
            f"the task ended {t.TaskStatus.Name(summary.state.status)}, its rounds {outcomes}; "
            f"the logs are in {scene.folder / 'logs'}"
        )
    times: list[dict[int, int]] = [{one.phase: one.entered_ms for one in view.round.times} for view in views]
    return MarketRun(
        phases=tuple(phases(one) for one in times),
        rounds=tuple((ended - one[b.COMMIT]) / 1000 for one, ended in zip(times, ends(times), strict=True)),
        parameters=summary.task.spec.ckks.update_size,
        miners=len(views[-1].round.miners),
        memory=peak.bytes,
        accuracy=pooled(views[-1].ballots) or 0.0,
    )


def ends(times: Sequence[dict[int, int]]) -> list[int]:
    return [*(later[b.COMMIT] for later in times[1:]), times[-1][b.ENDED]]


def phases(times: dict[int, int]) -> dict[str, float]:
    entered = sorted(times.items(), key=lambda one: (one[1], one[0]))
    return {
        b.Phase.Name(phase): (later - at) / 1000
        for (phase, at), (_, later) in pairwise(entered)
        if phase in PHASES
    }


def wiped(folder: Path) -> None:
    """Remove a scene that has been played."""
    shutil.rmtree(folder, ignore_errors=True)
