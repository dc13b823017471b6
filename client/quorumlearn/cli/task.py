"""`quorumlearn task`: publish, watch, leave and cancel tasks; challenge a block. How a task is shown stands in `task_show`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
import yaml
from quorumlearn_network.spec import Role
from quorumlearn_network.up import read_network
from quorumlearn_proto import task_pb2 as t
from rich.console import Console

from quorumlearn.analysis import why_task
from quorumlearn.api.access import account_named, open_feed, open_market
from quorumlearn.cli.access import DEFAULT_FOLDER, As, Folder
from quorumlearn.cli.audit import audit
from quorumlearn.cli.example import task_example
from quorumlearn.cli.live import TaskWatch, follow
from quorumlearn.cli.signing import Signer, signer
from quorumlearn.cli.task_model import model
from quorumlearn.cli.task_show import TaskId, list_tasks, show
from quorumlearn.cli.terminal import (
    EXIT_CODES,
    AsJson,
    Picture,
    print_json,
    print_table,
    print_text,
    progress,
)
from quorumlearn.nodes import tasksettings

app = typer.Typer(no_args_is_help=True, help="Publish tasks, and see what becomes of them.")


@app.command(
    help="Publish a task: its initial model goes to the store, its reward into escrow.\n\n"
    "What the file may hold (`quorumlearn task example` writes a small one), and what stands for what it leaves out:\n\n"
    f"\b\n{tasksettings.as_text()}",
    epilog=f"Example: quorumlearn task publish task.yaml --store artifacts --as owner/owner.  {EXIT_CODES}",
)
def publish(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The task's file (YAML).")],
    store: Annotated[
        str, typer.Option(help="Folder or URL of the artifact store.", envvar="QUORUMLEARN_STORE")
    ],
    folder: Folder = DEFAULT_FOLDER,
    who: Signer = "",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Where the samples of rule.root are; a folder as of a node's file.",
            envvar="QUORUMLEARN_DATA",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Check and explain only; nothing is published, nor put into the store."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    from quorumlearn.api import publishing
    from quorumlearn.artifacts import ArtifactStore
    from quorumlearn.nodes import taskfile

    wanted = taskfile.load(file)
    signs = who if dry_run else signer(folder, who, Role.OWNER)
    with progress("making the initial model") as step:
        prepared = publishing.prepare(wanted, None if data is None else str(data))
        if not dry_run:
            step("publishing")
            with open_market(folder, signs) as market:
                artifacts = ArtifactStore(
                    store if "://" in store else Path(store).resolve().as_uri(),
                    organisation=account_named(folder, signs).partition("/")[0],
                )
                publishing.publish(prepared, market, artifacts)
    spec = prepared.spec
    if as_json:
        print_json(
            {
                "task": spec.task_id,
                "published": not dry_run,
                "encryption": list(prepared.encryption),
                "exposure": prepared.exposure.as_fields(),
                "replays": prepared.replays,
                "warnings": list(prepared.warnings),
            }
        )
        return
    print_text(
        f"{'checked' if dry_run else 'published'} {spec.task_id}: {spec.ckks.update_size} public parameters"
    )
    for line in prepared.encryption:
        print_text(f"  {line}")
    print_text(f"  {prepared.exposure.sentence}")
    if prepared.replays is not None:
        print_text(f"  {prepared.replays}")
    for warning in prepared.warnings:
        print_text(f"warning: {warning}", style="yellow")
    if not dry_run:
        print_text(f"next: quorumlearn task watch {spec.task_id}")


@app.command(epilog=f"Example: quorumlearn task example > task.yaml.  {EXIT_CODES}")
def example(folder: Folder = DEFAULT_FOLDER) -> None:
    """Print a small task's file for all miners and verifiers of the network: it can be published as it is."""
    sys.stdout.write(task_example(read_network(folder)))


@app.command(epilog=f"Example: quorumlearn task presets.  {EXIT_CODES}")
def presets(as_json: AsJson = False) -> None:
    """Settings of published systems that a task's file can ask for by name, and why they are so."""
    from quorumlearn.nodes.presets import PRESETS

    if as_json:
        print_json(
            {
                name: {
                    "source": preset.source,
                    "settings": {setting.field: setting.value for setting in preset.settings},
                    "why": {setting.field: setting.why for setting in preset.settings}
                    | {"miners.byzantine": preset.assumed},
                }
                for name, preset in sorted(PRESETS.items())
            }
        )
        return
    for name, preset in sorted(PRESETS.items()):
        print_text(f"preset: {name}", style="bold")
        print_text(f"  {preset.source}")
        rows = [(f"  {one.field}", _written(one.value), one.why) for one in preset.settings]
        print_table(("", "", ""), [*rows, ("  miners.byzantine", "f", preset.assumed)])
        print_text("")
    print_text("What a task's file says itself wins. What differs from the systems: docs/presets.md")


app.command("list", epilog=f"Example: quorumlearn task list.  {EXIT_CODES}")(list_tasks)
app.command(epilog=f"Example: quorumlearn task show mnist-1.  {EXIT_CODES}")(show)
app.command(
    epilog=f"Example: quorumlearn task model mnist-1 --store artifacts -o mnist-1.safetensors.  {EXIT_CODES}"
)(model)


