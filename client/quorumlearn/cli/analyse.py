"""`quorumlearn analyse`: what a task's rules are worth, computed before or after it is published."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from quorumlearn_chaincode.contracts.arguments import is_task_id
from quorumlearn_proto.task_pb2 import TaskSpec, VerificationMode

from quorumlearn.analysis import Costs, Economics, Gain, draw_gains, economics_of, usual_costs
from quorumlearn.cli.access import DEFAULT_FOLDER, As, Folder, open_market
from quorumlearn.cli.account import check_place
from quorumlearn.cli.terminal import (
    EXIT_CODES,
    AsJson,
    Exit,
    Failure,
    Picture,
    print_json,
    print_table,
    print_text,
)

app = typer.Typer(no_args_is_help=True, help="Compute what a task's rules are worth.")


@app.callback()
def _group() -> None:
    pass


@app.command(
    epilog="Example: quorumlearn analyse economics task.yaml --training 20.  "
    f"Example: quorumlearn analyse economics mnist-1 --picture gains.png.  {EXIT_CODES}"
)
def economics(
    task: Annotated[str, typer.Argument(metavar="FILE|TASK", help="A task's file, or a task's id.")],
    training: Annotated[
        float | None,
        typer.Option(min=0, help="Tokens that a miner's round costs it; by default a quarter of its pay."),
    ] = None,
    verification: Annotated[
        float | None,
        typer.Option(min=0, help="Tokens that a seat's round costs it; by default a quarter of its pay."),
    ] = None,
    picture: Picture = None,
    folder: Folder = DEFAULT_FOLDER,
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """What each cheat gains beside honest work, in tokens, and which rule decides; docs/economics.md has the sources."""
    if picture is not None:
        check_place(picture)
    for option, tokens in (("--training", training), ("--verification", verification)):
        if tokens is not None and not math.isfinite(tokens):
            raise Failure(f"{option} is {tokens}: give a number of tokens, such as 20", Exit.USAGE)
    spec = _spec_of(task, folder, who)
    usual = usual_costs(spec)
    costs = Costs(
        usual.training if training is None else training,
        usual.verification if verification is None else verification,
    )
    found = economics_of(spec, costs)
    if picture is not None:
        draw_gains(found, picture)
    if as_json:
        cheats = [asdict(one) | {"gains": one.gains} for one in found.gains]
        print_json(
            {
                "task": found.task,
                "mode": VerificationMode.Name(spec.mode),
                "rounds": found.rounds,
                "costs": asdict(costs),
                "miner_pay": found.miner_pay,
                "seat_pay": found.seat_pay,
                "cheats": cheats,
                "gaining": list(found.gaining),
            }
        )
    else:
        _print(spec, found)


def _spec_of(task: str, folder: Path, who: str) -> TaskSpec:
    """The specification that a file makes, or that the ledger has by this id."""
    if is_task_id(task) and not Path(task).is_file():
        with open_market(folder, who) as market:
            return market.task(task).task.spec
    from quorumlearn import robust
    from quorumlearn.api.publishing import check_as_ledger
    from quorumlearn.artifacts import reference_of
    from quorumlearn.nodes import taskfile

    wanted = taskfile.load(Path(task))
    unmade = reference_of(b"what is neither made nor published here")
    spec = taskfile.spec_of(wanted, unmade, unmade if robust.needs_root(wanted.rule.name) else None)
    check_as_ledger(spec)
    return spec


def _print(spec: TaskSpec, found: Economics) -> None:
    seats = len(spec.committee.msp_ids)
    print_text(
        f"{found.task}: {found.rounds} rounds of {spec.reward.per_round} tokens, mode "
        f"{VerificationMode.Name(spec.mode)}, rule {spec.rule.name}, {spec.max_miners} miners, "
        f"{spec.committee.threshold} of {seats} seats"
    )
    print_text(
        f"a miner is paid {found.miner_pay:.1f} a round, and a training costs {found.costs.training:.1f}"
    )
    print_text(
        f"a seat is paid {found.seat_pay:.1f} a round, and a verification costs {found.costs.verification:.1f}"
    )
    print_text("")
    rows = [
        (one.name, one.place, f"{one.a_round:+.1f}", f"{one.task:+.1f}", _pays_from(one), one.decides)
        for one in found.gains
    ]
    print_table(("cheat", "place", "a round", "the task", "pays from", "decided by"), rows)
    print_text("")
    if not found.gaining:
        print_text("no cheat gains at these costs")
        return
    print_text(f"these gain at these costs: {', '.join(found.gaining)}", style="yellow")
    for one in found.gains:
        if one.gains and one.deterred_by:
            print_text(
                f"  {one.name}: no more, if found and slashed in {100 * one.deterred_by:.0f} % of rounds"
            )


def _pays_from(one: Gain) -> str:
    """The cost of work from which a cheat pays, in parts of the place's pay."""
    if one.pays_from is None:
        return "never"
    return "any cost" if one.pays_from == 0 else f"{100 * one.pays_from:.0f} % of pay"
