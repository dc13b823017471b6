"""python -m examples.hospitals --data FOLDER: heart disease in four hospitals, one of which cheats, in some four minutes."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean, median

import yaml
from quorumlearn.cli.terminal import Exit, Failure, print_table, print_text
from quorumlearn.learning import data_folder

from examples.hospitals.heart import HOSPITALS, NoData, original
from examples.hospitals.market import Played, play_market
from examples.hospitals.ways import MEAN, MINERS_EACH, Outcome, Plan, Scores, Ways
from examples.play import end

HERE = Path(__file__).parent
PRIVATE = {"dp_clip": 1.0, "dp_noise": 2.0, "dp_delta": 0.001}
RULES = (
    *(MEAN, "multi-krum", "nnm+multi-krum", "agreement", "clustering"),
    *("geometric-median", "centred-clipping", "trust-scores"),
)
ATTACKS = ("none", "sign-flip:3", "scaling", "label-flip", "noise", "alie", "inner-product")
SMALL_ROUNDS = 2


def main(
    data: Path | None, folder: Path, seeds: Sequence[int], rounds: int | None, given: argparse.Namespace
) -> None:
    tables = _tables(data)
    task = yaml.safe_load((HERE / "task.yaml").read_text())
    plan = Plan(
        rounds=rounds or (SMALL_ROUNDS if given.small else task["rounds"]),
        settings=task["workload"]["config"],
        cheat="va",
        attack="sign-flip:3",
    )
    if given.rules:
        compare_rules(tables, plan, seeds)
        return
    found: dict[str, list[Scores]] = {}
    paid: Played | None = None
    for seed in seeds:
        for name, scores in plainly(Ways(tables, plan, seed)):
            found.setdefault(name, []).append(scores)
        if given.plain:
            continue
        tasks = {"this market": Ways(tables, plan, seed)}
        if not given.small:
            tasks["this market, private"] = _private(tasks["this market"])
        for name, ways in tasks.items():
            played = play_market(tables, folder, ways)
            found.setdefault(name, []).append(played.scores)
            if not ways.workload.config.private:
                paid = played
    print_text("")
    print_scores(found, plan, seeds)
    epsilon = _private(Ways(tables, plan, seeds[0])).epsilon
    print_text(f"private: epsilon {epsilon:.1f} for whom it protects least, at delta {PRIVATE['dp_delta']}")
    if paid is not None:
        print_text("")
        print_pay(plan, paid)


def plainly(ways: Ways) -> Iterable[tuple[str, Scores]]:
    """The ways without a ledger, by name, with their AUC by hospital."""
    private = _private(ways)
    yield "alone", ways.alone()
    yield "central", ways.central()
    yield "plain averaging, nobody cheats", ways.rounds(MEAN, cheating=False).scores
    yield f"plain averaging, {ways.plan.cheat} cheats", ways.rounds(MEAN).scores
    yield f"plain averaging, private, {ways.plan.cheat} cheats", private.rounds(MEAN).scores


def _private(ways: Ways) -> Ways:
    return replace(ways, plan=replace(ways.plan, settings={**ways.plan.settings, **PRIVATE}))


def compare_rules(tables: Path, plan: Plan, seeds: Sequence[int]) -> None:
    """Print what each rule makes of each attack: AUC of the honest hospitals, and whose updates it took."""
    rows = []
    for attack in ATTACKS:
        for rule in RULES:
            outcomes = [
                Ways(tables, replace(plan, attack="honest" if attack == "none" else attack), seed).rounds(
                    rule, cheating=attack != "none"
                )
                for seed in seeds
            ]
            rows.append(_rule_row(attack, rule, plan, outcomes))
    print_text(
        f"AUC in the mean of the honest hospitals (all but {plan.cheat}), median and least of seeds {_listed(seeds)}; {plan.rounds} "
        f"rounds, {MINERS_EACH} of {MINERS_EACH * len(HOSPITALS)} miners attack",
        style="bold",
    )
    columns = [f"{one} in" for one in HOSPITALS]
    print_table(("attack", "rule", "AUC", "least", *columns), rows)
    print_text("in: how many of the hospital's updates got any weight")


def _rule_row(attack: str, rule: str, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    scores = [_of_honest(one.scores, plan) for one in outcomes]
    kept = [mean(one.kept[hospital] for one in outcomes) for hospital in HOSPITALS]
    return (attack, rule, f"{median(scores):.3f}", f"{min(scores):.3f}", *(f"{one:.0%}" for one in kept))


def print_scores(found: Mapping[str, Sequence[Scores]], plan: Plan, seeds: Sequence[int]) -> None:
    of = f"median of seeds {_listed(seeds)}" if len(seeds) > 1 else f"seed {seeds[0]}"
    print_text(f"AUC on each hospital's held-out patients after {plan.rounds} rounds, {of}", style="bold")
    rows = [
        (
            name,
            *(f"{median(one[hospital] for one in scores):.3f}" for hospital in HOSPITALS),
            f"{median(_of_honest(one, plan) for one in scores):.3f}",
        )
        for name, scores in found.items()
    ]
    print_table(("way", *HOSPITALS, "mean of the honest"), rows)


def print_pay(plan: Plan, played: Played) -> None:
    """Who was paid what by the task without private training."""
    assert played.report is not None
    print_text("Tokens that the task without private training paid", style="bold")
    rows = []
    for hospital in HOSPITALS:
        miners = [one for one in played.report.miners if one.miner.startswith(f"{hospital.capitalize()}MSP/")]
        cheats = " (cheats)" if hospital == plan.cheat else ""
        rows.append((f"{hospital}{cheats}", *(one.paid for one in miners), played.seats[hospital]))
    print_table(("hospital", "miner1", "miner2", "its seat"), rows)


def _of_honest(scores: Scores, plan: Plan) -> float:
    return mean(score for hospital, score in scores.items() if hospital != plan.cheat)


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def _tables(data: Path | None) -> Path:
    """The folder of the four tables. Failure if there is none."""
    data = data or data_folder("heart")
    if data is None:
        raise Failure(
            "no data: name the folder of the four hospitals' tables with --data; the UCI repository has them, "
            "https://doi.org/10.24432/C52P4X",
            Exit.USAGE,
        )
    try:
        for hospital in HOSPITALS:
            original(data, hospital)
    except NoData as error:
        raise Failure(f"no data: {error}", Exit.USAGE) from error
    return data


def _seeds(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m examples.hospitals", description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        help="the folder of the tables; by default `heart` in QUORUMLEARN_DATA, or beside it",
    )
    parser.add_argument("--folder", type=Path, default=Path("example-hospitals"), help="where to play it")
    parser.add_argument(
        "--seeds", type=_seeds, default=[1], help="such as 1,2,3: all of it for each; figures are medians"
    )
    parser.add_argument("--rounds", type=int, help="of training; by default the task's")
    parser.add_argument("--small", action="store_true", help=f"{SMALL_ROUNDS} rounds, to see that it runs")
    parser.add_argument("--plain", action="store_true", help="only the ways without a ledger")
    parser.add_argument("--rules", action="store_true", help="compare robust rules, without a ledger")
    given = parser.parse_args()
    end(partial(main, given.data, given.folder, given.seeds, given.rounds, given))
