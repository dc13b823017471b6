"""A round whose trainings are replayed, as three seats and some miners see it: everything but the ledger and encryption is real."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from quorumlearn import ckks, learning, replay
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.attacks import Behaviour, make_behaviour
from quorumlearn.nodes import sealing
from quorumlearn.nodes.committee import reports
from quorumlearn.nodes.committee.attempt import Attempt
from quorumlearn.nodes.committee.ceremony_part import CeremonyPart
from quorumlearn.nodes.committee.replaying import Replaying
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.models import workload_record
from quorumlearn.nodes.training import Told, Workshop
from quorumlearn.nodes.work import datasets, drawn, opening
from quorumlearn.nodes.work.tracing import Tracer
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import ArtifactRef, Head
from quorumlearn_proto.derived import beacon_commitment, beacon_of
from quorumlearn_proto.recompute import teams

SEATS = (1, 2, 3)
CHUNKS, SAMPLES = 8, 8
SALT = bytes(range(32))
MODULE = """
from quorumlearn.learning import TorchWorkload
from torch import nn

PLAYED = TorchWorkload("played-tiny", lambda: nn.Linear(2, 2))
"""
SIZE = 6


def start_of(seat: int) -> bytes:
    """A seat's part of the start beacon."""
    return bytes([seat]) * 32


@dataclass
class Chunks:
    """Reads a team's chunks from memory."""

    samples_: learning.Samples

    def samples(self, view: b.TaskView, team: b.Team, first: int | None = None) -> learning.Samples:
        rows = [np.arange(chunk * SAMPLES, (chunk + 1) * SAMPLES) for chunk in team.chunks[:first]]
        return self.samples_.take(np.concatenate(rows))

    def have(self, view: b.TaskView, team: b.Team, first: int | None = None) -> bool:
        return True


