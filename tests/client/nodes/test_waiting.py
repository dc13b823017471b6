"""A node that waits for longer than a minute says for what, once, and then ever more seldom."""

from __future__ import annotations

from itertools import pairwise

import pytest
from quorumlearn.nodes.waiting import LongWait, place_of, waits_for
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t


def said(place_at: dict[int, str], until: int) -> list[int]:
    """The seconds at which it is time to say something, looked at every 5 s; the place changes at some."""
    now, told = 0, []
    wait = LongWait(clock=lambda: float(now))
    place = ""
    for now in range(0, until, 5):
        place = place_at.get(now, place)
        if wait.due(place) is not None:
            told.append(now)
    return told


def test_a_wait_is_told_at_a_minute_and_then_seldom() -> None:
    assert said({}, 60) == []
    assert said({}, 2000) == [60, 120, 240, 480, 960, 1920]
    day = said({}, 24 * 3600)
    assert len(day) < 35
    assert max(later - earlier for earlier, later in pairwise(day)) <= 3600


def test_what_gets_on_begins_another_wait() -> None:
    assert said({50: "next", 100: "after that"}, 165) == [160]
    assert said({70: "next"}, 200) == [60, 130, 190]


def view_in(phase: b.Phase) -> b.TaskView:
    view = b.TaskView(
        task=t.Task(spec=t.TaskSpec(min_miners=6, max_miners=8)),
        state=t.TaskState(status=t.RUNNING, round=3),
        round=b.Round(number=3, phase=phase, miners=[f"M/{i}" for i in range(6)], seats=[1, 2, 3]),
    )
    view.task.spec.committee.msp_ids.extend(["V1", "V2", "V3"])
    for seat in (1, 2, 3):
        view.seats.add(seat=seat, verifier=f"V{seat}/v")
    return view


def test_it_names_who_has_yet_to_act_and_until_when() -> None:
    view = view_in(b.COMMIT)
    view.round.deadline_ms = 1000 * (12 * 3600 + 34 * 60 + 56)
    assert waits_for(view) == "round 3: Commit of M/0, M/1, M/2, M/3 and 2 more; until 12:34:56 UTC"
    view = view_in(b.SCREEN)
    view.screenings.add(seat=2).sketch_shares.digest = "d"
    view.ceremonies.add(round=4, attempt=1, step=b.KEY_COMMIT, seats=[1, 3])
    assert waits_for(view) == "round 3: PostSketch of V1/v, V3/v; round 4: CommitKey of V1/v, V3/v"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            t.PUBLISHED,
            "the start: 2 miners of 6 to 8 have joined (at most 4 of one organisation count), 3 seats of 3 are taken",
        ),
        (t.COMPLETED, "votes on challenged blocks 4"),
    ],
)
def test_a_task_that_does_not_run_says_what_it_waits_for(status: t.TaskStatus, words: str) -> None:
    view = view_in(b.PHASE_UNSPECIFIED)
    view.state.status = status
    view.miners.extend(["M/a", "M/b"])
    view.challenges.add(height=4)
    assert waits_for(view) == words


def test_a_proposer_that_is_waited_for_is_named() -> None:
    view = view_in(b.PROPOSE)
    view.round.proposers.extend(["M/4", "M/2"])
    before = place_of(view)
    view.round.proposer_turn = 1
    assert waits_for(view) == "round 3: M/2 to propose"
    assert place_of(view) != before
