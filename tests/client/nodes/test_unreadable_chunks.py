"""A task's owner lists a chunk that is none, or takes one away, and a miner says that it has trained on it. That costs this miner its pay
and no seat its round: it says of this training that it cannot tell, and replays the others."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from quorumlearn import learning
from quorumlearn.artifacts import ArtifactMissing, ArtifactStore, reference_of
from quorumlearn.nodes import exchange
from quorumlearn.nodes.committee import reports
from quorumlearn.nodes.committee.replaying import CannotTell, Replaying
from quorumlearn.nodes.committee.reports import FAILED
from quorumlearn.nodes.drawn import items
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.training import Workshop
from quorumlearn.replay import ChunkError, SealError
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

TASK, MINERS = "chunks-1", ("AMSP/a", "BMSP/b")
SPEC = t.TaskSpec(
    task_id=TASK,
    mode=t.RECOMPUTE,
    committee=t.Committee(msp_ids=["V1MSP", "V2MSP", "V3MSP"], threshold=2),
    recompute=t.Recompute(
        chunks=4,
        chunks_per_miner=2,
        chunk_steps=4,
        segment_steps=2,
        segments=2,
        replicas=1,
        exactness=t.PORTABLE,
    ),
)


@dataclass
class Unreadable:
    """A reader of chunks of which none can be read; `asked` is for whom."""

    error: Exception
    asked: list[str] = field(default_factory=list)

    def samples(self, view: b.TaskView, team: b.Team, first: int | None = None) -> learning.Samples:
        self.asked.extend(team.miners)
        raise self.error


def round_view() -> b.TaskView:
    manifest = b.Manifest(task_id=TASK, round=1, steps=8, trace_root="00" * 32)
    return b.TaskView(
        task=t.Task(spec=SPEC),
        round=b.Round(
            task_id=TASK,
            number=1,
            phase=b.REPLAY,
            miners=MINERS,
            seats=[1, 2, 3],
            beacon="11" * 32,
            teams=[b.Team(miners=[one], chunks=[2 * at, 2 * at + 1]) for at, one in enumerate(MINERS)],
        ),
        ceremonies=[b.Ceremony(task_id=TASK, round=1, seats=[1, 2, 3])],
        submissions=[
            b.Submission(
                task_id=TASK, round=1, miner=one, manifest=manifest, opening=reference_of(one.encode())
            )
            for one in MINERS
        ],
    )


@pytest.mark.parametrize(
    "error",
    [
        ChunkError("of other samples"),
        SealError("altered"),
        ArtifactMissing("gone"),
        exchange.ExchangeError("no keys"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_chunk_that_cannot_be_read_costs_no_seat_its_round(tmp_path: Path, error: Exception) -> None:
    reader, view = Unreadable(error), round_view()
    seat = Replaying(
        me="V1MSP/v",
        spec=SPEC,
        ceremony=cast(Any, SimpleNamespace(seat=1)),
        store=ArtifactStore(str(tmp_path / "store"), organisation="V1MSP", create=True),
        journal=Journal(tmp_path / "journal"),
        reader=reader,
        workshop=Workshop(threading.Semaphore(1), threading.Event()),
    )
    mine = reports.of_seat(items(view), 1)
    with pytest.raises(CannotTell):
        seat.report(view, early=True)
    assert set(reader.asked) == {one.miner for one in mine}
    assert seat.report(view, last=True)
    stored = seat.journal.get("replays")
    assert stored is not None
    said = reports.parsed(stored, mine)
    assert [one.found for one in said.values()] == [FAILED] * len(mine)
