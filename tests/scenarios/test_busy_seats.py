"""A seat that computes for long misses no deadline but, at most, that of what it computes."""

from __future__ import annotations

import time
from typing import Any

import pytest
from quorumlearn.nodes import screening
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.scenarios.stage import SEATS, NodeThread, Stage, assert_settled, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MINERS = {"miners1/miner1": "honest", "miners1/miner2": "honest", "miners2/miner1": "honest"}
PARTIES = [*MINERS, *(f"{seat}/verifier" for seat in SEATS)]
KEY_SECONDS = 6


def test_a_key_is_made_while_all_seats_screen_for_three_times_its_timeout(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, real = "slow-screens", screening.sketch_submissions

    def slowly(*arguments: Any) -> Any:
        time.sleep(3 * KEY_SECONDS)
        return real(*arguments)

    monkeypatch.setattr(screening, "sketch_submissions", slowly)
    with running(*(NodeThread(file) for file in stage.node_files(task, MINERS).values())) as nodes:
        stage.publish(task, timeouts={"key": KEY_SECONDS})
        view = stage.played(task, nodes)
    assert view.state.status == t.COMPLETED
    market = stage.market()
    assert [one.outcome for one in market.rounds(task)] == [b.ACCEPTED] * 2
    assert list(market.misconducts(task)) == []
    assert {one.attempt for one in market.key_contributions(task, 2)} == {1}
    assert_settled(stage, task, PARTIES)
