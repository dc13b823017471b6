"""What training and replaying took in processor time, as a demo's nodes have logged it.

Each training and each replay is logged once it is done, with `cpu_seconds`: of the thread that computed it, so what others did meanwhile on
the same processors is not in it. Nodes keep these figures to themselves: no ledger has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from quorumlearn_network.processes import uncoloured

_KINDS = ("trained", "replayed", "settled")
_SPENT = re.compile(rf"\] ({'|'.join(_KINDS)}) .*\bcpu_seconds=(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Spent:
    """Seconds of processor time over all miners' trainings, and over all seats' replays: of what was drawn for them, and of what
    reports left open."""

    training: float
    replaying: float
    settling: float

    @property
    def share(self) -> float:
        """Of replays that were drawn, in parts of training."""
        return self.replaying / self.training if self.training else 0.0


def spent(logs: Iterable[Path]) -> Spent:
    """From nodes' logs in their text form."""
    seconds = dict.fromkeys(_KINDS, 0.0)
    for log in logs:
        for line in log.read_text(errors="replace").splitlines():
            if found := _SPENT.search(uncoloured(line)):
                seconds[found[1]] += float(found[2])
    return Spent(seconds["trained"], seconds["replayed"], seconds["settled"])
