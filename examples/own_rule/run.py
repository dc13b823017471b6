"""Play the rule and the attack: `python examples/own_rule/run.py`.

First some cells of the matrix, where rules are compared without a chain; then a task on a network of this machine. Exit code 1 if the
rule did not beat the attack. Without `pip install examples/own_rule` the folder is made known for this run only, as an installation
would make it known.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

HERE = Path(__file__).resolve().parent
RULE, ATTACK = "medoid", "mirror"


def metadata(folder: Path) -> None:
    """What pip would write of the package into `folder`, as far as entry points need it."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in entries.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines))


def run(environment: Mapping[str, str], *command: str) -> dict[str, object]:
    """The JSON object that a command prints; what it says of its progress passes."""
    ended = subprocess.run(
        [sys.executable, "-m", *command, "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    fields: dict[str, object] = json.loads(ended.stdout)
    return fields


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--data", help="folder with MNIST's four IDX files; without it, what is found")
    parser.add_argument("--rounds", type=int, default=2, help="of the task")
    parser.add_argument("--folder", type=Path, help="where the network and its nodes keep their files")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        environment = dict(os.environ)
        if not any(entry.name == RULE for entry in entry_points(group="quorumlearn.rules")):
            metadata(Path(made))
            before = [environment["PYTHONPATH"]] if environment.get("PYTHONPATH") else []
            environment["PYTHONPATH"] = os.pathsep.join([made, str(HERE), *before])
        data = ("--data", chosen.data) if chosen.data else ()
        matrix = run(
            environment,
            *("benchmarks.robustness", "--quick", "--rules", f"mean,{RULE}", "--attacks", f"none,{ATTACK}"),
            *("--divisions", "iid", *data),
        )
        played = run(
            environment,
            *("quorumlearn.cli", "attack", ATTACK, "--rule", RULE, "--rounds", str(chosen.rounds)),
            *("--folder", str(chosen.folder or Path(made) / "attack"), *data),
        )
    return report(matrix, played)


def report(matrix: dict[str, object], played: dict[str, object]) -> int:
    """Print what came of it; 1 if the attack was paid, or the rule no better than the mean."""
    lines, attackers, score = matrix["lines"], played["attackers"], played["score"]
    assert isinstance(lines, list) and isinstance(attackers, list) and isinstance(score, float)
    accuracy = {(line["rule"], line["attack"]): line["median"] for line in lines}
    for (rule, attack), value in accuracy.items():
        print(f"matrix: {rule:<7} against {attack:<7} accuracy {100 * value:5.1f} %")
    weights = [weight for one in attackers for weight in one["weights"]]
    paid = sum(one["paid"] for one in attackers)
    print(
        f"task:   {RULE} gave {len(attackers)} attackers the weights {weights} and {paid} tokens; "
        f"accuracy {100 * score:.1f} %"
    )
    return int(any(weights) or paid != 0 or accuracy[RULE, ATTACK] <= accuracy["mean", ATTACK])


if __name__ == "__main__":
    sys.exit(main())
