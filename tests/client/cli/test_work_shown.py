"""`quorumlearn task show` says how work is verified, and whose was found wrong at which segment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from quorumlearn.cli import run, task_show
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

from tests.client.replayed_rounds import CLAIMED, RIDER, spec, view


class Ledger:
    """What the command asks of a market whose task has had one round."""

    def __init__(self, mode: t.VerificationMode, more: t.Recompute | None = None) -> None:
        self._view = view(1)
        asked = spec(mode)
        asked.workload.name, asked.committee.msp_ids[:] = "mnist-cnn", ["V1", "V2", "V3"]
        if more is None:
            self._view.round.ClearField("selection")
        else:
            asked.recompute.MergeFrom(t.Recompute(chunk_steps=15, chunks_per_miner=2, exactness=t.PORTABLE))
            asked.recompute.MergeFrom(more)
        self._view.task.spec.CopyFrom(asked)

    def view(self, task: str) -> b.TaskView:
        return self._view

    def round_view(self, task: str, number: int) -> b.TaskView:
        return self._view

    def rounds(self, task: str) -> Iterator[b.Round]:
        yield self._view.round

    def blocks(self, task: str) -> Iterator[b.Block]:
        yield from ()


def shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ledger: Ledger, *options: str
) -> str:
    @contextmanager
    def opened(*_: object) -> Iterator[Ledger]:
        yield ledger

    monkeypatch.setattr(task_show, "open_market", opened)
    assert run(["task", "show", "t", *options]) == 0
    return capsys.readouterr().out


def test_wrong_work_is_told_with_its_segment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(t.RECOMPUTE, t.Recompute(pay_by_steps=True))
    out = shown(monkeypatch, capsys, ledger)
    assert "4 of 10 segments of a training are replayed, each by 2 seats; portable; paid by steps" in out
    assert f"round 1, {RIDER} WRONG_WORK: segment 7 of 10: it claimed the checkpoint {CLAIMED[:12]}" in out
    fields = json.loads(shown(monkeypatch, capsys, ledger, "--json"))
    assert [(one["miner"], one["item"], one["claimed"]) for one in fields["wrong_work"]] == [
        (RIDER, 7, CLAIMED)
    ]


@pytest.mark.parametrize(
    ("ledger", "said"),
    [
        (Ledger(t.ROBUST), "not replayed: miners train on data of their own"),
        (Ledger(t.RECOMPUTE, t.Recompute(sealed=True, replicas=2)), "2 miners of a team confirm each other"),
    ],
    ids=["robust", "replicas"],
)
def test_it_says_how_work_is_verified_or_that_it_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ledger: Ledger, said: str
) -> None:
    assert said in shown(monkeypatch, capsys, ledger)
