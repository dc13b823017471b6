"""What the ledger costs: `python -m benchmarks.ledger`.

    python -m benchmarks.ledger --quick --json           batch timeout 20 ms; 1 and 8 clients
    python -m benchmarks.ledger                          every cell, on every network that this machine can run
    python -m benchmarks.ledger --on native --timeouts 20 --clients 64

The devnet runs everywhere; `native` where Fabric's executables peer and orderer are (on the PATH or in the folder
QUORUMLEARN_FABRIC_BIN), `containers` only when asked for. What cannot run is said, and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from quorumlearn_network.errors import NetworkError
from quorumlearn_network.fabric.native import find_executable
from quorumlearn_network.spec import Runtime
from rich.console import Console
from rich.table import Table

from benchmarks.ledger.cells import BURST, MOST, RoundTime, Submissions, burst, submissions, whole_round
from benchmarks.ledger.empty_market import raised

NETWORKS = ("devnet", *Runtime)
TIMEOUTS, CLIENTS = (10, 20, 50, 100), (1, 2, 4, 8, 16, 32, 64)
QUICK_TIMEOUTS, QUICK_CLIENTS = (20,), (1, 8)
GOALS = "goals on real Fabric: a round under 300 ms, 140 submissions a second, no conflict among 100 at once"


@dataclass(frozen=True)
class Cell:
    """One network at one batch timeout."""

    network: str
    timeout_ms: int
    submissions: tuple[Submissions, ...]
    burst: Submissions
    round: RoundTime


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ledger",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one batch timeout, two numbers of clients")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--on", help=f"comma-separated, of {', '.join(NETWORKS)}")
    parser.add_argument("--timeouts", help="batch timeouts in ms, comma-separated, in place of all")
    parser.add_argument("--clients", help=f"comma-separated, in place of all; at most {MOST}")
    options = parser.parse_args()
    console = Console(stderr=True, highlight=False)
    try:
        wanted = _networks(options.on, console)
        timeouts = _numbers(options.timeouts, QUICK_TIMEOUTS if options.quick else TIMEOUTS)
        clients = _numbers(options.clients, QUICK_CLIENTS if options.quick else CLIENTS)
        if not all(1 <= number <= MOST for number in clients):
            raise ValueError(f"--clients {options.clients}: each is 1 to {MOST}")
    except ValueError as error:
        parser.error(str(error))
    cells = list(_measured(wanted, timeouts, clients, console))
    if options.json:
        sys.stdout.write(
            json.dumps({"cores": os.cpu_count(), "cells": [asdict(one) for one in cells]}) + "\n"
        )
    else:
        _print(cells)
    return 0


def _networks(text: str | None, console: Console) -> tuple[str, ...]:
    if text:
        names = tuple(text.split(","))
        for name in names:
            if name not in NETWORKS:
                raise ValueError(f"--on {name}: of {', '.join(NETWORKS)}")
        return names
    if all(find_executable(name) is not None for name in ("peer", "orderer")):
        return ("devnet", Runtime.NATIVE)
    console.print("real Fabric is left out: no executables peer and orderer here", soft_wrap=True)
    return ("devnet",)


def _measured(
    networks: tuple[str, ...], timeouts: tuple[int, ...], clients: tuple[int, ...], console: Console
) -> Iterator[Cell]:
    for name in networks:
        for timeout_ms in timeouts:
            runtime = None if name == "devnet" else Runtime(name)
            console.print(f"{name}, batch timeout {timeout_ms} ms", soft_wrap=True)
            try:
                with raised(runtime, timeout_ms, MOST if max(clients) > 25 else BURST, _quiet) as ledger:
                    whole_round(ledger)  # the first of each kind warms every peer up
                    yield Cell(
                        name,
                        timeout_ms,
                        tuple(submissions(ledger, number) for number in clients),
                        burst(ledger),
                        whole_round(ledger),
                    )
            except NetworkError as error:
                console.print(f"{name} is left out: {error}", style="yellow", soft_wrap=True)
                break


def _print(cells: list[Cell]) -> None:
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for column in ("network", "batch timeout", "clients", "p50", "p95", "submissions/s", "not valid"):
        table.add_column(column, justify="left" if column == "network" else "right")
    for cell in cells:
        for one in (*cell.submissions, cell.burst):
            table.add_row(
                cell.network,
                f"{cell.timeout_ms} ms",
                f"{one.clients}{' at once' if one is cell.burst else ''}",
                f"{one.p50_ms:.0f} ms",
                f"{one.p95_ms:.0f} ms",
                f"{one.per_second:.0f}",
                str(one.count - one.codes.get("VALID", 0)),
            )
    console.print(table)
    console.print()
    table = Table(box=None, pad_edge=False)
    for column in (
        "network",
        "batch timeout",
        *(cells[0].round.phases_ms if cells else ()),
        "round",
        "by timestamps",
    ):
        table.add_column(column, justify="left" if column == "network" else "right")
    for cell in cells:
        times = [f"{value:.0f}" for value in cell.round.phases_ms.values()]
        table.add_row(
            cell.network,
            f"{cell.timeout_ms} ms",
            *times,
            f"{cell.round.total_ms:.0f} ms",
            f"{cell.round.ledger_ms:.0f} ms",
        )
    console.print(table)
    console.print(
        f"\n{os.cpu_count()} cores for clients, peers, orderers and chaincode together; {GOALS}",
        soft_wrap=True,
    )


def _numbers(text: str | None, otherwise: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",")) if text else otherwise


def _quiet(_: str) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
