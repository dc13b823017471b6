"""`quorumlearn attack NAME`: the demo's market with two miners who attack it in this way, and what came of it.

The last miner of each organisation attacks, each from a node of its own; where an attack watches others, it watches those of its
organisation. What makes sense only where training is replayed is played in such a task, and any other attack with --useful-work.
Caught is a round in which an attacker's weight was zero because of what it did, and not for want of room. A
backdoor's success is measured on the last model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Annotated

import typer
from quorumlearn_network.processes import undisturbed
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.derived import conserved
from quorumlearn_proto.page_pb2 import TaskSummary
from rich.console import Console

from quorumlearn.analysis import MinerReport, TaskReport, collect, shown_score
from quorumlearn.cli.access import DigitsFolder, open_market
from quorumlearn.cli.demo import ARule, check_no_rule, cleaned, end, find_data, play
from quorumlearn.cli.processes import Nodes
from quorumlearn.cli.scene import CHEATS, Mode, Scene, make_scene
from quorumlearn.cli.terminal import AsJson, Exit, Failure, print_json, print_table, print_text
from quorumlearn.extras import require

ATTACKS = {
    "noise": "Gaussian noise in place of an update",
    "free-rider": "the last public step again, with noise: no training",
    "zero": "nothing but zeros: a free rider",
    "sign-flip": "its own update, turned round",
    "scaling": "its own update, ten times as long",
    "label-flip": "trains on labels turned round",
    "backdoor": "trains a trigger: images with a mark get a label of its choice",
    "copy": "a neighbour's update",
    "mimic": "a neighbour's update, with a little noise, so that it is no copy",
    "alie": "a little is enough: the others' mean less 1.5 deviations",
    "inner-product": "the others' mean, turned round",
    "adaptive": "searches what the task's rule still lets pass on sketches",
    "replay-plaintext": "its first update again, encrypted anew",
    "replay-ciphertext": "its first ciphertext again",
    "replay-rerandomised": "its first ciphertext again, re-randomised",
    "skipper": "where training is replayed: leaves out a tenth of its segments",
    "other-seed": "the same: draws its batches from a seed of its own",
    "other-rate": "the same: trains at half of the task's learning rate",
    "other-data": "the same: trains on half of its samples, each twice",
    "thief": "the same: a neighbour's trace and update; elsewhere a copy",
    "no-trace": "the same: trains and reveals, and opens nothing of it",
    "withhold": "commits, and never reveals",
    "malformed": "bytes that are no ciphertext",
    "overflow": "a ciphertext of values far over the bound",
}
OF_REPLAYS = ("skipper", "other-seed", "other-rate", "other-data", "thief", "no-trace")
"""Attacks that are honest miners, or known by another name, where nothing is replayed."""
COSTLY = {
    *(
        "WITHHELD",
        "MISSING_ARTIFACT",
        "MALFORMED",
        "OUT_OF_RANGE",
        "FALSE_CLAIM",
        "DUPLICATE",
        "NOTHING_NEW",
        "OUTLIER",
        "NO_TRACE",
        "WRONG_WORK",
        "UNCONFIRMED",
    ),
}
NEIGHBOURS = ("miner1,miner2,miner3", "miner3")


def attack(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The attack; see --list. A node's own form will do, as scaling:4 or copy:miner1.",
        ),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Only list the attacks.")] = False,
    folder: Annotated[
        Path, typer.Option(help="Where to play it; an earlier demo there is wiped.", metavar="FOLDER")
    ] = Path("quorumlearn-attack"),
    data: DigitsFolder = None,
    download: Annotated[bool, typer.Option(help="Download MNIST if it is nowhere on this machine.")] = True,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds of training.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same blocks.")] = 7,
    rule: ARule = None,
    useful_work: Annotated[
        bool,
        typer.Option(
            "--useful-work", help="In a task whose trainings are replayed; see quorumlearn demo --help."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Play the demo with two of its eight miners attacking in this way: were they caught, and what did it cost?"""
    if listed:
        _list(as_json)
        return
    if name is None:
        raise Failure("name an attack, as `quorumlearn attack alie`; --list shows them", Exit.USAGE)
    behaviour = behaviour_of(name)
    mode = mode_of(behaviour, rule, useful_work=useful_work)
    require("torch", "playing an attack")
    console = Console(stderr=as_json, highlight=False)
    found, samples = find_data(console, data, download)
    scene = make_scene(
        cleaned(folder), rounds, seed, found, cheats=dict.fromkeys(CHEATS, behaviour), rule=rule, mode=mode
    )
    scene.write(samples)
    with Nodes(scene.folder) as nodes:
        try:
            play(console, scene, nodes)
            with open_market(scene.network, "owner/owner") as market:
                report = collect(market, scene.task)
                totals = market.totals()
                ended = market.task(scene.task)
        finally:
            with undisturbed():
                end(console, scene, nodes, keep=False)
    attackers = [one for one in report.miners if scene.behaviour(one.miner) != "honest"]
    others = [one for one in report.miners if one not in attackers]
    backdoor = backdoor_success(scene, behaviour, ended)
    whole = conserved(totals)
    if as_json:
        fields = _fields(behaviour, report, attackers, others)
        print_json({**fields, "backdoor_success": backdoor, "conserved": whole})
    else:
        _print(behaviour, report, attackers, others)
        if backdoor is not None:
            print_text(f"the backdoor: {100 * backdoor:.2f} % of marked test images get its label")
    if ended.state.status != t.COMPLETED or not whole:
        raise Failure(
            f"the task ended {t.TaskStatus.Name(ended.state.status)}; the logs are in {scene.folder / 'logs'}",
            Exit.FAILED,
        )


