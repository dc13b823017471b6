"""Whether a replay of a segment has one answer: what a portable training comes to must not hang on the last bits of its weights.

Processors agree on gradients but for rounding errors, which the grid takes away (quorumlearn.learning.exact). Where a model stands on an
edge a rounding error decides more: a unit at exactly its threshold passes its gradient on or not. Honest training is not found there but
by a chance that nobody meets. Whoever makes up a checkpoint, or an initial model, can put it there. Then processors differ, and each is
right.

Rules:
- a segment is steady if its gradients on the grid are the same from SHAKES starts whose weights differ by up to ULPS units in their last
  place, drawn from the round's beacon, which was not known when the trace was committed;
- of one that is not nobody can say that the work, or another seat's report, is wrong;
- a training of one numeric profile has no grid: there seats agree to the bit, or have not the same profile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from quorumlearn_proto.block_pb2 import Submission
from quorumlearn_proto.draws import labelled

from quorumlearn.learning import OnStep
from quorumlearn.learning.exact import NearTie, State
from quorumlearn.replay.checking import Watched, opened_segment
from quorumlearn.replay.work import Work

SHAKES = 6
ULPS = 4
_LABEL = b"quorumlearn/shaken/1"


def steady(
    opening: bytes,
    submission: Submission,
    work: Work,
    beacon: bytes,
    *,
    drawn: Sequence[int],
    item: int,
    on_step: OnStep | None = None,
) -> bool:
    """Whether a replay of this item of an opening has one answer; arguments as in `checking.check`. True where it is no matter of
    arithmetic: the last checkpoint, and what cannot be replayed."""
    if item == work.last_item or work.training.profile:
        return True
    found = opened_segment(opening, submission, work, drawn, item)
    if found is None:
        return True
    start, ties = found
    watched = Watched(on_step)
    usual = _receipt(work, start, item, ties, watched)
    label = labelled(_LABEL, submission.miner, item)
    for shake in range(SHAKES):
        key = hashlib.sha256(label + beacon + shake.to_bytes(4, "big")).digest()
        if _receipt(work, shaken(start, key), item, ties, watched) != usual:
            return False
    return True


def shaken(state: State, key: bytes) -> State:
    """The same state, each weight of which is off by -ULPS to ULPS units in its last place. `key`: 32 bytes."""
    drawn = np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "big")))
    weights = {
        name: values * (1 + drawn.integers(-ULPS, ULPS, values.shape, endpoint=True) * 2.0**-52)
        for name, values in sorted(state.weights.items())
    }
    return State(state.step, weights, state.optimiser)


def _receipt(work: Work, start: State, item: int, ties: Sequence[NearTie], watched: Watched) -> bytes:
    """What only a replay shows; empty if it dies, of whatever a user's training dies of."""
    try:
        return work.run(start, item, ties, watched).receipt
    except (Exception, SystemExit) as error:
        if error is watched.raised:
            raise
        return b""
