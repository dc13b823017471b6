"""What a task loses when its peers, orderers, chaincodes and nodes are killed: `python -m benchmarks.outages`.

    python -m benchmarks.outages --on native --kills 100 --seed 1     about 20 minutes
    python -m benchmarks.outages --quick                              three kills on the devnet, short outages

Everybody is honest. One process after the other is killed at random and started again after 1 to 10 s, while four miners and three
verifiers train. Printed are: rounds accepted, and the reason and the outages of each that was not; what honest parties lost of
their stakes; how soon after its peer listened again a node was back. Exit status 1 if somebody lost stake, a round failed without an
outage, or a node was later than 2 s. The seed repeats what is killed and for how long.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from quorumlearn.cli.demo import find_data
from quorumlearn_network.fabric.native import find_executable
from quorumlearn_network.spec import Runtime
from rich.console import Console

from benchmarks.encrypted_aggregation.machine import machine
from benchmarks.outages.campaign import Tally, make_campaign, wiped
from benchmarks.outages.noticing import BrokenError

BACK_SECONDS = 2.0
KILLS, QUICK_KILLS = 100, 3


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.outages",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_KILLS} short outages on the devnet")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--on", choices=("devnet", *Runtime), default="devnet", help="the network to play on")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    console = Console(stderr=True, highlight=False)
    on = None if options.quick or options.on == "devnet" else Runtime(options.on)
    if on is Runtime.NATIVE and not all(map(find_executable, ("peer", "orderer"))):
        console.print(
            "no executables peer and orderer: put Fabric 3.1's on the PATH or name their folder in QUORUMLEARN_FABRIC_BIN"
        )
        return 2
    folder = os.environ.get("QUORUMLEARN_DATA")
    data, samples = find_data(console, Path(folder) if folder else None, download=False)
    campaign = make_campaign(
        options.seed,
        data,
        samples,
        on,
        lambda line: console.print(line, soft_wrap=True),
        quick=options.quick,
    )
    try:
        found = campaign.play(QUICK_KILLS if options.quick else options.kills)
    except BrokenError as error:
        console.print(f"error: {error}", soft_wrap=True)
        return 1
    finally:
        campaign.close()
    failed = faults(found)
    if options.json:
        sys.stdout.write(json.dumps({**asdict(found), "faults": failed, "machine": machine()}) + "\n")
    else:
        sys.stdout.write("\n".join(lines(found)) + "\n")
    for fault in failed:
        console.print(f"error: {fault}", soft_wrap=True)
    if failed:
        console.print(f"the logs are in {campaign.scene.folder}", soft_wrap=True)
        return 1
    wiped(campaign)
    return 0


def faults(found: Tally) -> list[str]:
    """What should not have happened, a sentence each."""
    said = [f"{who} is honest and lost {tokens} tokens" for who, tokens in found.slashed.items()]
    said += [f"round {one.number} ended {one.reason}, which no outage explains" for one in found.unexplained]
    late = [one for one in found.outages if one.back is not None and one.back > BACK_SECONDS]
    return said + [f"the node was back at {one.process} only after {one.back:.1f} s" for one in late]


def lines(found: Tally) -> list[str]:
    """The report for people."""
    kinds = Counter(
        one.process.rstrip("0123456789").partition(".")[0].rstrip("0123456789") for one in found.outages
    )
    accepted = sum(not one.reason for one in found.rounds)
    said = [
        machine(),
        f"killed: {len(found.outages)} ({', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))})",
        f"rounds: {accepted} of {len(found.rounds)} accepted",
    ]
    said += [
        f"  round {one.number}: {one.reason}; down in it: {', '.join(one.outages) or 'nothing'}"
        for one in found.rounds
        if one.reason
    ]
    said.append(
        f"stake lost: {', '.join(f'{who} {tokens}' for who, tokens in found.slashed.items()) or 'none'}"
    )
    said += [f"  {one}" for one in found.misconduct]
    back = [one.back for one in found.outages if one.back is not None]
    if back:
        said.append(
            f"nodes back after their peer listened: median {statistics.median(back):.2f} s, "
            f"at most {max(back):.2f} s, of {len(back)}"
        )
    return said


if __name__ == "__main__":
    sys.exit(main())