@app.command(epilog=f"Example: quorumlearn task watch mnist-1.  {EXIT_CODES}")
def watch(
    task: TaskId,
    folder: Folder = DEFAULT_FOLDER,
    who: As = "",
    track: Annotated[
        list[str],
        typer.Option(
            metavar="PLACE",
            help="Log each round's figures there as well: mlflow, mlflow:URI or tensorboard:FOLDER. Needs quorumlearn[track].",
        ),
    ] = [],  # noqa: B006  (typer copies it)
    as_json: AsJson = False,
) -> None:
    """Follow a task by round and phase until it ends. Ctrl-C only ends the watching."""
    from quorumlearn.api.rounds import status_of
    from quorumlearn.api.tracking import checked, tracking

    for place in track:
        checked(place)
    with open_feed(folder, who, task) as (market, feed), ExitStack() as opened:
        known = status_of(market.task(task))
        trackers = [opened.enter_context(tracking(place, known)) for place in track]
        with TaskWatch(Console(stderr=as_json, highlight=False), known.rounds) as screen:
            view = follow(market, feed, screen, trackers=trackers)
    status = t.TaskStatus.Name(view.state.status)
    if as_json:
        head = {"head": view.state.head.digest, "height": view.state.head.height}
        print_json({"task": task, "status": status, "reason": view.state.reason, **head})
    else:
        why = f" ({why_task(view.state.reason)})" if view.state.reason else ""
        print_text(
            f"{task} {status.lower()}{why} with block {view.state.head.height}, {view.state.head.digest[:12]}"
        )


@app.command(epilog=f"Example: quorumlearn task report mnist-1 --picture mnist-1.png.  {EXIT_CODES}")
def report(
    task: TaskId,
    picture: Picture = None,
    folder: Folder = DEFAULT_FOLDER,
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """Who contributed and was paid, how good the model became, where time and bytes went."""
    from quorumlearn.analysis import collect, draw_scores
    from quorumlearn.cli.account import check_place, fields_of, print_report

    if picture is not None:
        check_place(picture)
    with open_market(folder, who) as market:
        found = collect(market, task)
    if picture is not None:
        draw_scores(found, picture)
    if as_json:
        print_json(fields_of(found))
    else:
        print_report(found)


app.command(epilog=f"Example: quorumlearn task audit mnist-1 --store artifacts.  {EXIT_CODES}")(audit)


@app.command(epilog=f"Example: quorumlearn task cancel mnist-1 --as owner/owner.  {EXIT_CODES}")
def cancel(task: TaskId, folder: Folder = DEFAULT_FOLDER, who: Signer = "", as_json: AsJson = False) -> None:
    """Cancel one's own task: at once before it runs, after the round under way (which still pays) if it does."""
    with open_market(folder, signer(folder, who, Role.OWNER)) as market:
        market.cancel(task)
        state = market.task(task).state
    status = t.TaskStatus.Name(state.status)
    if as_json:
        print_json({"task": task, "status": status, "cancel_requested": state.cancel_requested})
    elif state.status == t.RUNNING:
        print_text(f"{task} ends after round {state.round}")
    else:
        print_text(f"{task} {status.lower()}")


@app.command(epilog=f"Example: quorumlearn task leave mnist-1 --as miners1/miner1.  {EXIT_CODES}")
def leave(task: TaskId, folder: Folder = DEFAULT_FOLDER, who: Signer = "", as_json: AsJson = False) -> None:
    """Leave a task as one of its miners: after the round under way, or at once if it is in none. Who is in none leaves before the start
    or while a round is in COMMIT.

    Until then the node of --as has to go on; then the stake comes back. The node does not join that task again.
    """
    who = signer(folder, who, Role.MINER)
    with open_market(folder, who) as market:
        market.leave(task)
        view = market.view(task)
    miner = account_named(folder, who)
    last = view.round.number if miner in view.miners else 0
    if as_json:
        print_json({"task": task, "miner": miner, "last_round": last})
    elif last:
        print_text(f"{miner} leaves {task} after round {last}; keep its node running until then")
    else:
        print_text(f"{miner} has left {task}")


@app.command(
    epilog=f"Example: quorumlearn task challenge mnist-1 3 --reason 'fails on digit 7' --as owner/owner.  {EXIT_CODES}"
)
def challenge(
    task: TaskId,
    height: Annotated[int, typer.Argument(min=1, help="The block's height.")],
    reason: Annotated[str, typer.Option(help="Why, for the verifiers.")],
    folder: Folder = DEFAULT_FOLDER,
    who: Signer = "",
    as_json: AsJson = False,
) -> None:
    """Ask the verifiers to judge an accepted block again; a deposit is at stake."""
    by = signer(folder, who, Role.OWNER, Role.MINER, Role.VERIFIER)
    with open_market(folder, by) as market:
        market.challenge(task, height, reason)
    if as_json:
        print_json({"task": task, "height": height, "challenged": True})
    else:
        print_text(f"block {height} of {task} is challenged; its verifiers vote")


def _written(value: object) -> str:
    """As a task's file writes it."""
    written: str = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n...\n").strip()
    return written
