"""`quorumlearn task list` and `task show`: what the ledger says of tasks, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.gate import metric_of
from quorumlearn_proto.recompute import most_steps, recomputes, replays, segments_of

from quorumlearn.analysis import WrongWork, outcome_of, pooled, shown_score, why_round, why_task, wrong_work
from quorumlearn.cli.access import DEFAULT_FOLDER, As, Folder, open_market
from quorumlearn.cli.terminal import AsJson, print_json, print_table, print_text
from quorumlearn.nodes.market import Market

TaskId = Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")]


def list_tasks(folder: Folder = DEFAULT_FOLDER, who: As = "", as_json: AsJson = False) -> None:
    """All tasks on the ledger."""
    with open_market(folder, who) as market:
        found = list(market.tasks())
    if as_json:
        print_json({"tasks": [_dict(one) for one in found]})
        return
    rows = [
        (
            one.task.spec.task_id,
            t.TaskStatus.Name(one.state.status),
            f"{one.state.round}/{one.task.spec.rounds}",
            one.state.head.height,
            one.task.spec.reward.per_round,
            one.task.owner,
            one.task.spec.title,
        )
        for one in found
    ]
    print_table(("task", "status", "round", "blocks", "reward a round", "owner", "title"), rows)


def show(task: TaskId, folder: Folder = DEFAULT_FOLDER, who: As = "", as_json: AsJson = False) -> None:
    """One task: its rules, where it stands, its blocks, why rounds failed, and whose work was found wrong where."""
    from quorumlearn.nodes.guarantee import round_lacks, task_lacks

    with open_market(folder, who) as market:
        view = market.view(task)
        blocks = list(market.blocks(task))
        rounds = list(market.rounds(task))
        wrong = _wrong_work(market, view.task.spec, rounds)
    spec = view.task.spec
    lacks = task_lacks(spec)
    weak = {one.number: why for one in rounds if (why := round_lacks(spec, one.selection))}
    if as_json:
        print_json(
            {
                "task": _dict(view.task),
                "state": _dict(view.state),
                "rounds": [
                    {
                        "round": one.number,
                        "outcome": outcome_of(one),
                        "reason": one.reason,
                        "weak": weak.get(one.number, ""),
                    }
                    for one in rounds
                ],
                **({"wrong_work": [asdict(one) for one in wrong]} if recomputes(spec) else {}),
                "warnings": [lacks] if lacks else [],
                "blocks": [_dict(one) for one in blocks],
            }
        )
        return
    print_text(f"{task}  {t.TaskStatus.Name(view.state.status)}  {spec.title}")
    for name, value in (_facts(view) | ({"warning": lacks} if lacks else {})).items():
        print_text(f"  {name:<10} {value}")
    print_text("")
    _print_blocks(blocks, metric_of(spec))
    _print_failed(rounds, weak)
    for found in wrong:
        print_text(f"round {found.round}, {found.miner} WRONG_WORK: {found.sentence}", style="magenta")


def _wrong_work(market: Market, spec: t.TaskSpec, rounds: Sequence[b.Round]) -> list[WrongWork]:
    """Whose training of these rounds was found wrong."""
    found: list[WrongWork] = []
    for one in rounds:
        if any(verdict.reason == b.WRONG_WORK for verdict in one.selection.verdicts):
            found += wrong_work(spec, market.round_view(spec.task_id, one.number))
    return found


def _facts(view: b.TaskView) -> dict[str, str]:
    """What is said of the task, a line each."""
    spec, state = view.task.spec, view.state
    under_way = f", in {b.Phase.Name(view.round.phase)}" if state.round else ""
    reserves = ", ".join(spec.committee.reserve_msp_ids)
    facts = {
        "owner": view.task.owner,
        "workload": f"{spec.workload.name}, public: {', '.join(spec.workload.public_blocks)}",
        "scored by": _gate(spec),
        "rounds": f"{state.round} of {spec.rounds}{under_way}",
        "miners": f"{len(view.miners)} joined; {spec.min_miners} to {spec.max_miners}, {spec.byzantine} may cheat",
        "work": _work(spec),
        "rule": spec.rule.name + (f"; updates of {_classes(spec)}" if spec.sample_classes else ""),
        "committee": f"any {spec.committee.threshold} of {', '.join(spec.committee.msp_ids)}"
        + (f"; in reserve: {reserves}" if reserves else ""),
        "reward": f"{spec.reward.per_round} a round: {spec.reward.miners_bp / 100:g} % miners"
        f"{' by contribution' if spec.reward.by_contribution else ''}, "
        f"{spec.reward.verifiers_bp / 100:g} % verifiers, {spec.reward.proposer_bp / 100:g} % proposer",
    }
    return facts | ({"ended": why_task(state.reason)} if state.reason else {})


def _work(spec: t.TaskSpec) -> str:
    """Who trains on what, and how it is told who has trained."""
    if not recomputes(spec):
        return "not replayed: miners train on data of their own"
    asked = spec.recompute
    data = f"{asked.chunks_per_miner} of {asked.chunks} chunks of {asked.chunk_samples} samples a miner{', sealed' if asked.sealed else ''}"
    paid = "; paid by steps" if asked.pay_by_steps else ""
    if not replays(spec):
        return f"{data}; {asked.replicas} miners of a team confirm each other{paid}"
    segments = segments_of(spec, most_steps(spec))
    drawn = f"{min(asked.segments, segments)} of {segments} segments of a training are replayed, each by {spec.committee.threshold} seats"
    return f"{data}; {drawn}; {t.Exactness.Name(asked.exactness).lower()}{paid}"


def _classes(spec: t.TaskSpec) -> str:
    """How often updates count in the aggregate, by the data that their miners say to have."""
    least = (f"{count} samples {times} times" for times, count in enumerate(spec.sample_classes, 2))
    return f"{', '.join(least)}, and pay as for one"


def _gate(spec: t.TaskSpec) -> str:
    """The metric, and how much worse it may become in a round."""
    of = (
        f" of the last block's {metric_of(spec)}, where less is better"
        if spec.workload.lower_is_better
        else ""
    )
    return f"{metric_of(spec)}; a block may be worse by {spec.tolerance_bp / 100:g} %{of}, and by chance"


def _print_blocks(blocks: Sequence[b.Block], metric: str) -> None:
    rows = [
        (
            one.core.height,
            one.digest[:12],
            one.core.round,
            b.BlockStatus.Name(one.status),
            sum(verdict.weight > 0 for verdict in one.core.verdicts),
            "" if (score := pooled(one.ballots)) is None else shown_score(metric, score),
            one.core.proposer,
        )
        for one in blocks
    ]
    print_table(("block", "digest", "round", "status", "contributors", metric, "proposer"), rows)


def _print_failed(rounds: Sequence[b.Round], weak: Mapping[int, str]) -> None:
    """Why rounds failed, and which ones had no guarantee."""
    for one in rounds:
        if one.reason:
            print_text(f"round {one.number} was {outcome_of(one).lower()}: {why_round(one)}")
        if one.number in weak:
            print_text(f"round {one.number}: {weak[one.number]}", style="yellow")


def _dict(message: object) -> dict[str, object]:
    fields: dict[str, object] = MessageToDict(message, preserving_proto_field_name=True)  # type: ignore[arg-type]
    return fields
