"""A rival with the store's password removes others' updates the moment they appear, and wins nothing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import NodeThread, Stage, assert_settled, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

TASK = "deleters"
VICTIMS = ("miners1/miner1", "miners1/miner2")
RIVALS = ("miners2/miner1", "miners2/miner2")


@contextlib.contextmanager
def deleting(stage: Stage) -> Iterator[list[str]]:
    """Look every few milliseconds, and remove whatever lies below the victims' name and is no model that they published."""
    stop, gone = threading.Event(), []
    place = stage.store_folder / stage.name(VICTIMS[0]).partition("/")[0]

    def remove() -> None:
        while not stop.wait(0.005):
            for path in place.glob("??/*"):
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
                    gone.append(path.name)

    thread = threading.Thread(target=remove, daemon=True)
    thread.start()
    try:
        yield gone
    finally:
        stop.set()
        thread.join()


def test_who_deletes_rivals_updates_is_paid_no_more_and_harms_nobody(stage: Stage) -> None:
    files = stage.node_files(TASK, dict.fromkeys((*VICTIMS, *RIVALS), "honest"))
    with running(*(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(TASK, rounds=2, miners={"minimum": 4, "maximum": 4, "byzantine": 0}, min_aggregate=2)
        with deleting(stage) as gone:
            view = stage.played(TASK, nodes)
    assert view.state.status == t.COMPLETED
    updates = {
        one.manifest.update.digest
        for round_ in stage.market().rounds(TASK)
        for one in stage.market().submissions(TASK, round_.number)
        if stage.name(VICTIMS[0]).partition("/")[0] in one.miner
    }
    assert updates & set(gone), "nothing was played"
    for round_ in stage.market().rounds(TASK):
        assert round_.outcome == b.ACCEPTED
        assert {one.reason for one in round_.selection.verdicts} == {b.CONTRIBUTES}
        assert len({one.weight for one in round_.selection.verdicts}) == 1
    assert_settled(
        stage,
        TASK,
        [*VICTIMS, *RIVALS, *(f"{one}/verifier" for one in ("verifier1", "verifier2", "verifier3"))],
    )
