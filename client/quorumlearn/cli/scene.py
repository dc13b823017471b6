"""The demo's scene: who takes part, and the files and commands that a real network would be run with.

Two miner organisations of four miners each, three verifier organisations, an owner and a treasury.
miners1/miner4 sends noise, miners2/miner4 copies its neighbour miner3. Everything is written as files that
`quorumlearn network up`, `quorumlearn node run` and `quorumlearn task publish` read, so that the folder can
be read as an example. The task is `repeatable` and its nodes are started with `--repeatable`: whoever has the seed can do all of it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from quorumlearn_network.spec import FabricSpec, NetworkSpec, Role, Runtime, default_spec, dump_spec

from quorumlearn.cli.example import members, part_of

MINERS_EACH = 4
CHEATS = {("miners1", "miner4"): "noise", ("miners2", "miner4"): "copy:miner3"}
LOCAL_STEPS = 235  # a miner's training steps a round, whatever the data set
BATCH = 32
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

    def _task(self, samples: int) -> dict[str, object]:
        steps_an_epoch = max(1, samples // len(self.miners) // BATCH)
        return {
            "id": self.task,
            "title": "Handwritten digits, eight miners, two of them cheating",
            "workload": {
                "name": "mnist-cnn",
                "config": {
                    "epochs": str(max(1, round(LOCAL_STEPS / steps_an_epoch))),
                    "batch_size": str(BATCH),
                },
            },
            "rounds": self.rounds,
            "miners": {
                "minimum": max(len(self.miners) - 2, 2 * len(self.cheats) + 3),
                "maximum": len(self.miners),
                "byzantine": len(self.cheats),
            },
            "committee": {
                "organisations": [self.spec.organisation(name).msp_id for name, _ in self.verifiers],
                "threshold": 2,
            },
            **({} if self.rule is None else {"rule": {"name": self.rule}}),
            "timeouts": {"join": 120, "commit": 120, "reveal": 60},
            "reward": {"per_round": 1000},
            "seed": self.seed,
            "repeatable": True,
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
    cheats: Mapping[tuple[str, str], str] = CHEATS,
    rule: str | None = None,
) -> Scene:
    """The demo's scene, on the devnet or on Fabric's own nodes; `cheats` says what which miner of which organisation does, `rule` which
    robust rule the task has if not that of any task."""
    spec = default_spec(miner_organisations=2, miners_each=MINERS_EACH, verifiers=3)
    if fabric is not None:
        spec = spec.model_copy(update={"fabric": FabricSpec(runtime=fabric)})
    return Scene(folder, spec, f"demo-{seed}", rounds, seed, data, dict(cheats), rule)
