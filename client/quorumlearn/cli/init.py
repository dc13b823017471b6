"""`quorumlearn init`: the files of a first market in one folder, commented, to be edited and then run with the commands that it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from quorumlearn_network.profiles import write_whole
from quorumlearn_network.spec import NetworkSpec, default_spec

from quorumlearn.cli.access import DEFAULT_FOLDER, DigitsFolder
from quorumlearn.cli.example import mint_command, network_example, node_example, task_example, working
from quorumlearn.cli.terminal import AsJson, Exit, Failure, print_json, print_text

NETWORK, TASK = "market.yaml", "task.yaml"


def init(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Where they go.")] = Path(),
    miner_organisations: Annotated[int, typer.Option(help="Miners' organisations.")] = 2,
    miners: Annotated[int, typer.Option(help="Miners in each of them.")] = 3,
    verifiers: Annotated[int, typer.Option(help="Verifiers' organisations.")] = 3,
    store: Annotated[
        str, typer.Option(help="Folder or URL of the artifact store.", envvar="QUORUMLEARN_STORE")
    ] = "artifacts",
    data: DigitsFolder = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the files of a first market: market.yaml, a node's file for each organisation, task.yaml.

    They are commented, and work as they are. What is there already is overwritten with --force only.
    """
    spec = default_spec(miner_organisations, miners, verifiers)
    texts = files(spec, store, data)
    there = [name for name in texts if (folder / name).exists()]
    if there and not force:
        raise Failure(
            f"{folder / there[0]} is there already: nothing was written; --force overwrites it, or name another folder",
            Exit.USAGE,
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_whole(folder / name, text)
    (folder / "state").mkdir(mode=0o700, exist_ok=True)
    if "://" not in store:
        (folder / store).mkdir(parents=True, exist_ok=True)
    steps = next_steps(spec, folder, store)
    if as_json:
        print_json({"folder": str(folder), "files": list(texts), "next": steps})
        return
    print_text(f"wrote {', '.join(texts)} in {folder.resolve()}; next, each node in a terminal of its own:")
    for one in steps:
        print_text(f"  {one}")


def files(spec: NetworkSpec, store: str, data: Path | None) -> dict[str, str]:
    """The files' texts by name, the network's first."""
    nodes = {
        f"{one.name}.yaml": node_example(spec, one, DEFAULT_FOLDER, store, data) for one in working(spec)
    }
    return {NETWORK: network_example(spec), **nodes, TASK: task_example(spec)}


def next_steps(spec: NetworkSpec, folder: Path, store: str) -> list[str]:
    """The commands that bring the market up and run its task, in order."""
    return [
        *([f"cd {folder}"] if folder.resolve() != Path.cwd() else []),
        f"quorumlearn network up --spec {NETWORK}",
        mint_command(spec),
        *(f"quorumlearn node run {one.name}.yaml" for one in working(spec)),
        f"quorumlearn task publish {TASK} --store {store}",
        "quorumlearn task watch mnist-1",
    ]
