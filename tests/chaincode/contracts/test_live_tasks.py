"""An organisation of owners has a bounded number of tasks under way, and no task's end waits for it to publish."""

from __future__ import annotations

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_chaincode.contracts.specification import MAX_LIVE_TASKS
from quorumlearn_proto.block_pb2 import BallotReason, Phase
from quorumlearn_proto.task_pb2 import TaskStatus

from tests.chaincode.contracts.ledger_stub import identity
from tests.chaincode.contracts.market_actors import FUNDS, OWNER, TREASURY, Play, js, spec

ANOTHER = f"{OWNER}-2"


def small(number: int) -> tuple[str, str]:
    return "tasks:Publish", js(spec(task_id=f"task-{number}", rounds=1))


def test_tasks_under_way_are_bounded_for_an_organisation_and_free_a_place_when_they_end() -> None:
    play = Play()
    play.send(TREASURY, "rewards:Mint", ANOTHER, str(FUNDS))
    for number in range(MAX_LIVE_TASKS):
        play.send((OWNER, ANOTHER)[number % 2], *small(number))
    for owner in (OWNER, ANOTHER):
        with pytest.raises(Refusal, match=f"{MAX_LIVE_TASKS} tasks") as refused:
            play.send(owner, *small(99))
        assert refused.value.code == Code.TOO_MANY_TASKS
    play.send(ANOTHER, "tasks:Cancel", "task-7")
    play.send(OWNER, *small(100))
    with pytest.raises(Refusal):
        play.send(OWNER, *small(101))


def test_an_owner_that_publishes_meanwhile_holds_up_no_end_of_a_task() -> None:
    play = Play()
    play.start(spec(rounds=1))
    play.to(Phase.VALIDATE)
    *others, last = play.round().seats
    play.vote(dict.fromkeys(others, BallotReason.GOOD))
    play.cast(last, play.ballot())
    ending = play.peer.endorse(identity(play.seats[last]), *play.shown_words([*others, last]))
    play.send(OWNER, *small(1))
    play.peer.commit(ending)
    assert play.state().status == TaskStatus.COMPLETED
