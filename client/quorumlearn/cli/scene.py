"""The demo's scene: who takes part, and the files and commands that a real network would be run with.

Two miner organisations of four miners each, three verifier organisations, an owner and a treasury.
miners1/miner4 sends noise, miners2/miner4 copies its neighbour miner3. In the other modes the data are the task's and parts of each
training are replayed: miners1/miner4 sends the last public step again, miners2/miner3 skips a fifth of its training, miners2/miner4 takes
the work of its neighbour miner1.

Everything is written as files that `quorumlearn network up`, `quorumlearn node run` and `quorumlearn task publish` read, so that the folder
can be read as an example. The task is `repeatable` and its nodes are started with `--repeatable`: whoever has the seed can do all of it
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml
from quorumlearn_network.spec import FabricSpec, NetworkSpec, Role, Runtime, default_spec, dump_spec

from quorumlearn.cli.example import members, part_of

Mode = Literal["robust", "recompute", "robust-and-recompute"]
"""As a task's file has it."""
MINERS_EACH = 4
CHEATS = {("miners1", "miner4"): "noise", ("miners2", "miner4"): "copy:miner3"}
WORK_CHEATS = {
    ("miners1", "miner4"): "free-rider",
    ("miners2", "miner3"): "skipper:0.2",
    ("miners2", "miner4"): "thief:miner1",
}
"""Those of a task whose trainings are replayed."""
LOCAL_STEPS = 235  # a miner's training steps a round, whatever the data set
BATCH = 32
CHUNKS_EACH, CHUNK_STEPS, WORK_BATCH, SEGMENT_STEPS, DRAWN = 5, 75, 20, 3, 5
"""Where training is replayed: chunks that a miner is assigned in a round, about how many steps it does on each, samples of a step, steps of
a segment, and how many segments are replayed of some 125."""
DATA_FILE = "data.yaml"
"""What `quorumlearn data publish` writes of the chunks, beside the task's file."""
NUMBERS = ("none", "one", "two", "three", "four", "five")
OWNER_TOKENS, MINER_TOKENS, VERIFIER_TOKENS = 10_000, 200, 400


