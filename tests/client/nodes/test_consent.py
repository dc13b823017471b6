"""An identity stakes on a task that keeps the node's terms, and on no more tasks than it can bear the loss of."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from quorumlearn.gateway import EvaluateError
from quorumlearn.nodes.config import IdentityConfig
from quorumlearn.nodes.consent import Consent
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.miner import Miner
from quorumlearn.nodes.terms import Terms
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.reward_pb2 import Stake
from structlog.testing import capture_logs

from tests.client.nodes.seats import WORKLOAD, Ledger, miner_in
from tests.client.nodes.test_joining import some_data
from tests.client.nodes.test_terms import task

MINER = IdentityConfig(user="miner1", role="miner")


class Stakes:
    """A ledger with stakes only, by task."""

    def __init__(self) -> None:
        self.held: dict[str, Stake] = {}

    def evaluate(self, function: str, *args: str) -> bytes:
        assert function == "rewards:Stake"
        if args[0] not in self.held:
            raise EvaluateError("[NO_SUCH_STAKE] none", details=())
        return self.held[args[0]].SerializeToString()

    def submit(self, function: str, *args: str) -> bytes:
        raise AssertionError(function)


class Org:
    """What consent asks of an organisation."""

    def __init__(self, folder: Path, **accept: object) -> None:
        self.config = SimpleNamespace(accept=Terms.model_validate(accept))
        self.journal = Journal(folder)
        self.ledger = Stakes()

    def name(self, user: str) -> str:
        return f"MinersMSP/{user}"

    def market(self, user: str) -> Market:
        return Market(self.ledger)

    def consent(self) -> Consent:
        return Consent(self)  # type: ignore[arg-type]


def named(name: str) -> t.Task:
    made = task()
    made.spec.task_id = name
    return made


def test_an_owner_of_many_tasks_wins_no_more_than_the_risk_that_is_borne(tmp_path: Path) -> None:
    org = Org(tmp_path, largest_risk=350)
    consent = org.consent()
    given = [consent.given(MINER, named(f"task-{number}"), 300) for number in range(6)]
    assert given == [True, True, True, False, False, False]
    assert consent.given(MINER, named("task-0"), 300), "what was given once is not counted again"
    (sentence,) = consent.broken(MINER, named("task-5"), 300)
    assert sentence == (
        "accept.largest_risk is 350: 300 are locked in other tasks or lost, and this one takes 100"
    )


def test_what_was_lost_counts_after_a_restart_too_and_what_came_back_does_not(tmp_path: Path) -> None:
    org = Org(tmp_path, largest_risk=250)
    for name, amount, slashed in (("burnt", 0, 120), ("over", 0, 0), ("running", 60, 40)):
        org.journal.below("miner1").below(name)
        org.ledger.held[name] = Stake(task_id=name, amount=amount, slashed=slashed)
    assert not org.consent().given(MINER, named("new"), 300)
    org.ledger.held["running"] = Stake(task_id="running", amount=0, slashed=0)
    assert org.consent().given(MINER, named("new"), 300)
    org.ledger.held["burnt"] = Stake(task_id="burnt", amount=0, slashed=151)
    assert not org.consent().given(MINER, named("new"), 300)


def test_a_refusal_is_said_once_and_counted(tmp_path: Path) -> None:
    org = Org(tmp_path, largest_stake=99, owners=["Other/*"])
    consent = org.consent()
    with capture_logs() as logs:
        assert [consent.given(MINER, named("dear"), 300) for _ in range(3)] == [False] * 3
    (said,) = [one for one in logs if one["log_level"] == "warning"]
    assert (said["task"], said["identity"]) == ("dear", "MinersMSP/miner1")
    assert [one.split()[0] for one in said["terms"]] == ["accept.owners", "accept.largest_stake"]
    labels = {"task": "dear", "user": "miner1"}
    assert REGISTRY.get_sample_value("quorumlearn_broken_terms", labels) == 2


@pytest.mark.parametrize("accepts", [True, False])
def test_a_miner_joins_and_reads_the_store_only_by_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accepts: bool
) -> None:
    read: list[str] = []
    monkeypatch.setattr("quorumlearn.nodes.miner.check_playable", lambda *_, **__: read.append("store"))
    ledger = Ledger()
    miner: Miner = miner_in(tmp_path, ledger, some_data)
    miner.accepts = lambda _, samples: accepts and samples == 1
    view = b.TaskView(
        task=t.Task(spec=t.TaskSpec(task_id="task", workload=WORKLOAD)), state=t.TaskState(status=t.PUBLISHED)
    )
    assert miner.act(view) is accepts
    assert ledger.taken == ([("tasks:Join", "task")] if accepts else [])
    assert read == (["store"] if accepts else [])


def test_nothing_is_built_or_read_at_a_strangers_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's task may configure a workload however it likes."""
    built: list[object] = []
    monkeypatch.setattr("quorumlearn.nodes.terms.workload_of", built.append)
    org = Org(tmp_path, owners=["Other/*"])
    ledger = Ledger()
    miner = miner_in(tmp_path / "miner", ledger, lambda _: pytest.fail("read the data"))
    miner.welcome = partial(org.consent().welcome, MINER)
    view = b.TaskView(task=named("strange"), state=t.TaskState(status=t.PUBLISHED))
    assert not miner.act(view)
    assert not built and not ledger.taken
    assert org.consent().broken(MINER, named("strange"), 300)
    assert not built
