"""What it saves that a miner keeps chunks from round to round: computed by the draws of a task's rounds, as the contracts make them.

Of the chunks that the beacon draws for a round a miner is given first what it had in the round before (quorumlearn_proto.recompute).
What it has had lies on its disk (nodes.work.chunkcache), if that is large enough, and is not fetched again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from quorumlearn_proto.block_pb2 import Round
from quorumlearn_proto.recompute import chunks_before, teams
from quorumlearn_proto.task_pb2 import Recompute


@dataclass(frozen=True)
class Locality:
    """The share of all assigned chunks that their miner had on its disk, 0 to 1: as rounds are drawn, and if lots alone decided."""

    drawn: float
    by_lot: float


def simulated(miners: int, chunks: int, a_miner: int, rounds: int, plays: int = 20) -> Locality:
    """Of tasks with so many miners, each of its own organisation and in every round, that are assigned `a_miner` of so many chunks."""
    asked = Recompute(chunks=chunks, chunks_per_miner=a_miner, replicas=1)
    names = [f"Miner{number}MSP/miner" for number in range(miners)]
    shares = [
        [_share(asked, names, rounds, f"{play}", keeps=keeps) for play in range(plays)]
        for keeps in (True, False)
    ]
    drawn, by_lot = (sum(one) / plays for one in shares)
    return Locality(drawn, by_lot)


def _share(asked: Recompute, names: list[str], rounds: int, play: str, *, keeps: bool) -> float:
    before: Round | None = None
    on_disk: dict[str, set[int]] = {name: set() for name in names}
    assigned = found = 0
    for number in range(1, rounds + 1):
        beacon = hashlib.sha256(f"{play}/{number}".encode()).hexdigest()
        now = Round(teams=teams(asked, beacon, names, chunks_before(before) if keeps else {}))
        for team in now.teams:
            for miner in team.miners:
                assigned += len(team.chunks)
                found += len(on_disk[miner] & set(team.chunks))
                on_disk[miner] |= set(team.chunks)
        before = now
    return found / assigned
