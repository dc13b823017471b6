"""`quorumlearn demo`: a whole market on this machine, from nothing to paid miners, with the commands of a real one."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer
from quorumlearn_network.processes import stop_recorded, undisturbed
from quorumlearn_network.spec import Runtime
from quorumlearn_network.up import status as network_status
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.derived import conserved
from rich.console import Console

from quorumlearn.analysis import collect
from quorumlearn.cli import ending
from quorumlearn.cli.access import DigitsFolder, open_feed, open_market
from quorumlearn.cli.account import check_place, fields_of, print_report
from quorumlearn.cli.live import TaskWatch, follow
from quorumlearn.cli.processes import REPEATABLE, MemoryPeak, Nodes, call
from quorumlearn.cli.scene import Mode, Scene, make_scene
from quorumlearn.cli.spent import Spent, spent
from quorumlearn.cli.terminal import AsJson, Exit, Failure, print_json, print_text
from quorumlearn.extras import require
from quorumlearn.nodes.market import Market

MARK = "this-folder-belongs-to-quorumlearn-demo"
REPEATS = (
    "This run is repeatable: training and beacons follow from a public seed, so that it gives the same blocks each time. "
    "Real data needs a task and nodes without it."
)


ARule = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="The task's robust rule, of an installed package too; by default multi-krum."
    ),
]


def demo(
    folder: Annotated[
        Path, typer.Option(help="Where to play it; an earlier demo there is wiped.", metavar="FOLDER")
    ] = Path("quorumlearn-demo"),
    data: DigitsFolder = None,
    download: Annotated[bool, typer.Option(help="Download MNIST if it is nowhere on this machine.")] = True,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds of training.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same blocks.")] = 7,
    fabric: Annotated[
        Runtime | None,
        typer.Option(help="Play it on real Hyperledger Fabric nodes: in containers, or native processes."),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Where to draw it, as a PNG; accuracy.png in the folder.", metavar="FILE"),
    ] = None,
    rule: ARule = None,
    useful_work: Annotated[
        bool,
        typer.Option(
            "--useful-work",
            help="Proof of useful work: all train on the task's data, and verifiers replay parts of each training. Three miners cheat: "
            "one sends the last public step again, one skips a fifth of its training, one takes another's.",
        ),
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the network running at the end.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train MNIST with eight miners of two organisations, some of them cheating, and pay the others.

    Brings up a network, funds accounts, starts a node for each organisation, publishes a task, and follows it: updates are
    encrypted, three verifiers of whom any two can decrypt screen them unseen, the cheats go unpaid. With --useful-work the verifiers
    replay parts of each training, and who has not done it is caught at a segment. Everything is left in the folder: the files to
    read as an example, logs, models, and a picture.
    """
    began = time.monotonic()
    for library in ("torch", "matplotlib"):
        require(library, "the demo")
    check_rule(rule)
    if useful_work:
        check_no_rule(rule, "--useful-work is given")
    if picture is not None:
        check_place(picture)
    console = Console(stderr=as_json, highlight=False)
    found, samples = find_data(console, data, download)
    mode: Mode = "recompute" if useful_work else "robust"
    scene = make_scene(cleaned(folder), rounds, seed, found, fabric, rule=rule, mode=mode)
    scene.write(samples)
    with Nodes(scene.folder) as nodes:
        try:
            peak = play(console, scene, nodes)
            with open_market(scene.network, "owner/owner") as market:
                drawn = picture or scene.folder / ("useful-work.png" if useful_work else "accuracy.png")
                _finish(console, scene, market, peak, time.monotonic() - began, drawn, as_json)
        finally:
            with undisturbed():
                end(console, scene, nodes, keep)


def end(console: Console, scene: Scene, nodes: Nodes, keep: bool) -> None:
    """Stop the nodes and, unless it is to be kept, the network."""
    nodes.stop()
    if not keep and (scene.network / "network.yaml").exists():
        with contextlib.suppress(OSError):  # the terminal may be gone
            _say(console, f"quorumlearn network down --folder {scene.network}")
        call("network", "down", "--folder", str(scene.network), log=scene.folder / "logs" / "demo.log")


