"""An organisation removes of its own what no task needs any more, and nothing before the time for challenges is over."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.pruning import LEAST_AGE_SECONDS, needed, prune
from quorumlearn.nodes.work import datakeys, datasets, keygrants
from quorumlearn.nodes.work.granting import renew
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.page_pb2 import TaskSummary
from quorumlearn_proto.task_pb2 import TaskStatus

from tests.chaincode.contracts.ledger_stub import identity
from tests.chaincode.contracts.market_actors import OWNER, TASK, Play, sha, spec
from tests.client.nodes.sealed_data import DataSet

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


def test_the_chunks_of_a_task_under_way_are_needed_and_so_is_a_data_set_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger names lists of chunks only, and of sealed data the grant that names the list."""
    data = DataSet(tmp_path, sealed=True)
    first = datasets.manifest_of_task(data.store, data.spec(), data.ref)
    with datakeys.held(data.keys) as held:
        keys = renew(data.store, held, first, [0])
        datakeys.save(data.keys, keys)
    second = datasets.manifest_of_task(data.store, data.spec(), keys.manifest)
    with datakeys.held(data.keys) as held:
        third = renew(data.store, held, second, [1]).manifest
    view = data.view()
    sealed = keygrants.sealed(view, keys.manifest, {}, {}, {})
    view.grant.CopyFrom(b.Grant(task_id=view.task.spec.task_id, round=1, keys=data.store.put(sealed)))

    class Ledger(Market):
        def tasks(self) -> Iterator[TaskSummary]:
            yield TaskSummary(task=view.task, state=view.state)

        def view(self, task: str) -> b.TaskView:
            return view

    market = Ledger(OnPeer(Play()))
    monkeypatch.setattr("quorumlearn.nodes.pruning.needed", lambda _market, _now: {view.grant.keys.digest})
    later = max(path.stat().st_mtime for path in tmp_path.rglob("*")) + LEAST_AGE_SECONDS + 60
    gone = set(prune(market, data.store, later, [third]))
    assert not gone & {data.ref.digest, keys.manifest.digest, third.digest, view.grant.keys.digest}
    everything = {one.digest for listed in (first, second) for one in listed.chunks} | datasets.listed(
        data.store, third
    )
    assert not gone & everything, (
        "the first list is the specification's, the second the grant's, the third is named"
    )
    only_third = datasets.listed(data.store, third) - {one.digest for one in (*first.chunks, *second.chunks)}
    assert set(prune(market, data.store, later)) == {third.digest, *only_third}
