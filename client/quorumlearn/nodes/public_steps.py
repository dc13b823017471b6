"""How a task's public model moved in its last accepted blocks: what everybody knows, and may send again in place of work.

An update that a task takes late was learned before the last steps, and lies among them though it is work. So a task with `late_rounds`
looks at the steps before those only: there the last ones can be sent again.

The blocks are those that the round's base was built on, newest first; reverted ones are none of them. What is not on the ledger yet
(the base is the initial model, say) gives fewer steps or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.common_pb2 import ArtifactRef, Head
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks, learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.models import load_public, workload_of

MOST = 3
"""So many steps are looked at. Each takes one of the sketch's k dimensions from what honest updates show."""


def known_steps(
    store: ArtifactStore, spec: TaskSpec, base: Head, block: Callable[[int], b.Block]
) -> list[NDArray[np.int64]]:
    """The steps (d,) that every update of a round on this base must have been learned after; see `steps_before`."""
    late = workload_of(spec).config.late_rounds
    return steps_before(store, spec, base, block, slice(late, late + MOST))


def steps_before(
    store: ArtifactStore, spec: TaskSpec, base: Head, block: Callable[[int], b.Block], which: slice
) -> list[NDArray[np.int64]]:
    """Steps to this base, newest first, in grid steps (d,); `which` of them. `block` gives the task's block of a height.

    ArtifactError while one of the models is not in the store.
    """
    if base.height <= which.start:
        return []
    parameters = parameters_of(spec)
    models = [
        load_public(store, spec, ref) for ref in islice(_models(base, block), which.start, which.stop + 1)
    ]
    return [
        ckks.quantise(learning.difference(after, before), parameters) for after, before in pairwise(models)
    ]


def _models(base: Head, block: Callable[[int], b.Block]) -> Iterator[ArtifactRef]:
    """The base's model and those before it. A height that was reverted and built anew is passed over: its digest is another."""
    wanted = base.digest
    for height in range(base.height, -1, -1):
        one = block(height)
        if one.digest == wanted:
            yield one.core.model
            wanted = one.core.previous
