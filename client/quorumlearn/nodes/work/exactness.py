"""A task's training as it can be replayed: the one place where a specification's numbers become an exact training and its work."""

from __future__ import annotations

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.recompute import team_of, training_seed

from quorumlearn import learning, replay
from quorumlearn.learning.exact import ExactTraining, exact_training
from quorumlearn.nodes.models import workload_of


def training_of(spec: t.TaskSpec) -> ExactTraining:
    """How the task's workload is trained so that others can replay it; learning.WorkloadError if it cannot be."""
    asked = spec.recompute
    portable = asked.exactness == t.PORTABLE
    return exact_training(workload_of(spec), portable=portable, grid_bits=asked.grid_bits)


def profile_of(spec: t.TaskSpec) -> str:
    """The digest of this process's numeric profile; empty where training is portable."""
    return training_of(spec).profile


def work_of(
    spec: t.TaskSpec,
    now: b.Round,
    miner: str,
    base: learning.Model,
    data: learning.Samples,
    training: ExactTraining,
    chunks: int,
) -> replay.Work:
    """What a miner is to do in a round on the first so many of its team's chunks, whose samples are `data`."""
    return replay.Work(
        training=training,
        base=base,
        data=data,
        seed=seed_of(now, miner),
        steps=chunks * spec.recompute.chunk_steps,
        segment_steps=spec.recompute.segment_steps,
    )


def seed_of(now: b.Round, miner: str) -> bytes:
    """The 32 bytes that a miner's training of this round draws from."""
    number, _ = team_of(now, miner)
    return training_seed(now, number)
