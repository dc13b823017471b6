"""`quorumlearn analyse`: what a task's rules are worth, computed before or after it is published."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated

import typer
from quorumlearn_chaincode.contracts.arguments import is_task_id
from quorumlearn_proto.task_pb2 import TaskSpec, VerificationMode

from quorumlearn.analysis import (
    Costs,
    Economics,
    Gain,
    audit_report,
    draw_audit,
    draw_gains,
    draw_of,
    economics_of,
    usual_costs,
)
from quorumlearn.analysis.audits import LAST_CHECK
from quorumlearn.cli.access import DEFAULT_FOLDER, As, Folder, open_market
from quorumlearn.cli.account import check_place
from quorumlearn.cli.audit_work import print_audit
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


@dataclass(frozen=True)
class _Asked:
    """What is asked of an audit; None for what the task says."""

    segments: int | None
    drawn: int | None
    replayers: int | None
    league: int | None
    replay: float | None
    last: float | None


@app.command(
    epilog="Example: quorumlearn analyse economics task.yaml --training 20.  "
    "Example: quorumlearn analyse economics mnist-1 --picture gains.png.  "
    f"Example: quorumlearn analyse economics task.yaml --audit --rounds 10 --drawn 5.  {EXIT_CODES}"
)
def economics(
    task: Annotated[str, typer.Argument(metavar="FILE|TASK", help="A task's file, or a task's id.")],
    training: Annotated[
        float | None,
        typer.Option(min=0, help="Tokens that a miner's round costs it; by default a quarter of its pay."),
    ] = None,
    verification: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Tokens that a seat's round costs it, without replays; by default a quarter of its pay.",
        ),
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="As if the task had so many rounds.")] = None,
    reward: Annotated[int | None, typer.Option(min=1, help="As if a round paid so many tokens.")] = None,
    stake: Annotated[int | None, typer.Option(min=0, help="As if a miner staked so many tokens.")] = None,
    slash: Annotated[int | None, typer.Option(min=0, help="As if a miner's slash took so many.")] = None,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit",
            help="What skipped work and skipped replays gain where seats replay a part of each training, and what that costs.",
        ),
    ] = False,
    segments: Annotated[
        int | None,
        typer.Option(min=1, help="With --audit: segments of a training; by default the task's, or 100."),
    ] = None,
    drawn: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --audit: segments of each training that a round draws; by default the task's, or 5.",
        ),
    ] = None,
    replayers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --audit: seats that replay each; by default the committee's threshold.",
        ),
    ] = None,
    league: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="With --audit: seats in league with a cheat; by default one less than the threshold.",
        ),
    ] = None,
    replay: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="With --audit: tokens to replay a segment; by default its part of a training.",
        ),
    ] = None,
    last: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="With --audit: part of a training that a check of its last checkpoint costs; by default 0.001.",
        ),
    ] = None,
    picture: Picture = None,
    folder: Folder = DEFAULT_FOLDER,
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """What each cheat gains beside honest work, in tokens, and which rule decides; docs/economics.md has the sources.

    With --audit: what it gains to skip work, and replays, by how much of it is replayed.
    """
    asked = _Asked(segments, drawn, replayers, league, replay, last)
    if not audit:
        _nothing_of_audits(asked)
    if picture is not None:
        check_place(picture)
    for option, tokens in (("--training", training), ("--verification", verification), ("--replay", replay)):
        if tokens is not None and not math.isfinite(tokens):
            raise Failure(f"{option} is {tokens}: give a number of tokens, such as 20", Exit.USAGE)
    spec = _as_if(_spec_of(task, folder, who), rounds, reward, stake, slash)
    usual = usual_costs(spec)
    costs = Costs(
        usual.training if training is None else training,
        usual.verification if verification is None else verification,
    )
    if audit:
        _audit(spec, costs, asked, picture, as_json)
    else:
        _cheats(spec, costs, picture, as_json)


def _cheats(spec: TaskSpec, costs: Costs, picture: Path | None, as_json: bool) -> None:
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


def _audit(spec: TaskSpec, costs: Costs, asked: _Asked, picture: Path | None, as_json: bool) -> None:
    try:
        draw = draw_of(
            spec,
            segments=asked.segments,
            drawn=asked.drawn,
            replayers=asked.replayers,
            league=asked.league,
        )
    except ValueError as error:
        raise Failure(str(error), Exit.USAGE) from error
    last = LAST_CHECK if asked.last is None else asked.last
    found = audit_report(spec, costs, draw, replay=asked.replay, last=last)
    if picture is not None:
        draw_audit(found, picture)
    if as_json:
        print_json(asdict(found))
    else:
        print_audit(found)


def _nothing_of_audits(asked: _Asked) -> None:
    given = [f"--{field.name}" for field in fields(asked) if getattr(asked, field.name) is not None]
    if given:
        raise Failure(f"{given[0]} is about the audit of work: give --audit too", Exit.USAGE)


def _as_if(
    spec: TaskSpec, rounds: int | None, reward: int | None, stake: int | None, slash: int | None
) -> TaskSpec:
    """The specification with these numbers in the place of its own. WouldBeRefused if the ledger takes no such task."""
    if rounds is reward is stake is slash is None:
        return spec
    from quorumlearn.api.publishing import check_as_ledger

    changed = TaskSpec()
    changed.CopyFrom(spec)
    if rounds is not None:
        changed.rounds = rounds
    if reward is not None:
        changed.reward.per_round = reward
    if stake is not None:
        changed.stakes.miner = stake
    if slash is not None:
        changed.stakes.miner_slash = slash
    check_as_ledger(changed)
    return changed


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
