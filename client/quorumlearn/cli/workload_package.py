"""What `quorumlearn workload new` writes: a package with a workload that runs, made-up data, a node's and a task's file, and a test."""

from __future__ import annotations

import random
import re

from quorumlearn.cli.terminal import Exit, Failure

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40
_PATIENTS = 240

_PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{name}-workload"
version = "1.0"
description = "The workload {name} for QuorumLearn"
requires-python = ">=3.11"
dependencies = ["quorumlearn[train,readers]"]

[project.entry-points."quorumlearn.workloads"]
{name} = "{module}:WORKLOAD"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
"""

_MODULE = '''\
"""The workload {name}: who is ill, from a table. Make the module, the columns and the metric yours."""

from quorumlearn.learning import TorchWorkload, TrainingConfig, readers
from torch import nn


class Settings(TrainingConfig):
    """What a task may configure, beside epochs, batch_size, learning_rate and the others of TrainingConfig."""

    width: int = 8


def net(settings: Settings) -> nn.Module:
    return nn.Sequential(nn.Linear(4, settings.width), nn.ReLU(), nn.Linear(settings.width, 2))


WORKLOAD = TorchWorkload(
    "{name}",
    net,
    metric="auc",
    settings=Settings,
    load=readers.csv(
        features=["age", "pulse", "pain"],
        target="ill",
        categories={{"pain": ["none", "some"]}},
        ranges={{"age": (20, 90), "pulse": (40, 140)}},
    ),
)
'''

_NODE = """\
# A miner's node. What is not of the workload is as `quorumlearn node example ORGANISATION` prints it.
organisation: quorumlearn-network/organisations/miners1
store: artifacts
state: state/miners1
workloads: {{{name}: "{module}:WORKLOAD"}}   # relative to this file; not needed once the package is installed
data: {{{name}: data/{name}.csv}}
identities:
- {{user: miner1, role: miner}}
"""

_TASK = """\
# An owner's task. `quorumlearn workload try` says what to put under `encryption`.
id: {name}-1
workload: {{name: {name}, module: "{module}:WORKLOAD", config: {{epochs: 4, learning_rate: 0.2}}}}
rounds: 3
miners: {{minimum: 4, maximum: 8, byzantine: 0}}
committee: {{organisations: [Verifier1MSP, Verifier2MSP, Verifier3MSP], threshold: 2}}
reward: {{per_round: 1000}}
"""

_README = """\
# {name}

A workload for QuorumLearn. `{module}.py` is all of it: the module, what a task may configure, and how the table is read. The data in
`data/{name}.csv` are made up.

```
quorumlearn workload try {name} --module {module}:WORKLOAD --data data/{name}.csv
pytest
pip install -e .                # then `quorumlearn workload list` shows it, and no file needs to name its module
```

`node.yaml` and `task.yaml` are what a miner's node and an owner's task say of it. QuorumLearn's docs/workloads.md says what else there is.
"""

_TEST = '''\
"""The workload learns, and a training repeats from its seed."""

from pathlib import Path

from quorumlearn.learning import Part, to_bytes

from {module} import WORKLOAD

TABLE = str(Path(__file__).parent / "data" / "{name}.csv")


def test_it_learns_and_repeats() -> None:
    workload = WORKLOAD.build(WORKLOAD.settings(epochs=20, learning_rate=0.2))
    train, test = workload.load(TABLE, Part("train")), workload.load(TABLE, Part("test"))
    begun = workload.initial_model(seed=1)
    trained = workload.train(begun, train, seed=2).model
    assert to_bytes(trained) == to_bytes(workload.train(begun, train, seed=2).model)
    assert workload.evaluate(trained, test).value > 0.8
'''


def files(name: str) -> dict[str, str]:
    """The files' texts by name. Failure for a name that no workload of a package can have."""
    from quorumlearn.learning import WORKLOADS

    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise Failure(
            f"{name!r} cannot be a workload's name here: small letters, digits and single hyphens, at most {_LONGEST}, such as heart-risk",
            Exit.USAGE,
        )
    if name in WORKLOADS:
        raise Failure(f"{name} is a workload that QuorumLearn brings; choose another name", Exit.USAGE)
    words = {"name": name, "module": f"{name.replace('-', '_')}_workload"}
    return {
        "pyproject.toml": _PYPROJECT.format(**words),
        f"{words['module']}.py": _MODULE.format(**words),
        f"data/{name}.csv": _table(),
        "node.yaml": _NODE.format(**words),
        "task.yaml": _TASK.format(**words),
        "README.md": _README.format(**words),
        f"test_{words['module']}.py": _TEST.format(**words),
    }


def _table() -> str:
    """Patients that there are not: the older, the faster the pulse, the more pain, the likelier they are ill."""
    drawn = random.Random(0)
    rows = []
    for _ in range(_PATIENTS):
        age, pulse, pain = drawn.randint(20, 90), drawn.randint(45, 130), drawn.choice(["none", "some"])
        risk = (age - 55) / 20 + (pulse - 85) / 25 + (pain == "some") - 0.5
        rows.append(f"{age},{pulse},{pain},{int(risk + drawn.gauss(0, 0.6) > 0)}\n")
    return "age,pulse,pain,ill\n" + "".join(rows)
