"""What the market adds to training: `python -m benchmarks.overhead`.

    python -m benchmarks.overhead --data FOLDER                  the first two measurements
    python -m benchmarks.overhead --only round                   a round of 10 miners, d = 10^5, with next to no training
    python -m benchmarks.overhead --only demo --json             the demo's task without cheats, beside plain averaging
    python -m benchmarks.overhead --only adapters                a round of 10 miners, d = 10^6, with next to no training
    python -m benchmarks.overhead --only large                   six miners train and encrypt a model of 10^7 parameters
    python -m benchmarks.overhead --quick                        fewer rounds of the first

Everything is real: a devnet, a node process for each organisation, artifacts in a folder. Figures are seconds on the
clock, so a busy machine shows in them: the load stands beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median

from quorumlearn.cli.demo import find_data
from quorumlearn.cli.scene import Scene
from rich.console import Console

from benchmarks.encrypted_aggregation.machine import machine
from benchmarks.overhead import million
from benchmarks.overhead.plain import PlainRun, Training, train_plainly
from benchmarks.overhead.played_task import (
    MarketRun,
    adapt,
    add_workload,
    demo_scene,
    fresh_folder,
    honest_scene,
    play_market,
    shards_of,
    wiped,
    workload_of,
)

MINERS, LIGHT_ROUNDS, QUICK_ROUNDS, SHARD_SAMPLES = 10, 9, 2, 8
LIGHT_TASK = {
    "title": "Next to no training",
    "workload": {"name": "mnist-mlp", "config": {"batch_size": str(SHARD_SAMPLES)}},
    "public_blocks": ["top"],
    "tolerance": "100%",
}
ADAPTER_ROUNDS = 5
ADAPTER_TASK = {
    "title": "Adapters of a million parameters",
    "workload": {"name": "million", "module": "million:MILLION", "config": {"batch_size": "8"}},
    "tolerance": "100%",
}
LARGE_MINERS, LARGE_ROUNDS, LARGE_SHARD_SAMPLES = 6, 2, 640
LARGE_TASK = {
    "title": "Ten million parameters",
    "workload": {"name": "mnist-wide", "config": {}},
    "timeouts": dict.fromkeys(
        ("join", "commit", "reveal", "screen", "select", "open", "propose", "validate"), 600
    ),
}
DEMO_ROUNDS = 5
SEED = 7
ADDED_GOAL, ADAPTER_GOAL, RATIO_GOAL, MEMORY_GOAL = 3.0, 10.0, 1.4, 24 << 30


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=("round", "adapters", "demo", "large"), help="one of the four")
    parser.add_argument(
        "--rounds",
        type=int,
        default=DEMO_ROUNDS,
        help=f"of the demo's task, two or more: {DEMO_ROUNDS} unless told",
    )
    parser.add_argument("--data", type=Path, help="folder with MNIST's four IDX files")
    parser.add_argument(
        "--quick", action="store_true", help="a short form of the first, nothing of the second"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error(f"--rounds {options.rounds}: the first is told apart from the others, so two at least")
    console = Console(stderr=True, highlight=False)
    if options.data is None and "QUORUMLEARN_DATA" in os.environ:
        options.data = Path(os.environ["QUORUMLEARN_DATA"])
    data, samples = (
        (None, 0) if options.only == "adapters" else find_data(console, options.data, download=False)
    )
    record: dict[str, object] = {"taken": machine()}
    if options.only in (None, "round"):
        light = honest_rounds(
            console,
            data,
            samples,
            MINERS,
            QUICK_ROUNDS if options.quick else LIGHT_ROUNDS,
            SHARD_SAMPLES,
            LIGHT_TASK,
        )
        record["round"] = {**asdict(light), "median_seconds": median(light.rounds[1:]), "goal": ADDED_GOAL}
        if not options.json:
            print_round(light, ADDED_GOAL)
    if options.only == "adapters":
        adapters = honest_rounds(
            console,
            None,
            million.SAMPLES,
            MINERS,
            ADAPTER_ROUNDS,
            SHARD_SAMPLES,
            ADAPTER_TASK,
            Path(million.__file__),
        )
        record["adapters"] = {
            **asdict(adapters),
            "median_seconds": median(adapters.rounds[1:]),
            "goal": ADAPTER_GOAL,
        }
        if not options.json:
            print_round(adapters, ADAPTER_GOAL)
    if options.only == "large":
        large = honest_rounds(
            console, data, samples, LARGE_MINERS, LARGE_ROUNDS, LARGE_SHARD_SAMPLES, LARGE_TASK
        )
        record["large"] = {**asdict(large), "goal_bytes": MEMORY_GOAL}
        if not options.json:
            print_large(large)
    if options.only in (None, "demo") and not options.quick:
        market, plain = demo_beside_plain(console, data, samples, options.rounds)
        record["demo"] = {
            "market": asdict(market),
            "plain": asdict(plain),
            "ratio": market.seconds / plain.seconds,
            "ratio_without_the_first": sum(market.rounds[1:]) / sum(plain.rounds[1:]),
            "goal": RATIO_GOAL,
        }
        if not options.json:
            print_demo(market, plain)
    if options.json:
        sys.stdout.write(json.dumps(record) + "\n")
    return 0


def honest_rounds(
    console: Console,
    data: Path | None,
    samples: int,
    miners: int,
    rounds: int,
    shard_samples: int,
    task: Mapping[str, object],
    module: Path | None = None,
) -> MarketRun:
    """Rounds of honest miners with so many samples each, of the demo's task but for these fields. `module` is the file of a workload of its
    own, which the task names."""
    folder = fresh_folder()
    scene = honest_scene(folder, miners, rounds, SEED, data)
    scene.write(samples)
    adapt(scene, samples, shard_samples, task)
    if module is not None:
        add_workload(scene, module)
    run = play_market(scene, console)
    wiped(folder)
    return run


def demo_beside_plain(
    console: Console, data: Path | None, samples: int, rounds: int
) -> tuple[MarketRun, PlainRun]:
    """The demo's task without cheats, and the same training without a market, before it and after it: a machine's speed drifts
    within minutes, and a mean of both is of the market's time."""
    folder = fresh_folder()
    scene = demo_scene(folder, rounds, SEED, data)
    scene.write(samples)
    before = train_plainly(training_of(scene), rounds)
    run = play_market(scene, console)
    after = train_plainly(training_of(scene), rounds)
    wiped(folder)
    return run, PlainRun(tuple(sum(pair) / 2 for pair in zip(before.rounds, after.rounds, strict=True)))


