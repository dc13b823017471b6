"""An owner and one verifier organisation rewrite a task under honest nodes, again in each phase: it goes on as it was joined."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from quorumlearn.nodes.audit.records import read
from quorumlearn.nodes.audit.slashes import findings
from quorumlearn_network.up import read_network
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION

from tests.keys.forging import Forger, writing
from tests.scenarios.stage import SEATS, NodeThread, Stage, assert_settled, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

TASK, LEAST = "rewritten", 4
MINERS = [f"miners{organisation}/miner{number}" for organisation in (1, 2) for number in (1, 2)]
LEAGUE = ("owner", "verifier1")


def selfish(task: t.Task) -> t.Task:
    """Opens sums of one, and pays miners nothing."""
    other = t.Task()
    other.CopyFrom(task)
    other.spec.min_miners, other.spec.min_aggregate = 1, 1
    other.spec.rule.CopyFrom(t.RobustRule(name="l-nearest", parameters={"nearest": "1"}))
    other.spec.reward.miners_bp, other.spec.reward.verifiers_bp, other.spec.reward.proposer_bp = 0, 10_000, 0
    other.spec_digest = canonical.digest(other.spec)
    return other


@contextmanager
def rewriting(stage: Stage) -> Iterator[dict[b.Phase, str]]:
    """From the league's peers, again in each phase; how each attempt ended."""
    stop, ended = threading.Event(), {}
    endorsers = [stage.spec.organisation(one).msp_id for one in LEAGUE]
    market, task = stage.market(), stage.market().task(TASK).task
    forgery = writing(stage.spec.chaincode.name, f"\x00task\x00{TASK}\x00", canonical.to_json(selfish(task)))
    forger = Forger(read_network(stage.network), stage.network)

    def forge() -> None:
        while not stop.wait(0.02):
            phase = market.view(TASK).round.phase
            if phase not in ended:
                ended[phase] = forger.code(forger.send(forgery, endorsers))

    thread = threading.Thread(target=forge, daemon=True)
    thread.start()
    try:
        yield ended
    finally:
        stop.set()
        thread.join()
        forger.close()


def test_what_an_owner_and_one_verifier_rewrite_nobody_goes_by(stage: Stage) -> None:
    files = stage.node_files(TASK, dict.fromkeys(MINERS, "honest"))
    with running(*(NodeThread(file) for file in files.values())) as nodes:
        stage.publish(
            TASK, miners={"minimum": 4, "maximum": 4, "byzantine": 0}, min_aggregate=LEAST, rounds=2
        )
        with rewriting(stage) as ended:
            view = stage.played(TASK, nodes)
    assert b.COMMIT in ended, "nothing was played"
    assert set(ended.values()) == {"ENDORSEMENT_POLICY_FAILURE"}
    assert view.state.status == t.COMPLETED
    sums = [one for one in stage.market().authorisations(TASK) if one.purpose == AGGREGATE_DECRYPTION]
    assert [len(one.updates) for one in sums] == [len(MINERS)] * 2
    assert_settled(stage, TASK, [*MINERS, *(f"{seat}/verifier" for seat in SEATS)])
    assert findings(read(stage.market(), TASK)) == []
