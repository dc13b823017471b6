"""Rules against attacks, without the chain: `python -m benchmarks.robustness`.

    python -m benchmarks.robustness --quick --json                 a small matrix, some 15 s
    python -m benchmarks.robustness --data FOLDER --results r.jsonl --picture r.png --tables r.md
    python -m benchmarks.robustness --rules nnm+multi-krum,flower-multi-krum --attacks none,alie --seeds 1,2,3

Stopped, and started again with the same --results, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path

from quorumlearn import robust
from quorumlearn.attacks import BehaviourError
from rich.console import Console

from benchmarks.robustness.cells import EXACT, attack_of
from benchmarks.robustness.matrix import cells_of, run
from benchmarks.robustness.peers import PEERS
from benchmarks.robustness.report import detection, draw, lines_of, markdown, print_tables
from benchmarks.robustness.world import DIVISIONS, Setting, notice

RULES = (
    "mean",
    "multi-krum",
    "multi-krum@exact",
    "l-nearest",
    "norm-clipping",
    "centred-clipping",
    "geometric-median",
    "trust-scores",
    "clustering",
    "agreement",
    "nnm+multi-krum",
    "nnm+geometric-median",
    "bucketing+centred-clipping",
    *PEERS,
)
ATTACKS = (
    "none",
    "noise",
    "zero",
    "sign-flip",
    "scaling",
    "alie",
    "inner-product",
    "mimic",
    "label-flip",
    "backdoor",
    "copy",
    "replay-plaintext",
    "adaptive",
)
QUICK_RULES = ("mean", "multi-krum", "agreement", "flower-multi-krum")
QUICK_ATTACKS = ("none", "noise", "alie")
QUICK_DIVISIONS = ("iid", "dirichlet")
QUICK = Setting(miners=10, byzantine=2, rounds=2, samples=64, head_start=300, tests=500)


def main(arguments: list[str] | None = None) -> int:
    """Play the cells asked for, print what came out; 2 for what cannot be played."""
    chosen = _parser().parse_args(arguments)
    console = Console(stderr=chosen.json)
    quick = chosen.quick
    setting = QUICK if quick else Setting()
    asked = {
        name: getattr(chosen, name)
        for name in ("miners", "byzantine", "rounds", "samples", "tests", "sketch_size", "data", "least")
    }
    setting = replace(setting, **{name: value for name, value in asked.items() if value is not None})
    rules = _listed(chosen.rules) or (QUICK_RULES if quick else RULES)
    attacks = _listed(chosen.attacks) or (QUICK_ATTACKS if quick else ATTACKS)
    divisions = _listed(chosen.divisions) or (QUICK_DIVISIONS if quick else DIVISIONS)
    seeds = [int(seed) for seed in _listed(chosen.seeds) or (("1",) if quick else ("1", "2", "3", "4", "5"))]
    problem = _problem(rules, attacks, divisions, setting)
    if problem is not None:
        console.print(f"error: {problem}")
        return 2
    told = notice(setting)
    if told is not None:
        console.print(told)
    progress = Console(stderr=True)
    results = run(
        cells_of(rules, attacks, divisions, seeds),
        setting,
        workers=chosen.workers or (1 if quick else os.cpu_count() or 1),
        path=chosen.results,
        done=lambda finished, of: progress.print(f"{finished} of {of} cells"),
    )
    if chosen.json:
        record = {
            "setting": asdict(setting),
            "notice": told,
            "lines": [asdict(line) for line in lines_of(results)],
            "detection": detection(results),
        }
        sys.stdout.write(json.dumps(record) + "\n")
    else:
        print_tables(results, console)
    if chosen.picture is not None:
        draw(results, chosen.picture)
    if chosen.tables is not None:
        chosen.tables.write_text(markdown(results))
    return 0


def _problem(
    rules: tuple[str, ...], attacks: tuple[str, ...], divisions: tuple[str, ...], setting: Setting
) -> str | None:
    try:
        for rule in rules:
            if rule not in PEERS:
                robust.weight_room(rule.removesuffix(EXACT), setting.miners)
        for attack in attacks:
            if attack != "none":
                attack_of(attack)
    except (robust.RuleError, BehaviourError) as error:
        return str(error)
    unknown = [division for division in divisions if division not in DIVISIONS]
    if unknown:
        return f"no division {unknown[0]!r}; there are {', '.join(DIVISIONS)}"
    if not 0 <= setting.byzantine < setting.miners / 2:
        return f"{setting.byzantine} attackers among {setting.miners} miners; fewer than half may be"
    return None


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.robustness", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="a small matrix, one seed")
    parser.add_argument("--json", action="store_true", help="one record on standard output")
    parser.add_argument("--rules", help="separated by commas; default: all")
    parser.add_argument("--attacks", help="separated by commas; default: all")
    parser.add_argument("--divisions", help=f"of {','.join(DIVISIONS)}")
    parser.add_argument("--seeds", help="separated by commas; default: 1,2,3,4,5")
    parser.add_argument("--miners", type=int)
    parser.add_argument("--byzantine", type=int, help="attackers among them, and the f that rules assume")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--samples", type=int, help="of one miner, on average")
    parser.add_argument("--tests", type=int, help="test samples")
    parser.add_argument("--sketch-size", type=int, help="k")
    parser.add_argument(
        "--least", type=int, help="miners of each weight; attackers + 2, as the contracts ask, if left out"
    )
    parser.add_argument(
        "--data", help="folder with MNIST's four files; without it see quorumlearn.learning.load"
    )
    parser.add_argument(
        "--results", type=Path, help="outcomes, a line each; read first, so that a run resumes"
    )
    parser.add_argument("--picture", type=Path, help="draw to this file (png, svg or pdf)")
    parser.add_argument("--tables", type=Path, help="write the tables to this file (Markdown)")
    parser.add_argument(
        "--workers",
        type=int,
        help="processes; default: one for each processor, one for --quick, whose cells share much",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