def play(console: Console, scene: Scene, nodes: Nodes) -> MemoryPeak:
    """Everything from the network to the end of the task; the most memory that all processes held together."""
    network, log = str(scene.network), scene.folder / "logs" / "demo.log"
    console.print(REPEATS, style="yellow", soft_wrap=True)
    for arguments in (
        ("network", "up", "--folder", network, "--spec", str(scene.folder / "network.yaml")),
        (
            *("token", "mint", "--folder", network, "--as", "treasury/treasury"),
            *(f"{account}={amount}" for account, amount in scene.funds().items()),
        ),
    ):
        _say(console, f"quorumlearn {' '.join(arguments)}")
        call(*arguments, log=log)
    for file in scene.node_files:
        _say(console, f"quorumlearn node run {file} {REPEATABLE} &")
        nodes.start(file)
    for arguments in scene.publications():
        _say(console, f"quorumlearn {' '.join(arguments)}")
        call(*arguments, log=log)
    served = [one.pid for one in network_status(scene.network).processes if one.pid is not None]
    with (
        open_feed(scene.network, "owner/owner", scene.task) as (market, feed),
        MemoryPeak([os.getpid(), *served]).sampled() as peak,
        TaskWatch(console, scene.rounds) as watch,
    ):
        follow(market, feed, watch, check=nodes.check)
    return peak


def _finish(
    console: Console,
    scene: Scene,
    market: Market,
    peak: MemoryPeak,
    seconds: float,
    picture: Path,
    as_json: bool,
) -> None:
    from quorumlearn.analysis import draw_scores

    report = collect(market, scene.task)
    totals = market.totals()
    whole = conserved(totals)
    status = market.task(scene.task).state.status
    behaviours = {miner.miner: scene.behaviour(miner.miner) for miner in report.miners}
    draw_scores(report, picture, behaviours)
    taken = spent(scene.logs)
    if as_json:
        print_json(
            {
                **fields_of(report, behaviours),
                "data": "digits" if scene.data is None else "mnist",
                "conserved": whole,
                "seconds": round(seconds, 1),
                "peak_rss_bytes": peak.bytes,
                **(_spent_fields(taken) if scene.replays else {}),
            }
        )
    else:
        console.print()
        print_report(report, behaviours)
        console.print()
        sign = "=" if whole else "!="
        print_text(
            f"tokens: minted {totals.minted} {sign} balances {totals.balances} + escrows {totals.escrows} "
            f"+ stakes {totals.stakes} + burnt {totals.burnt}"
        )
        print_text(
            f"{seconds:.0f} s in all, {peak.bytes / 2**30:.1f} GiB in all processes together; picture: {picture}"
        )
        if scene.replays:
            print_text("")
            print_text(ending.found(report, behaviours), style="bold")
            print_text(ending.cost(report, taken), style="bold")
        print_text("")
        print_text("What to type next:")
        for line in ending.next_lines(scene):
            print_text(f"  {line}")
    if status != t.COMPLETED or not whole:
        raise Failure(
            f"the task ended {t.TaskStatus.Name(status)}; the logs are in {scene.folder / 'logs'}",
            Exit.FAILED,
        )


def _spent_fields(taken: Spent) -> dict[str, object]:
    return {
        "cpu_seconds_training": round(taken.training, 2),
        "cpu_seconds_replaying": round(taken.replaying, 2),
        "cpu_seconds_settling": round(taken.settling, 2),
    }


def check_rule(rule: str | None) -> None:
    """robust.RuleError for one that there is not, before anything is started, and for one that compares with a root set."""
    from quorumlearn import robust

    if rule is not None:
        robust.weight_room(rule, 1)
        if robust.needs_root(rule):
            raise robust.RuleError(
                f"{rule} compares with a root set, and the demo's task has none; take another"
            )


def check_no_rule(rule: str | None, why: str) -> None:
    """Failure if a robust rule is asked for in a task whose trainings are replayed."""
    if rule is not None:
        raise Failure(
            f"{why}, so trainings are replayed and all work that stands counts alike: leave --rule {rule} out",
            Exit.USAGE,
        )


def find_data(console: Console, folder: Path | None, download: bool) -> tuple[Path | None, int]:
    """The folder that the nodes read (None: what is found without one) and the number of training images."""
    from quorumlearn.learning import DigitsSource, load_digits

    data = load_digits(DigitsSource(folder=folder, download=download))
    if data.notice is not None:
        console.print(f"NOTE: {data.notice}", style="bold yellow", soft_wrap=True)
        console.print("For the real thing: quorumlearn demo --data FOLDER", style="yellow", soft_wrap=True)
    else:
        console.print(f"data: {data.name}, {len(data.train)} training images", soft_wrap=True)
    return folder, len(data.train)


def cleaned(folder: Path) -> Path:
    """An empty folder; one that holds something else than an earlier demo is refused."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise Failure(
                f"{folder} holds something that is no earlier demo; name another with --folder", Exit.USAGE
            )
        stop_recorded(folder)
        if (folder / "network" / "network.yaml").exists():
            log = folder / "demo.log"
            call("network", "down", "--wipe", "--folder", str(folder / "network"), log=log)
        shutil.rmtree(folder)
    for name in ("logs", "artifacts"):
        (folder / name).mkdir(parents=True)
    (folder / MARK).touch()
    return folder


def _say(console: Console, line: str) -> None:
    console.print(f"$ {line}", style="dim", soft_wrap=True)
