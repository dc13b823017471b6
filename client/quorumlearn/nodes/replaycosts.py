"""What a task whose training is replayed takes of a node, known before it stakes: steps, replays, data, and whose bytes are as its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import recompute as r
from quorumlearn_proto import task_pb2 as t

from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import steps
from quorumlearn.nodes.work import datasets, exactness
from quorumlearn.nodes.work.drawn import able_seats


@dataclass(frozen=True)
class ReplayCosts:
    """What replay takes in a round, in trainings of one miner on all its chunks: for a seat, and for each miner's training over all
    seats."""

    seat: float
    each: float

    @property
    def sentence(self) -> str:
        return (
            f"each training is replayed to {self.each:.1%} of its steps, over all seats; "
            f"a seat replays {self.seat:.2f} trainings a round"
        )


def replay_costs(spec: t.TaskSpec, miners: int | None = None) -> ReplayCosts | None:
    """Of a round of so many miners, by default as many as may take part; None where nothing is replayed."""
    if not r.replays(spec):
        return None
    seats = len(spec.committee.msp_ids)
    segments = r.segments_of(spec, r.most_steps(spec))
    each = min(spec.recompute.segments, segments) * spec.committee.threshold / segments
    return ReplayCosts(seat=each / seats * (spec.max_miners if miners is None else miners), each=each)


def what_it_takes(store: ArtifactStore, view: b.TaskView) -> Iterator[str]:
    """A sentence each; none of a task that replays nothing. learning.WorkloadError, replay.ChunkError or an ArtifactError if this node
    cannot take part."""
    spec = view.task.spec
    if not r.recomputes(spec):
        return
    asked, profile = spec.recompute, exactness.profile_of(spec)
    yield (
        f"a miner trains {r.most_steps(spec)} steps a round, on {asked.chunks_per_miner} of {asked.chunks} chunks of "
        f"{asked.chunk_samples} samples"
    )
    yield _exactness(view, profile)
    costs = replay_costs(spec)
    yield (
        costs.sentence
        if costs is not None
        else f"no seat reads the data: {asked.replicas} miners of a team confirm each other"
    )
    missing = datasets.missing_chunks(store, spec, view.task.owner)
    where = f"of its chunks {asked.chunks - len(missing)} of {asked.chunks} are in {store.shown}"
    yield f"its data are sealed, and its owner gives keys each round; {where}" if asked.sealed else where


def _exactness(view: b.TaskView, profile: str) -> str:
    spec = view.task.spec
    if spec.recompute.exactness != t.PROFILE:
        return "its training gives the same bytes on every processor, and this node can do it"
    here = f"this node's numeric profile is {profile[:12]}"
    if view.state.status != t.RUNNING or not any(one.round == view.round.number for one in view.ceremonies):
        return f"{here}; which seats share it is known once the task runs, and {spec.committee.threshold} have to"
    able = able_seats(view, profile)
    enough = (
        "so its training can be confirmed"
        if len(able) >= spec.committee.threshold
        else "so nobody could confirm its training"
    )
    parts = steps.contributions(view, view.round.number)
    return f"{here}: {len(able)} of {len(parts)} seats share it, and replays take {spec.committee.threshold}, {enough}"
