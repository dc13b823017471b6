"""How long a worker waits before it tries a step again."""

from __future__ import annotations

import time

from quorumlearn.nodes.worker import FIRST_PAUSE, LONGEST_PAUSE, pause_before
from quorumlearn_proto import block_pb2 as b


def in_seconds(seconds: float) -> int:
    return int((time.time() + seconds) * 1000)


def test_pauses_are_cut_short_before_a_deadline_and_not_after_it() -> None:
    assert pause_before(None, LONGEST_PAUSE) == LONGEST_PAUSE
    assert pause_before(b.TaskView(), LONGEST_PAUSE) == LONGEST_PAUSE
    near = b.TaskView(ceremonies=[b.Ceremony(deadline_ms=in_seconds(4))])
    assert FIRST_PAUSE <= pause_before(near, LONGEST_PAUSE) <= 2
    assert pause_before(near, FIRST_PAUSE) == FIRST_PAUSE
    near.round.deadline_ms = in_seconds(-10)
    assert pause_before(near, LONGEST_PAUSE) <= 2
    near.ceremonies[0].deadline_ms = in_seconds(0.1)
    assert pause_before(near, LONGEST_PAUSE) == FIRST_PAUSE
    near.ceremonies[0].deadline_ms = in_seconds(-1)
    assert pause_before(near, LONGEST_PAUSE) == LONGEST_PAUSE
    near.ceremonies[0].deadline_ms = in_seconds(3600)
    assert pause_before(near, LONGEST_PAUSE) == LONGEST_PAUSE
