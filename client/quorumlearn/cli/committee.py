"""`quorumlearn committee`: a task's seats and who misbehaved on them; take a seat or leave one."""

from __future__ import annotations

from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict
from quorumlearn_network.spec import Role
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from quorumlearn.cli.access import DEFAULT_FOLDER, As, Folder, account_named, open_market
from quorumlearn.cli.signing import Signer, signer
from quorumlearn.cli.terminal import EXIT_CODES, AsJson, print_json, print_table, print_text

app = typer.Typer(no_args_is_help=True, help="See a task's committee and its misconduct; join it, leave it.")

TaskId = Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")]


@app.command(epilog=f"Example: quorumlearn committee show mnist-1.  {EXIT_CODES}")
def show(task: TaskId, folder: Folder = DEFAULT_FOLDER, who: As = "", as_json: AsJson = False) -> None:
    """Who holds which seat with what stake, which seats are free, and every fault that the ledger has recorded."""
    with open_market(folder, who) as market:
        view = market.view(task)
        faults = list(market.misconducts(task))
        stakes = {seat.seat: market.stake(task, seat.verifier).amount for seat in view.seats}
    committee = view.task.spec.committee
    if as_json:
        print_json(
            {
                "task": task,
                "threshold": committee.threshold,
                "seats": [
                    {
                        "seat": seat.seat,
                        "verifier": seat.verifier,
                        "stake": stakes[seat.seat],
                        "leaves_after": seat.leaves_after,
                    }
                    for seat in view.seats
                ],
                "free_seats": list(view.free_seats),
                "reserves": list(committee.reserve_msp_ids),
                "misconducts": [MessageToDict(one, preserving_proto_field_name=True) for one in faults],
            }
        )
        return
    held = {seat.seat: seat for seat in view.seats}
    rows = []
    for number, msp_id in enumerate(committee.msp_ids, 1):
        seat = held.get(number)
        rows.append(
            (
                number,
                msp_id,
                seat.verifier if seat else "",
                stakes.get(number, ""),
                _state(seat, number in view.free_seats),
            )
        )
    print_text(f"{task}: any {committee.threshold} of {len(committee.msp_ids)} seats decrypt and decide")
    print_table(("seat", "organisation", "held by", "stake", ""), rows)
    if committee.reserve_msp_ids:
        print_text(f"in reserve: {', '.join(committee.reserve_msp_ids)}")
    print_text("")
    if not faults:
        print_text("no misconduct")
        return
    print_table(
        ("round", "attempt", "step", "seat", "verifier", "fault", "slashed", "said by seats", "why"),
        [
            (
                one.round,
                one.attempt or "",
                one.step,
                one.seat,
                one.verifier,
                b.Fault.Name(one.fault),
                one.slashed,
                ", ".join(map(str, one.accusers)) or "the ledger",
                one.detail,
            )
            for one in faults
        ],
    )


@app.command(epilog=f"Example: quorumlearn committee join mnist-1 --as verifier4/verifier.  {EXIT_CODES}")
def join(task: TaskId, folder: Folder = DEFAULT_FOLDER, who: Signer = "", as_json: AsJson = False) -> None:
    """Take a free seat of a task's committee and lock the stake; the node of --as then acts from the next key ceremony on.

    A node joins by itself the first time it can. This is for one that had a seat before.
    """
    who = signer(folder, who, Role.VERIFIER)
    with open_market(folder, who) as market:
        market.join_committee(task)
        seat = next(one for one in market.view(task).seats if one.verifier == account_named(folder, who))
    if as_json:
        print_json({"task": task, "seat": seat.seat, "verifier": seat.verifier})
    else:
        print_text(f"{seat.verifier} has seat {seat.seat} of {task}")


@app.command(epilog=f"Example: quorumlearn committee leave mnist-1 --as verifier2/verifier.  {EXIT_CODES}")
def leave(task: TaskId, folder: Folder = DEFAULT_FOLDER, who: Signer = "", as_json: AsJson = False) -> None:
    """Leave a task's committee: at once before it runs, else after the last round whose key ceremony is open.

    Until then the node of --as has to go on; it stops by itself, the stake comes back, and the seat is free.
    """
    who = signer(folder, who, Role.VERIFIER)
    with open_market(folder, who) as market:
        market.leave_committee(task)
        held = [one for one in market.view(task).seats if one.verifier == account_named(folder, who)]
    last = held[0].leaves_after if held else 0
    if as_json:
        print_json({"task": task, "last_round": last})
    elif last:
        print_text(
            f"seat {held[0].seat} of {task} is left after round {last}; keep its node running until then"
        )
    else:
        print_text(f"the seat of {task} is free")


def _state(seat: t.Seat | None, free: bool) -> str:
    if seat is None:
        return "free" if free else ""
    if free:
        return "free: its stake covers no slash"
    return f"leaves after round {seat.leaves_after}" if seat.leaves_after else ""