def training_of(scene: Scene) -> Training:
    """What the written scene's miners train."""
    workload, config = workload_of(scene)
    return Training(workload, config, shards_of(scene), scene.data, scene.seed)


def print_round(run: MarketRun, goal: float) -> None:
    """Medians of the rounds after the first, by phase."""
    console = Console(highlight=False, width=120)
    console.print(machine())
    console.print(
        f"{run.miners} miners, {run.parameters:,} parameters, 2 of 3 seats, next to no training: "
        f"median of rounds 2 to {len(run.rounds)}\n"
    )
    names = list(run.phases[0])
    console.print("| " + " | ".join([name.lower() for name in names] + ["next key", "round", "goal"]) + " |")
    console.print("| " + " | ".join(["---:"] * (len(names) + 3)) + " |")
    phases = [median(one[name] for one in run.phases[1:]) for name in names]
    key = median(whole - sum(one.values()) for whole, one in zip(run.rounds[1:], run.phases[1:], strict=True))
    figures = [f"{value:.2f}" for value in (*phases, key, median(run.rounds[1:]))]
    console.print("| " + " | ".join([*figures, f"<= {goal:g}"]) + " |\n")


def print_large(run: MarketRun) -> None:
    """Each round by phase, and the memory."""
    console = Console(highlight=False, width=120)
    console.print(machine())
    console.print(
        f"{run.miners} miners, {run.parameters:,} parameters, 2 of 3 seats; {run.memory / 2**30:.1f} GiB in all processes together "
        f"(goal {MEMORY_GOAL >> 30}), accuracy {100 * run.accuracy:.1f} % after {len(run.rounds)} rounds\n",
        soft_wrap=True,
    )
    names = list(run.phases[0])
    console.print("| " + " | ".join(["", *(name.lower() for name in names), "all"]) + " |")
    console.print("| --- | " + " | ".join(["---:"] * (len(names) + 1)) + " |")
    for number, (phases, whole) in enumerate(zip(run.phases, run.rounds, strict=True), 1):
        figures = [f"{phases.get(name, 0.0):.1f}" for name in names]
        console.print("| " + " | ".join([f"round {number} s", *figures, f"{whole:.1f}"]) + " |")
    console.print()


def print_demo(market: MarketRun, plain: PlainRun) -> None:
    """Both ways of training, and their ratios. In the market's first round nodes also read their data."""
    console = Console(highlight=False, width=120)
    console.print(machine())
    console.print(
        f"{market.miners} miners, {market.parameters:,} parameters, {len(market.rounds)} rounds; start-up apart\n"
    )
    console.print("| | all rounds s | without the first s | median round s |")
    console.print("| --- | ---: | ---: | ---: |")
    for name, run in (("the market", market), ("two processes, plain averaging, before and after", plain)):
        console.print(
            f"| {name} | {run.seconds:.2f} | {sum(run.rounds[1:]):.2f} | {median(run.rounds):.2f} |"
        )
    whole, later = market.seconds / plain.seconds, sum(market.rounds[1:]) / sum(plain.rounds[1:])
    middle = median(market.rounds) / median(plain.rounds)
    console.print(f"| ratio (goal <= {RATIO_GOAL:g}) | {whole:.2f} | {later:.2f} | {middle:.2f} |\n")


if __name__ == "__main__":
    sys.exit(main())
