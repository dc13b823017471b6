"""An organisation removes of its own what no task needs any more, and nothing before the time for challenges is over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.pruning import LEAST_AGE_SECONDS, needed, prune
from quorumlearn_proto.task_pb2 import TaskStatus

from tests.chaincode.contracts.ledger_stub import identity
from tests.chaincode.contracts.market_actors import OWNER, TASK, Play, sha, spec

NEXT = "digits-2"
WINDOW = 3600


class OnPeer:
    """A contract on the in-memory peer, for the owner."""

    def __init__(self, play: Play) -> None:
        self._play = play

    def evaluate(self, function: str, *args: str) -> bytes:
        return self._play.peer.evaluate(identity(OWNER), function, *args)

    def submit(self, function: str, *args: str) -> bytes:
        raise AssertionError(function)


@pytest.fixture
def play() -> Play:
    """One task has ended, another is under way."""
    made = Play()
    made.start(spec(rounds=1, challenge_window_seconds=WINDOW))
    made.whole_round()
    assert made.state().status == TaskStatus.COMPLETED
    made.publish(spec(task_id=NEXT, rounds=1))
    return made


def now(play: Play) -> float:
    return play.peer.clock_ms / 1000


def test_what_a_task_names_is_needed_until_no_block_of_it_can_be_challenged(play: Play) -> None:
    market = Market(OnPeer(play))
    submissions = list(market.submissions(TASK, 1))
    updates = {one.manifest.update.digest for one in submissions}
    models = {play.block(1).core.model.digest}
    assert updates | models | {sha("sketch 1"), sha("opening 1")} <= needed(market, now(play))
    later = needed(market, now(play) + WINDOW + 1)
    assert not updates & later
    assert models <= later, "the last model of a task stays"
    assert spec(task_id=NEXT).initial_model.digest in later
    play.send(OWNER, "blocks:Challenge", TASK, "1", "it forgets the sevens")
    assert updates <= needed(market, now(play) + WINDOW + 1), "while it is judged"


def test_only_what_is_old_and_ones_own_is_removed(play: Play, tmp_path: Path) -> None:
    own, other = (ArtifactStore(str(tmp_path), organisation=name, create=True) for name in ("AMSP", "BMSP"))
    (head, useless), fresh = (own.put(one) for one in (b"head", b"useless")), own.put(b"fresh")
    theirs = other.put(b"theirs")
    (tmp_path / "AMSP" / "notes.txt").write_text("not an artifact")
    at = now(play)
    for path in tmp_path.rglob("*/??/*"):
        age = 60 if path.name == fresh.digest else LEAST_AGE_SECONDS + 60
        os.utime(path, (at - age, at - age))
    assert own.prune({head.digest}, at - LEAST_AGE_SECONDS) == [useless.digest]
    assert [own.has(one) for one in (head, useless, fresh, theirs)] == [True, False, True, True]
    assert prune(Market(OnPeer(play)), own, at) == [head.digest]
    assert (tmp_path / "AMSP" / "notes.txt").exists()
