"""Which tasks a node takes up: of those that ended while it was away it erases what is secret, and judges what is challenged; of those
under way it plays so many at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from quorumlearn.gateway import EvaluateError, Network
from quorumlearn.learning import LearningError
from quorumlearn.nodes import run
from quorumlearn.nodes.config import IdentityConfig, NodeConfig
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.organisation import Organisation
from quorumlearn.nodes.run import Node
from quorumlearn_proto.task_pb2 import TaskStatus
from structlog.testing import capture_logs

from tests.chaincode.contracts.ledger_stub import identity
from tests.chaincode.contracts.market_actors import OWNER, TASK, Play, spec

MSP = "V1MSP"
NEXT = "digits-2"


Asked = list[str]
"""The functions that a node has called, in their order, with the task where it is about one."""


class OnPeer:
    """A contract on the in-memory peer, for one identity. Whatever is asked is told before it is answered."""

    def __init__(self, play: Play, who: str, told: Callable[[Asked], None]) -> None:
        self.peer, self.client, self.told = play.peer, identity(who), told
        self.asked: Asked = []

    def evaluate(self, function: str, *args: str) -> bytes:
        self.asked.append(f"{function} {args[0]}")
        self.told(self.asked)
        return self.peer.evaluate(self.client, function, *args)

    def submit(self, function: str, *args: str) -> bytes:
        raise AssertionError(function)


class NoEvents:
    """What is left of a channel whose peer sends none."""

    def chain_info(self) -> None:
        raise EvaluateError("this peer sends no events", unreachable=True)


class OfOnePeer(Organisation):
    """An organisation whose one identity, a verifier, is on the in-memory peer."""

    def __init__(self, folder: Path, play: Play, told: Callable[[Asked], None], live_tasks: int = 16) -> None:
        (folder / "store").mkdir(parents=True, exist_ok=True)
        super().__init__(
            NodeConfig(
                organisation=folder,
                store=(folder / "store").as_uri(),
                state=folder / "state",
                compute_slots=1,
                workers=0,
                live_tasks=live_tasks,
                identities=(IdentityConfig(user="vera", role="verifier"),),
            )
        )
        self.on_peer = OnPeer(play, self.name("vera"), told)

    def name(self, user: str) -> str:
        return f"{MSP}/{user}"

    def msp_id(self, user: str) -> str:
        return MSP

    def market(self, user: str) -> Market:
        return Market(self.on_peer)

    def network(self, user: str) -> Network:
        return NoEvents()  # type: ignore[return-value]

    def check_accounts(self) -> None:
        """There is one."""

    def settle(self) -> None:
        """There is one ledger."""

    def ready_data(self, _: object) -> None:
        """None is needed."""


class Away:
    """A verifier's state folder, and its node whenever it comes back."""

    def __init__(self, folder: Path, play: Play) -> None:
        self.folder, self.play = folder, play

    def journal(self, task: str) -> Journal:
        return Journal(self.folder / "state" / "vera" / task)

    def comes_back(self, until: Callable[[Asked], bool], live_tasks: int = 16) -> Asked:
        """Run its node until it has asked so much, and not for ever."""
        stop = threading.Event()

        def told(asked: Asked) -> None:
            if until(asked) or listings(asked) == 100:
                stop.set()

        organisation = OfOnePeer(self.folder, self.play, told, live_tasks)
        Node(organisation, stop).run()
        return organisation.on_peer.asked


def listings(asked: Asked) -> int:
    return sum(one.startswith("tasks:List") for one in asked)


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Away:
    """It holds seat 1 of one task, and has been a verifier of another that has not begun."""
    monkeypatch.setattr(run, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(run, "warm_up", lambda *_, **__: None)
    play = Play()
    play.start()
    play.publish(spec(task_id=NEXT))
    node = Away(tmp_path, play)
    for task in (TASK, NEXT):
        node.journal(task).put("seated", b"seated")
        node.journal(task).put("round-1/attempt-1/share", b"secret")
        node.journal(task).put("round-2/sketch-shares", b"secret")
    return node


def played_to_its_end(play: Play) -> None:
    play.whole_round()
    play.whole_round()
    assert play.state().status == TaskStatus.COMPLETED


def test_a_node_that_comes_back_erases_the_secrets_of_a_task_that_has_ended(away: Away) -> None:
    played_to_its_end(away.play)
    asked = away.comes_back(lambda asked: listings(asked) == 3)
    assert away.journal(TASK).names() == ["seated"]
    assert away.journal(NEXT).names() == ["round-1", "round-2", "seated", "specification"]
    assert asked.count(f"blocks:View {TASK}") == 1  # once is enough: nothing of it is challenged


def test_a_node_that_comes_back_goes_on_with_a_task_that_is_challenged(away: Away) -> None:
    """It reads the task again and again, as whoever is to vote on a block does."""
    played_to_its_end(away.play)
    away.play.send(OWNER, "blocks:Challenge", TASK, "2", "it forgets the sevens")
    asked = away.comes_back(lambda asked: asked.count(f"blocks:View {TASK}") == 2)
    assert asked.count(f"blocks:View {TASK}") >= 2
    assert away.journal(TASK).names() == ["seated", "specification"]


def test_a_task_that_the_node_was_never_in_gets_no_journal(away: Away) -> None:
    away.play.publish(spec(task_id="digits-3"))
    away.play.send(OWNER, "tasks:Cancel", "digits-3")
    away.comes_back(lambda asked: listings(asked) == 2)
    assert not (away.folder / "state" / "vera" / "digits-3").exists()


def test_a_node_plays_no_more_tasks_at_the_same_time_than_it_may_and_says_what_it_leaves_out(
    away: Away,
) -> None:
    def looked(asked: Asked) -> bool:
        return listings(asked) >= 5 and any(one.startswith("blocks:View") for one in asked)

    with capture_logs() as logs:
        asked = away.comes_back(looked, live_tasks=1)
    viewed = {one.split()[1] for one in asked if one.startswith("blocks:View")}
    left_out = [one["task"] for one in logs if "leaves a task out" in one["event"]]
    assert len(viewed) == len(left_out) == 1
    assert viewed | set(left_out) == {TASK, NEXT}
    played_to_its_end(away.play)
    asked = away.comes_back(lambda asked: f"blocks:View {NEXT}" in asked, live_tasks=1)
    assert f"blocks:View {NEXT}" in asked


def test_a_node_without_its_data_is_not_ready_until_they_are_there(
    away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are looked for again whenever the tasks are listed."""
    seen: list[list[str]] = []
    tries: list[int] = []

    class Organisation(OfOnePeer):
        def ready_data(self, _: object) -> None:
            tries.append(1)
            if len(tries) < 3:
                raise LearningError("data/mnist is not there")

    node: Node

    def told(asked: Asked) -> None:
        if not seen or seen[-1] != node.readiness.lacks:
            seen.append(node.readiness.lacks)
        if not node.readiness.lacks or listings(asked) == 100:
            node.stop.set()

    monkeypatch.setattr(run, "LONGEST_LOOK_SECONDS", 0.05)
    organisation = Organisation(away.folder, away.play, told, 16)
    node = Node(organisation, threading.Event())
    node.run()
    assert any("data/mnist is not there" in one for lacks in seen for one in lacks)
    assert node.readiness.lacks == []
    assert len(tries) >= 3
