"""The audit says how each accepted round of a task that pays by contribution was to be paid, and finds a ledger that paid otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from quorumlearn import ckks
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.audit.checks import Result
from quorumlearn.nodes.audit.records import read
from quorumlearn.nodes.audit.replay import audit
from quorumlearn.nodes.audit.slashes import What
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.market import Market
from quorumlearn_chaincode.contracts import settlement
from quorumlearn_proto.block_pb2 import Phase

from tests.chaincode.contracts.audited import OnPeer, found
from tests.chaincode.contracts.market_actors import TASK, Play
from tests.chaincode.contracts.test_pay_by_contribution import GAIN, at, vote


def said(play: Play, folder: Path) -> list[str]:
    """What the audit says of pay. The actors' artifacts are no artifacts, so of sums and models it can say nothing here."""
    record = read(Market(OnPeer(play.peer)), TASK)
    parameters = ckks.Parameters.named("default", 100, seats=3, threshold=2, max_weight_sum=8)
    record.spec.ckks.CopyFrom(record_of(parameters))
    checks = audit(record, ArtifactStore(str(folder / "store"), create=True))
    told = [one for one in checks if one.what == "pay"]
    assert all(one.result is Result.OK for one in told)
    return [one.detail for one in told]


def test_it_says_by_what_a_round_was_to_be_paid(tmp_path: Path) -> None:
    play = at(Phase.VALIDATE)
    vote(play, {1: 3 * GAIN // 4, 2: GAIN // 2, 3: GAIN})
    play.to(Phase.VALIDATE)
    vote(play, {1: GAIN, 2: GAIN}, unsure=[3])
    assert said(play, tmp_path) == [
        "by contribution, of 2 groups by 3 ballots: 75.0%, 25.0%",
        "by weight: 2 ballots tell contributions, 3 are needed",
    ]


def test_it_says_why_a_round_was_to_be_paid_by_weight(tmp_path: Path) -> None:
    play = at(Phase.SELECT)
    play.select(play.selection(dict.fromkeys(play.round().miners[:5], 1)))
    play.whole_round()
    play.to(Phase.VALIDATE)
    for seat in play.seats:
        ballot = play.ballot()
        ballot.score, ballot.contributions[:] = ballot.base_score, [0, 0]
        play.cast(seat, ballot)
    play.show(1)
    assert said(play, tmp_path) == [
        "by weight: its miners made one group",
        "by weight: by 3 ballots none of 2 groups contributed",
    ]


def test_of_a_task_that_pays_by_weight_it_says_nothing(tmp_path: Path) -> None:
    play = Play()
    play.start()
    play.whole_round()
    assert said(play, tmp_path) == []


@pytest.mark.parametrize("forged", [[], [1, 3]])
def test_contracts_that_pay_otherwise_than_the_ballots_say_are_found(
    monkeypatch: pytest.MonkeyPatch, forged: list[int]
) -> None:
    """By weight, as if no ballot told anything, or in favour of the other group."""
    monkeypatch.setattr(settlement, "group_parts", lambda *_: forged)
    play = at(Phase.VALIDATE)
    vote(play, dict.fromkeys((1, 2, 3), 3 * GAIN // 4))
    wrong = [one for one in found(play.peer, TASK) if one.what is What.PAY]
    assert {one.who for one in wrong} == set(play.miners)
