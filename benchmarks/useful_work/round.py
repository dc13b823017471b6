"""A round's time with and without replays, and what verification takes of training.

The demo's task without its cheats is played by real nodes in each mode, in turns: `robust` (a rule tells cheats apart, training in
float32),
`robust-and-recompute` (the rule, and parts of each training replayed, training as portable) and `recompute` (replays alone). Data, model,
batches and steps are the same. Seconds are by the ledger's times, medians over the rounds after the first of all turns; processor
seconds are what nodes log of trainings and replays, over all miners and all seats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import yaml
from quorumlearn.cli.demo import find_data
from quorumlearn.cli.scene import Mode, Scene, make_scene
from quorumlearn.cli.spent import Spent, spent
from quorumlearn_proto import block_pb2 as b
from rich.console import Console

from benchmarks.overhead.played_task import MarketRun, fresh_folder, play_market, wiped
from benchmarks.useful_work.options import Options, Row, Table

MODES: tuple[Mode, ...] = ("robust", "robust-and-recompute", "recompute")
TURNS, ROUNDS, SEED = 2, 3, 7
QUICK_MODES: tuple[Mode, ...] = ("recompute",)
QUICK_ROUNDS = 2


@dataclass(frozen=True)
class Played:
    """One task: its rounds, and the processor time of what can be replayed and of replays."""

    run: MarketRun
    spent: Spent


def measure(options: Options) -> dict[str, object]:
    """Play each mode in turns; the first turn's order is the reverse of the second's."""
    console = Console(stderr=True, highlight=False)
    _, samples = find_data(console, options.data, download=False)
    modes = QUICK_MODES if options.quick else MODES
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    played: dict[Mode, list[Played]] = {mode: [] for mode in modes}
    for turn in range(1 if options.quick else TURNS):
        for mode in reversed(modes) if turn % 2 else modes:
            played[mode].append(_play(console, options, mode, rounds, samples))
    return {
        "rounds": rounds,
        "turns": len(played[modes[0]]),
        "modes": {mode: _record(runs) for mode, runs in played.items()},
    }


def tables(record: Mapping[str, Any]) -> tuple[Table, Table]:
    """Seconds by phase, and processor seconds."""
    modes = record["modes"]
    first = next(iter(modes.values()))
    said = (
        f"Seconds by phase: {first['miners']} honest miners, 2 of 3 seats, {first['parameters']} parameters; medians of the rounds after "
        f"the first, {record['turns']} turns of {record['rounds']} rounds"
    )
    known = {name for one in modes.values() for name in one["phases"]}
    names = [b.Phase.Name(phase) for phase in sorted(b.Phase.values()) if b.Phase.Name(phase) in known]
    seconds: list[Row] = []
    shares: list[Row] = []
    for mode, one in modes.items():
        phases, replayed = one["phases"], mode != "robust"
        by_phase = {name.lower(): f"{phases[name]:.2f}" if name in phases else "" for name in names}
        seconds.append({"mode": mode, **by_phase, "round": f"{one['round']:.2f}"})
        shares.append(
            {
                "mode": mode,
                "training": f"{one['cpu_seconds_training']:.1f}",
                "replaying": f"{one['cpu_seconds_replaying']:.2f}" if replayed else "",
                "replaying / training": f"{100 * one['share']:.1f} %" if replayed else "",
                "accuracy": f"{100 * one['accuracy']:.1f} %",
            }
        )
    return Table.of(said, seconds), Table.of("Processor seconds of all miners and all seats", shares)


def _play(console: Console, options: Options, mode: Mode, rounds: int, samples: int) -> Played:
    folder = fresh_folder()
    scene = make_scene(folder, rounds, SEED, options.data, cheats={}, mode=mode)
    scene.write(samples)
    if mode == "robust":
        _train_alike(scene, samples)
    run = play_market(scene, console)
    done = Played(run, spent(scene.logs))
    wiped(folder)
    return done


def _train_alike(scene: Scene, samples: int) -> None:
    """Have the written scene's robust task train with the batches of one whose trainings are replayed."""
    alike = make_scene(
        scene.folder / "alike", scene.rounds, scene.seed, scene.data, cheats={}, mode="recompute"
    )
    alike.write(samples)
    file = scene.folder / "task.yaml"
    workload = yaml.safe_load((alike.folder / "task.yaml").read_text())["workload"]
    file.write_text(
        yaml.safe_dump(yaml.safe_load(file.read_text()) | {"workload": workload}, sort_keys=False)
    )


def _record(runs: Sequence[Played]) -> dict[str, object]:
    later = [phases for one in runs for phases in one.run.phases[1:]]
    names = {name for phases in later for name in phases}
    training = median(one.spent.training for one in runs)
    replaying = median(one.spent.replaying for one in runs)
    return {
        "phases": {name: median(phases.get(name, 0.0) for phases in later) for name in names},
        "round": median(seconds for one in runs for seconds in one.run.rounds[1:]),
        "miners": runs[0].run.miners,
        "parameters": runs[0].run.parameters,
        "cpu_seconds_training": training,
        "cpu_seconds_replaying": replaying,
        "share": replaying / training if training else 0.0,
        "accuracy": median(one.run.accuracy for one in runs),
        "runs": [asdict(one) for one in runs],
    }