def behaviour_of(name: str) -> str:
    """The behaviour of a node's file that `name` asks for, with whom to watch if it says nothing of it; Failure if there is
    none."""
    from quorumlearn.attacks import BehaviourError, make_behaviour

    for text in (name, *(f"{name}:{users}" for users in NEIGHBOURS)):
        try:
            behaviour = make_behaviour(text)
        except BehaviourError:
            continue
        if behaviour.name != "honest":
            return text
    raise Failure(f"there is no attack {name!r}; quorumlearn attack --list shows them", Exit.USAGE)


def mode_of(behaviour: str, rule: str | None, *, useful_work: bool) -> Mode:
    """The mode of the task in which it is played. Failure if a rule is asked for where none tells cheats apart."""
    if not useful_work and behaviour.partition(":")[0] not in OF_REPLAYS:
        return "robust"
    check_no_rule(rule, f"{behaviour} is played")
    return "recompute"


def backdoor_success(scene: Scene, behaviour: str, ended: TaskSummary) -> float | None:
    """The part of marked test images of other classes to which the last model gives the attackers' label; None for an attack that
    plants no trigger. An untouched model gives it to as many as look like that digit anyway, the mark notwithstanding."""
    from quorumlearn.artifacts import ArtifactStore
    from quorumlearn.attacks import backdoor_test, make_behaviour
    from quorumlearn.learning import Part, Samples, merge, split
    from quorumlearn.nodes.models import load_public, workload_of

    planted = make_behaviour(behaviour)
    if planted.name != "backdoor":
        return None
    spec = ended.task.spec
    workload = workload_of(spec)
    test = workload.load(None if scene.data is None else str(scene.data), Part("test"))
    assert isinstance(test, Samples)
    private = split(workload.initial_model(spec.seed), spec.workload.public_blocks)[1]
    store = ArtifactStore(str(scene.folder / "artifacts"))
    model = merge(load_public(store, spec, ended.state.head.model), private)
    marked = backdoor_test(test.inputs, test.targets, int(planted.strength or 0))
    return round(workload.evaluate(model, Samples(*marked)).value, 4)


def caught(miner: MinerReport) -> int:
    """In how many rounds it was caught: its weight was zero, and so it was unpaid, for a reason that is a cheat's."""
    return sum(verdict in COSTLY for verdict in miner.verdicts)


def all_attacks() -> dict[str, str]:
    """What each attack's miner does, those of other packages last."""
    from quorumlearn.attacks import plugged, plugins

    found = dict(ATTACKS)
    for name, place in sorted(plugged().items()):
        definition = plugins.definition(name)
        if name not in found and definition is not None:
            found[name] = f"{definition.about} ({place})"
    return found


def _list(as_json: bool) -> None:
    if as_json:
        print_json({"attacks": all_attacks()})
    else:
        print_table(("attack", "what its miner sends or does"), list(all_attacks().items()))


def _fields(
    behaviour: str, report: TaskReport, attackers: Sequence[MinerReport], others: Sequence[MinerReport]
) -> dict[str, object]:
    return {
        "attack": behaviour,
        "caught": all(caught(one) for one in attackers),
        "attackers": [
            {
                "id": one.miner,
                "verdicts": list(one.verdicts),
                "weights": list(one.weights),
                "rounds_caught": caught(one),
                "rounds_contributing": sum(weight > 0 for weight in one.weights),
                "slashed": one.slashed,
                "paid": one.paid,
            }
            for one in attackers
        ],
        "honest": {
            "rounds_rejected": sum(caught(one) for one in others),
            "slashed": sum(one.slashed for one in others),
            "mean_paid": round(mean(one.paid for one in others), 1),
        },
        "outcomes": list(report.outcomes),
        "metric": report.metric,
        "score": report.scores[-1] if report.scores else None,
    }


def _print(
    behaviour: str, report: TaskReport, attackers: Sequence[MinerReport], others: Sequence[MinerReport]
) -> None:
    rounds = len(report.outcomes)
    paid = mean(one.paid for one in others)
    print_text("")
    print_text(f"attack: {behaviour}", style="bold")
    for one in attackers:
        contributing = sum(weight > 0 for weight in one.weights)
        print_text(
            f"{one.miner} was caught in {caught(one)} of {rounds} rounds ({', '.join(one.verdicts)}) and contributed in {contributing}: "
            f"slashed {one.slashed}, paid {one.paid}; an honest miner was paid {paid:.0f} on average"
        )
    wrongly = sum(caught(one) for one in others)
    print_text(f"the {len(others)} honest miners: {wrongly} wrongly rejected in {rounds} rounds")
    accepted = sum(outcome == "ACCEPTED" for outcome in report.outcomes)
    score = report.scores[-1] if report.scores else None
    ending = (
        ""
        if score is None
        else f", {report.metric} {shown_score(report.metric, score)} on the verifiers' test sets"
    )
    print_text(f"the model: {accepted} of {rounds} rounds accepted{ending}")
