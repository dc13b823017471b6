"""Plays a folder of files on this machine, with the commands that its README prints, from nothing to paid miners.

A folder holds `network.yaml`, `task.yaml`, a file for each node, and what they name beside them. It is copied to a place of its own, so
that what a run leaves there (the network, logs, state, models) can be looked at, and the next run begins anew.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml
from quorumlearn.analysis import TaskReport, collect
from quorumlearn.cli.access import open_feed, open_market
from quorumlearn.cli.account import print_report
from quorumlearn.cli.live import TaskWatch, follow
from quorumlearn.cli.processes import Nodes, call
from quorumlearn.cli.terminal import Exit, Failure
from quorumlearn_network.processes import stop_recorded, undisturbed
from quorumlearn_network.spec import Role, load_spec
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.derived import conserved
from rich.console import Console

MARK = "this-folder-belongs-to-an-example"
FUNDS = {Role.OWNER: 10_000, Role.MINER: 200, Role.VERIFIER: 400}
"""Tokens that the treasury mints for each account of a role."""


def play(
    example: Path,
    folder: Path,
    nodes: Sequence[str],
    links: Mapping[str, Path],
    look: Callable[[Path], None] = lambda _: None,
) -> TaskReport:
    """Play the files of `example` in `folder`: bring its network up, fund its accounts, run a node for each file of `nodes`, publish its
    task and follow it to the end. `links` are names in the folder for what is elsewhere; `look` is given the folder once the task has
    ended, while its network still answers. Prints commands, rounds and the report.

    Failure if a command fails, a node ends, or the task does not end well.
    """
    began = time.monotonic()
    console = Console(highlight=False)
    copied(example, folder, links)
    log = folder / "logs" / "commands.log"

    def command(*words: str) -> None:
        console.print(f"$ quorumlearn {' '.join(words)}", style="dim", soft_wrap=True)
        call(*words, log=log)

    network = folder / "network"
    task = str(yaml.safe_load((folder / "task.yaml").read_text(encoding="utf-8"))["id"])
    with Nodes(folder) as running:
        try:
            command("network", "up", "--folder", str(network), "--spec", str(folder / "network.yaml"))
            funds = [f"{account}={tokens}" for account, tokens in _funds(folder / "network.yaml").items()]
            command("token", "mint", "--folder", str(network), "--as", "treasury/treasury", *funds)
            for name in nodes:
                console.print(f"$ quorumlearn node run {folder / name} &", style="dim", soft_wrap=True)
                running.start(folder / name, repeatable=False)
            command(
                *("task", "publish", str(folder / "task.yaml"), "--store", str(folder / "artifacts")),
                *("--folder", str(network), "--as", "owner/owner"),
            )
            with (
                open_feed(network, "owner/owner", task) as (market, feed),
                TaskWatch(console, market.task(task).task.spec.rounds) as watch,
            ):
                follow(market, feed, watch, check=running.check)
            with open_market(network, "owner/owner") as market:
                report, status = collect(market, task), market.task(task).state.status
                whole = conserved(market.totals())
            look(folder)
        finally:
            with undisturbed():
                running.stop()
                if (network / "network.yaml").exists():
                    call("network", "down", "--folder", str(network), log=log)
    console.print()
    print_report(report)
    console.print(
        f"{time.monotonic() - began:.0f} s in all; everything that the run left is in {folder}",
        soft_wrap=True,
    )
    if status != t.COMPLETED or not whole:
        raise Failure(
            f"the task ended {t.TaskStatus.Name(status)}; the logs are in {folder / 'logs'}", Exit.FAILED
        )
    return report


def copied(example: Path, folder: Path, links: Mapping[str, Path]) -> None:
    """A fresh copy of the files; Failure if the folder holds something else than an earlier run of an example."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise Failure(
                f"{folder} holds something that is no earlier run; name another with --folder", Exit.USAGE
            )
        stop_recorded(folder)
        if (folder / "network" / "network.yaml").exists():
            with contextlib.suppress(Failure):  # it may have ended half-way
                call(
                    "network", "down", "--wipe", "--folder", str(folder / "network"), log=folder / "ended.log"
                )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    for name in ("logs", "artifacts"):
        (folder / name).mkdir()
    for file in example.iterdir():
        if file.suffix in (".yaml", ".py") and not file.name.startswith("__"):
            shutil.copy(file, folder)
    for name, place in links.items():
        (folder / name).symlink_to(place.absolute())


def end(run: object) -> None:
    """Call what plays an example, and end with a sentence and an exit code where it fails."""
    assert callable(run)
    try:
        run()
    except Failure as failure:
        sys.stderr.write(f"error: {failure}\n")
        raise SystemExit(int(failure.code)) from None


def _funds(spec: Path) -> dict[str, int]:
    found = {}
    for one in load_spec(spec).organisations:
        for user in one.users:
            role = user.role or (one.roles[0] if len(one.roles) == 1 else None)
            if role in FUNDS:
                found[f"{one.msp_id}/{user.name}"] = FUNDS[role]
    return found
