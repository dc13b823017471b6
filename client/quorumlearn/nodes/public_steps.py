"""How a task's public model moved in its last accepted blocks: what everybody knows, and may send again in place of work.

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
from quorumlearn.nodes.models import load_public

MOST = 3
"""So many steps are looked at. Each takes one of the sketch's k dimensions from what honest updates show."""


def public_steps(
    store: ArtifactStore, spec: TaskSpec, base: Head, block: Callable[[int], b.Block], most: int = MOST
) -> list[NDArray[np.int64]]:
    """The last `most` steps, newest first, in grid steps (d,). `block` gives the task's block of a height.

    ArtifactError while one of the models is not in the store.
    """
    if base.height == 0:
        return []
    parameters = parameters_of(spec)
    models = [load_public(store, spec, ref) for ref in islice(_models(base, block), most + 1)]
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
