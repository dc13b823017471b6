"""Who stays away or loses its store holds up nobody for longer than a deadline, and only pays for what is its fault."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from quorumlearn.artifacts import ArtifactStore, Purpose, StoreFull
from quorumlearn.nodes.organisation import Organisation
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import ArtifactRef

from tests.scenarios.stage import PATIENCE, SEATS, NodeThread, Stage, assert_settled, at, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
VERIFIERS = [f"{seat}/verifier" for seat in SEATS]
WITHOUT = {away: f"without-seat-{away}" for away in (1, 2, 3)}


def seats_of(stage: Stage, task: str) -> list[list[int]]:
    return [list(one.seats) for one in stage.market().rounds(task)]


def outcomes(stage: Stage, task: str) -> list[int]:
    return [one.outcome for one in stage.market().rounds(task)]


@pytest.fixture(scope="module")
def played_without(stage: Stage) -> dict[int, b.TaskView]:
    """By the seat that is away, the end of a task; the three wait side by side for a seat that does not come."""
    files = stage.node_files("without-seat-*", MINERS)
    for away, seat in enumerate(SEATS, 1):
        node = yaml.safe_load(files[seat].read_text())
        node["identities"][0]["tasks"] = [task for other, task in WITHOUT.items() if other != away]
        files[seat].write_text(yaml.safe_dump(node))
    with running(*(NodeThread(file) for file in files.values())) as nodes:
        for task in WITHOUT.values():
            stage.publish(task, rounds=1, timeouts={"join": 30})
        return {away: stage.played(task, nodes) for away, task in WITHOUT.items()}


@pytest.mark.parametrize("away", WITHOUT)
def test_any_two_of_three_verifiers_finish_a_task(
    stage: Stage, played_without: dict[int, b.TaskView], away: int
) -> None:
    task, present = WITHOUT[away], [seat for index, seat in enumerate(SEATS, 1) if index != away]
    assert played_without[away].state.status == t.COMPLETED
    assert outcomes(stage, task) == [b.ACCEPTED]
    assert seats_of(stage, task) == [[seat for seat in WITHOUT if seat != away]]
    assert_settled(stage, task, [*MINERS, *(f"{seat}/verifier" for seat in present)])


def test_a_verifier_that_goes_once_the_key_is_made_is_unpaid_and_keeps_its_stake_for_a_round(
    stage: Stage,
) -> None:
    task = "seat-2-goes"
    files = stage.node_files(task, MINERS)
    leaving = NodeThread(files.pop(SEATS[1]))
    with running(*(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(task, timeouts={"key": 15, "beacon": 15})
        stage.wait(task, at(1, b.COMMIT), [*nodes, leaving])
        leaving.end()
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    assert outcomes(stage, task) == [b.ACCEPTED] * 2
    assert seats_of(stage, task) == [[1, 3]] * 2
    assert_settled(stage, task, [*MINERS, *VERIFIERS])


def test_a_miner_that_stays_away_is_absent_and_one_that_hides_its_update_is_unpaid(stage: Stage) -> None:
    task = "two-miners-idle"
    absent, hiding = "miners2/miner2", "miners2/miner3"
    with running(*(NodeThread(file) for file in stage.node_files(task, MINERS).values())) as nodes:
        stage.publish(
            task,
            rounds=1,
            miners={"minimum": 3, "maximum": 5, "byzantine": 0},
            timeouts={"commit": 15, "reveal": 10},
        )
        for who in (absent, hiding):
            stage.market(who).join(task)
        stage.wait(task, at(1, b.COMMIT), nodes)
        stage.market(hiding).commit(task, 1, "ab" * 32)
        view = stage.played(task, nodes)
    assert outcomes(stage, task) == [b.ACCEPTED]
    reasons = {one.miner: one.reason for one in view.round.selection.verdicts}
    assert reasons == {
        **{stage.name(who): b.CONTRIBUTES for who in MINERS},
        stage.name(absent): b.ABSENT,
        stage.name(hiding): b.WITHHELD,
    }
    assert_settled(stage, task, [*MINERS, *VERIFIERS, absent, hiding])


@contextlib.contextmanager
def until_retrying(stage: Stage, words: str) -> Iterator[None]:
    """Do the block; then wait until some node has said that it tries again for this reason."""
    log = stage.folder / "nodes.log"
    seen = log.stat().st_size
    yield
    deadline = time.monotonic() + PATIENCE
    while not any("will try again" in line and words in line for line in _lines(log, seen)):
        assert time.monotonic() < deadline, f"nobody says {words!r}"
        time.sleep(0.05)


def _lines(log: Path, start: int) -> list[str]:
    with log.open() as file:
        file.seek(start)
        return file.readlines()


def test_a_store_that_is_gone_in_mid_round_is_waited_for(stage: Stage) -> None:
    task = "store-gone"
    away = stage.folder / "artifacts-away"
    with running(*(NodeThread(file) for file in stage.node_files(task, MINERS).values())) as nodes:
        stage.publish(task)
        stage.wait(task, at(1, b.COMMIT), nodes)
        try:
            with until_retrying(stage, "cannot be reached"):
                stage.store_folder.rename(away)
        finally:
            away.rename(stage.store_folder)
        stage.played(task, nodes)
    assert outcomes(stage, task) == [b.ACCEPTED] * 2
    assert_settled(stage, task, [*MINERS, *VERIFIERS])


def test_a_store_that_never_comes_back_ends_the_round_by_its_deadline_and_refunds(stage: Stage) -> None:
    task = "store-lost"
    away = stage.folder / "artifacts-away"
    with running(
        *(NodeThread(file) for file in stage.node_files(task, MINERS, owner=False).values())
    ) as nodes:
        stage.publish(task, rounds=1, timeouts={"commit": 10, "reveal": 10})
        stage.wait(task, at(1, b.COMMIT), nodes)
        stage.store_folder.rename(away)
        try:
            view = stage.played(task, nodes)
        finally:
            away.rename(stage.store_folder)
    assert view.state.status == t.COMPLETED
    assert outcomes(stage, task) == [b.ABORTED]
    assert stage.market().escrow(task).refunded == 1000
    assert_settled(stage, task, [*MINERS, *VERIFIERS])


class CrampedStore(ArtifactStore):
    """A store that has no room while `marker` exists: what a full disk does to every put."""

    def __init__(self, url: str, marker: Path) -> None:
        super().__init__(url)
        self._marker = marker

    def put(self, data: bytes, purpose: Purpose | None = None) -> ArtifactRef:
        if self._marker.exists():
            raise StoreFull("no room for the artifact; make room and try again")
        return super().put(data, purpose)


class CrampedOrganisation(Organisation):
    def __init__(self, config: object) -> None:
        super().__init__(config)  # type: ignore[arg-type]
        self.store = CrampedStore(self.config.store.url, self.config.state.parent / "full")


def test_a_store_that_is_full_in_mid_round_is_waited_for(stage: Stage) -> None:
    task = "store-full"
    files = stage.node_files(task, MINERS)
    full = stage.folder / "state" / "full"
    with running(*(NodeThread(file, CrampedOrganisation) for file in files.values())) as nodes:
        stage.publish(task)
        stage.wait(task, at(1, b.COMMIT), nodes)
        try:
            with until_retrying(stage, "no room"):
                full.touch()
        finally:
            full.unlink()
        stage.played(task, nodes)
    assert outcomes(stage, task) == [b.ACCEPTED] * 2
    assert_settled(stage, task, [*MINERS, *VERIFIERS])


def test_a_gateway_that_goes_in_mid_round_is_waited_for(stage: Stage) -> None:
    task = "gateway-gone"
    with running(*(NodeThread(file) for file in stage.node_files(task, MINERS).values())) as nodes:
        stage.publish(task)
        stage.wait(task, at(1, b.REVEAL), nodes)
        try:
            with until_retrying(stage, "no peer answers"):
                stage.kill("devnet")
        finally:
            stage.up()
        stage.played(task, nodes)
    assert outcomes(stage, task) == [b.ACCEPTED] * 2
    assert_settled(stage, task, [*MINERS, *VERIFIERS])
