"""python -m examples.flower: a Flower app on the market, encrypted and paid, in a minute and a half."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from quorumlearn.cli.terminal import Exit, Failure

from examples.play import end, play

NODES = ("clinic1.yaml", "clinic2.yaml", "lab1.yaml", "lab2.yaml", "lab3.yaml")
HERE = Path(__file__).parent


def main(folder: Path, environment: Path) -> None:
    if not (environment / "bin" / "python").exists():
        raise Failure(
            f"no Python environment in {environment}; `make setup` makes .venv-flower, or make one and install flwr, torch and "
            "scikit-learn into it",
            Exit.USAGE,
        )
    play(HERE, folder, NODES, {"flower-env": environment})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m examples.flower", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("example-flower"), help="where to play it")
    parser.add_argument(
        "--environment",
        type=Path,
        default=HERE.parents[1] / ".venv-flower",
        help="the app's Python environment",
    )
    given = parser.parse_args()
    end(partial(main, given.folder, given.environment))