@dataclass(frozen=True)
class Scene:
    """Where the demo's files are and what it is about."""

    folder: Path
    spec: NetworkSpec
    task: str
    rounds: int
    seed: int
    data: Path | None
    cheats: Mapping[tuple[str, str], str] = field(default_factory=lambda: dict(CHEATS))
    rule: str | None = None
    mode: Mode = "robust"

    @property
    def replays(self) -> bool:
        """Whether the task's data are its own, and parts of each training are replayed."""
        return self.mode != "robust"

    @property
    def network(self) -> Path:
        return self.folder / "network"

    @property
    def miners(self) -> list[tuple[str, str]]:
        """(organisation, user) of every miner, in order."""
        return members(self.spec, Role.MINER)

    @property
    def verifiers(self) -> list[tuple[str, str]]:
        return members(self.spec, Role.VERIFIER)

    @property
    def node_files(self) -> list[Path]:
        return [self.folder / "nodes" / f"{name}.yaml" for name in self._organisations()]

    @property
    def logs(self) -> list[Path]:
        """What its nodes write."""
        return [self.folder / "logs" / f"{file.stem}.log" for file in self.node_files]

    def name(self, organisation: str, user: str) -> str:
        """The identity on the ledger."""
        return f"{self.spec.organisation(organisation).msp_id}/{user}"

    def behaviour(self, identity: str) -> str:
        """What a miner of the ledger does: honest, or how it cheats."""
        for (organisation, user), behaviour in self.cheats.items():
            if self.name(organisation, user) == identity:
                return behaviour
        return "honest"

    def funds(self) -> dict[str, int]:
        """Tokens that the treasury mints for each account."""
        tokens = {self.name("owner", "owner"): OWNER_TOKENS}
        tokens |= {self.name(*one): MINER_TOKENS for one in self.miners}
        return tokens | {self.name(*one): VERIFIER_TOKENS for one in self.verifiers}

    def write(self, samples: int) -> None:
        """Write network.yaml, nodes/*.yaml and task.yaml; `samples` are the training images that the miners
        share.
        """
        (self.folder / "nodes").mkdir(parents=True, exist_ok=True)
        (self.folder / "network.yaml").write_text(dump_spec(self.spec))
        (self.folder / "task.yaml").write_text(yaml.safe_dump(self._task(samples), sort_keys=False))
        for name, path in zip(self._organisations(), self.node_files, strict=True):
            path.write_text(yaml.safe_dump(self._node(name), sort_keys=False))

    @property
    def chunks(self) -> int:
        """Into how many the data are cut where trainings are replayed: a round uses all."""
        return len(self.miners) * CHUNKS_EACH

    def publications(self) -> list[tuple[str, ...]]:
        """The commands that put data and task into the store and onto the ledger."""
        place = (
            "--store",
            str(self.folder / "artifacts"),
            "--folder",
            str(self.network),
            "--as",
            "owner/owner",
        )
        cut = (
            *("data", "publish", *(() if self.data is None else (str(self.data),))),
            *("--workload", "mnist-cnn", "--chunks", str(self.chunks), "-o", str(self.folder / DATA_FILE)),
        )
        task = ("task", "publish", str(self.folder / "task.yaml"))
        return [*([(*cut, *place)] if self.replays else []), (*task, *place)]

    def _task(self, samples: int) -> dict[str, object]:
        cheats = NUMBERS[len(self.cheats)] if len(self.cheats) < len(NUMBERS) else str(len(self.cheats))
        return {
            "id": self.task,
            "title": f"Handwritten digits, eight miners, {cheats} of them cheating",
            **(self._replayed_training(samples) if self.replays else self._training(samples)),
            "rounds": self.rounds,
            "committee": {
                "organisations": [self.spec.organisation(name).msp_id for name, _ in self.verifiers],
                "threshold": 2,
            },
            **({} if self.rule is None else {"rule": {"name": self.rule}}),
            "timeouts": {"join": 120, "commit": 300 if self.replays else 120, "reveal": 60},
            "reward": {"per_round": 1000},
            "seed": self.seed,
            "repeatable": True,
        }

    def _training(self, samples: int) -> dict[str, object]:
        """Workload and miners of a task whose miners have data of their own."""
        steps_an_epoch = max(1, samples // len(self.miners) // BATCH)
        epochs = max(1, round(LOCAL_STEPS / steps_an_epoch))
        return {
            "workload": {
                "name": "mnist-cnn",
                "config": {"epochs": str(epochs), "batch_size": str(BATCH)},
            },
            "miners": self._told_apart(),
        }

    def _replayed_training(self, samples: int) -> dict[str, object]:
        """The same of a task whose trainings are replayed."""
        steps_an_epoch = -(-max(1, samples // self.chunks) // WORK_BATCH)
        epochs = max(1, round(CHUNK_STEPS / steps_an_epoch))
        while (
            epochs * steps_an_epoch % SEGMENT_STEPS
        ):  # or a training ended in a segment of one step, which no task may have
            epochs += 1
        without_cheats = max(2, len(self.miners) - len(self.cheats))
        alike = {"minimum": without_cheats, "maximum": len(self.miners)}
        return {
            "mode": self.mode,
            "workload": {
                "name": "mnist-cnn",
                "config": {"epochs": str(epochs), "batch_size": str(WORK_BATCH)},
            },
            "recompute": {
                "data": DATA_FILE,
                "chunks_per_miner": CHUNKS_EACH,
                "segment_steps": SEGMENT_STEPS,
                "drawn": DRAWN,
                "exactness": "portable",
            },
            "miners": alike if self.mode == "recompute" else self._told_apart(),
        }

    def _told_apart(self) -> dict[str, int]:
        """How many miners, where a rule tells cheats from others."""
        return {
            "minimum": max(len(self.miners) - 2, 2 * len(self.cheats) + 3),
            "maximum": len(self.miners),
            "byzantine": len(self.cheats),
        }

    def _node(self, name: str) -> dict[str, object]:
        members = [user.name for user in self.spec.organisation(name).users]
        node: dict[str, object] = {
            "organisation": f"../network/organisations/{name}",
            "store": "../artifacts",
            "state": f"../state/{name}",
            "workers": 1,  # all nodes share this machine
        }
        if self.data is not None:
            node["data"] = str(self.data.resolve())
        node["identities"] = [self._identity(name, user) for user in members]
        return node

    def _identity(self, organisation: str, user: str) -> dict[str, object]:
        identity = part_of(self.spec, (organisation, user), self.seed) or {"user": user}
        if (organisation, user) in self.cheats:
            identity["behaviour"] = self.cheats[organisation, user]
        return identity

    def _organisations(self) -> list[str]:
        return [one.name for one in self.spec.organisations if "treasury" not in one.roles]


def make_scene(
    folder: Path,
    rounds: int,
    seed: int,
    data: Path | None,
    fabric: Runtime | None = None,
    cheats: Mapping[tuple[str, str], str] | None = None,
    rule: str | None = None,
    mode: Mode = "robust",
) -> Scene:
    """The demo's scene, on the devnet or on Fabric's own nodes; `cheats` says what which miner of which organisation does, if not what
    CHEATS or, where trainings are replayed, WORK_CHEATS says; `rule` which robust rule the task has if not that of any task."""
    if cheats is None:
        cheats = CHEATS if mode == "robust" else WORK_CHEATS
    spec = default_spec(miner_organisations=2, miners_each=MINERS_EACH, verifiers=3)
    if fabric is not None:
        spec = spec.model_copy(update={"fabric": FabricSpec(runtime=fabric)})
    task = f"{'demo' if mode == 'robust' else 'useful-work'}-{seed}"
    return Scene(folder, spec, task, rounds, seed, data, dict(cheats), rule, mode)
