"""How a task's public model moved in its last accepted blocks: what everybody knows, and may send again in place of work.

An update that a task takes late was learned before the last steps, and lies among them though it is work. So a task with `late_rounds`
looks at the steps before those only: there the last ones can be sent again.

The blocks are those that the round's base was built on, newest first; reverted ones are none of them. What is not on the ledger yet
(the base is the initial model, say) gives fewer steps or none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.common_pb2 import Head
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.models import load_public

MOST = 3
"""So many steps are looked at. Each takes one of the sketch's k dimensions from what honest updates show."""


@dataclass
class Chain:
    """One task's blocks; `block` gives the one of a height. What has a digest never changes, so it is asked for once."""

    block: Callable[[int], b.Block]
    _known: dict[str, b.BlockCore] = field(default_factory=dict)

    def back_from(self, base: Head) -> Iterator[b.BlockCore]:
        """The base and the blocks before it. A height that was reverted and built anew is passed over: its digest is another."""
        wanted, height = base.digest, base.height
        while height >= 0:
            if wanted not in self._known:
                one = self.block(height)
                self._known[one.digest] = one.core
            core = self._known.get(wanted)
            if core is not None:
                yield core
                wanted, height = core.previous, core.height
            height -= 1


def late_rounds_of(spec: TaskSpec) -> int:
    """How many rounds late an update may be, as the task's configuration says; who reads it needs no workload."""
    text = spec.workload.config.get("late_rounds", "0")
    return int(text) if re.fullmatch("[0-9]{1,3}", text) else 0


def known_steps(store: ArtifactStore, spec: TaskSpec, base: Head, chain: Chain) -> list[NDArray[np.int64]]:
    """The steps (d,) that every update of a round on this base must have been learned after; see `steps_before`."""
    late = late_rounds_of(spec)
    return steps_before(store, spec, base, chain, slice(late, late + MOST))


def steps_before(
    store: ArtifactStore, spec: TaskSpec, base: Head, chain: Chain, which: slice
) -> list[NDArray[np.int64]]:
    """Steps to this base, newest first, in grid steps (d,); `which` of them.

    ArtifactError while one of the models is not in the store.
    """
    if base.height <= which.start:
        return []
    parameters = parameters_of(spec)
    cores = islice(chain.back_from(base), which.start, which.stop + 1)
    models = [load_public(store, spec, core.model) for core in cores]
    return [
        ckks.quantise(learning.difference(after, before), parameters) for after, before in pairwise(models)
    ]