@dataclass
class PlayedWork:
    """Round 1 of a task; `miners` behave as named and have joined. Nothing is trained yet."""

    folder: Path
    miners: Sequence[str] = ("M/a", "M/b", "N/c")
    segments: int = 2
    sealed: bool = False
    view: b.TaskView = field(default_factory=b.TaskView)
    tracers: dict[str, Tracer] = field(default_factory=dict)
    private: dict[int, bytes] = field(default_factory=dict)
    values: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "played_tiny.py").write_text(MODULE)
        learning.register("played-tiny", "played_tiny:PLAYED", self.folder)
        workload = learning.get_workload("played-tiny", {"batch_size": "4", "learning_rate": "0.1"})
        self.parameters = ckks.Parameters.choose(SIZE, seats=3, threshold=2, sketch_size=64)
        self.store = ArtifactStore(str(self.folder / "store"), create=True)
        self.workshop = Workshop(threading.Semaphore(1), threading.Event())
        random = np.random.default_rng(3)
        inputs = random.normal(size=(CHUNKS * SAMPLES, 2)).astype(np.float32)
        self.chunks = Chunks(learning.Samples(inputs, (inputs[:, 0] > 0).astype(np.int64)))
        spec = t.TaskSpec(
            task_id="task",
            mode=t.RECOMPUTE,
            workload=workload_record(workload, list(workload.blocks)),
            ckks=record_of(self.parameters),
            rule=t.RobustRule(name="mean"),
            committee=t.Committee(msp_ids=["V1", "V2", "V3"], threshold=2),
            recompute=t.Recompute(
                chunks=CHUNKS,
                chunk_samples=SAMPLES,
                chunks_per_miner=2,
                chunk_steps=2,
                segment_steps=1,
                segments=self.segments,
                exactness=t.PORTABLE,
                grid_bits=20,
                replicas=1,
                sealed=self.sealed,
                seats_read=self.sealed,
            ),
        )
        manifest = replay.manifest_of("played-tiny", SAMPLES, self._chunks())
        spec.recompute.data.CopyFrom(datasets.put_manifest(self.store, manifest))
        base = self.store.put(learning.to_bytes(workload.initial_model(1)))
        self.view.task.CopyFrom(t.Task(spec=spec, owner="O/owner"))
        self.view.state.status = t.RUNNING
        now = self.view.round
        now.CopyFrom(
            b.Round(
                task_id="task",
                number=1,
                phase=b.COMMIT,
                miners=sorted(self.miners),
                seats=SEATS,
                base=Head(digest="ba" * 32, model=base),
                start_beacon=beacon_of({seat: start_of(seat).hex() for seat in SEATS}),
            )
        )
        now.teams.extend(teams(spec.recompute, now.start_beacon, now.miners, {}))
        self.view.ceremonies.add(round=1, attempt=1, step=b.KEY_READY, seats=SEATS)
        if self.sealed:
            self.view.grant.round = 1
        for seat in SEATS:
            self.private[seat] = sealing.new_key()
            key = sealing.public_key(self.private[seat])
            self.view.contributions.add(
                round=1,
                attempt=1,
                seat=seat,
                sealing_key=key,
                start=start_of(seat).hex(),
                start_commitment=beacon_commitment(start_of(seat)),
            )

    def _chunks(self) -> list[ArtifactRef]:
        """The references of the chunks, which are in the store."""
        parts = replay.chunks_of(self.chunks.samples_, SAMPLES)
        return [self.store.put(replay.to_bytes(one)) for one in parts]

    def tracer(self, miner: str, behaviour: str = "honest", chunks: int | None = None) -> Tracer:
        """A miner's tracer as its node comes up."""
        made = make_behaviour(behaviour)
        journal = Journal(self.folder / "journals" / miner)
        return Tracer(miner, self.store, journal, self.workshop, self.chunks, made, chunks)

    def commit(self, behaviours: Mapping[str, str] | None = None) -> None:
        """All miners train, or do what they do in its place, and reveal; the beacon is out then."""
        for miner in self.view.round.miners:
            name = (behaviours or {}).get(miner, "honest")
            tracer = self.tracers[miner] = self.tracer(miner, name)
            done = self._done(tracer, make_behaviour(name))
            assert done is not None, f"{miner} sits the round out"
            self.values[miner], told = done
            manifest = b.Manifest(
                task_id="task",
                round=1,
                miner=miner,
                trace_root=told.trace_root,
                steps=told.steps,
                profile=told.profile,
            )
            self.view.submissions.add(task_id="task", round=1, miner=miner, manifest=manifest)
        now = self.view.round
        now.phase, now.beacon = b.TRACE, "be" * 32
        plan = ckks.round_plan(self.parameters, bytes.fromhex(now.beacon))
        for one in self.view.submissions:
            one.claim = ckks.claim(self.parameters, plan, self.values[one.miner], one.miner, SALT).hex()

    def _done(self, tracer: Tracer, behaviour: Behaviour) -> tuple[NDArray[np.int64], Told] | None:
        if behaviour.name == "thief":
            return tracer.steal(self.view, "M/" + behaviour.watches[0])
        if behaviour.trains:
            return tracer.learn(self.view)
        values = np.arange(SIZE, dtype=np.int64) + 1
        told = tracer.forge(self.view, values)
        return None if told is None else (values, told)

    def open(self) -> None:
        """All miners open what is drawn of their traces."""
        for one in self.view.submissions:
            opened = self.tracers[one.miner].open(
                self.view, self.values[one.miner], SALT, one.manifest.trace_root
            )
            assert opened is not None
            data = opening.sealed(self.view, one.miner, opened.SerializeToString(deterministic=True))
            one.opening.CopyFrom(self.store.put(data))
        self.view.round.phase = b.REPLAY

    def seat(self, number: int) -> Replaying:
        """A seat's part as its node comes up."""
        journal = Journal(self.folder / "journals" / f"seat-{number}")
        journal.put("sealing", self.private[number])
        attempt = Attempt(self.parameters, self.store, "task", 1, 1, {})
        return Replaying(
            me=f"V{number}/v",
            spec=self.view.task.spec,
            ceremony=CeremonyPart(attempt, journal, number),
            store=self.store,
            journal=journal,
            reader=self.chunks,
            workshop=self.workshop,
        )

    def report(self, *seats: int, early: bool = True, last: bool = False) -> None:
        """These seats replay what is drawn for them and fix their reports."""
        for seat in seats:
            ref = self.seat(seat).report(self.view, early=early, last=last)
            self.view.screenings.add(seat=seat, verifier=f"V{seat}/v", replays=ref)

    def show(self, *seats: int) -> None:
        """REPLAY has closed: reports are in the store."""
        self.view.round.phase = b.SELECT
        for seat in seats:
            kept = Journal(self.folder / "journals" / f"seat-{seat}").get("replays")
            assert kept is not None
            self.store.put(kept)

    def submission(self, miner: str) -> b.Submission:
        return next(one for one in self.view.submissions if one.miner == miner)

    def items(self, seat: int) -> list[drawn.Item]:
        return reports.of_seat(drawn.items(self.view), seat)
