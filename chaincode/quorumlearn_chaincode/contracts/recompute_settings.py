"""What a task may ask for where training is replayed or done by replicas: every bound of `Recompute`, each refused by a sentence.

- A checkpoint's segment has two steps at least, the last one too: from the start and the end of one step everybody had its gradient.
- All data are the task's, in chunks of one size: so no miner claims how much it has, and `sample_classes` is for other tasks.
- Where the seats may not read sealed data nobody replays: then replicas confirm each other, two at least.
- Who trains on what stands in each Round, which every transaction reads: so a round assigns a bounded number of chunks.
"""

from __future__ import annotations

from quorumlearn_proto.recompute import most_steps, recomputes, replays, teams_of
from quorumlearn_proto.task_pb2 import Exactness, TaskSpec, VerificationMode

from .arguments import artifact, bad, within

MAX_CHUNKS = 1_000_000
MAX_ASSIGNED = 4096
"""Chunks that a round may assign, counted once a team."""
MAX_CHUNK_SAMPLES = 1_000_000_000
MAX_STEPS = 100_000_000
"""Of one training."""
MAX_SEGMENTS = 256
"""Drawn of one training."""
MAX_REPLICAS = 8
GRID_BITS = (8, 26)
"""Those in which training knows near ties apart (quorumlearn.learning.exact.grid)."""
PLAIN_RULE = "mean"
"""What a task goes by that keeps out nobody whose work stands."""
_NAMES = {value: name for name, value in Exactness.items()}


def replicas_of(spec: TaskSpec) -> int:
    """How many miners at least do the work of which a sum has one."""
    return max(1, spec.recompute.replicas) if recomputes(spec) else 1


def check_recompute(spec: TaskSpec) -> None:
    """Refuse what a task asks for beyond bounds, or what another mode would need."""
    mode = VerificationMode.Name(spec.mode)
    if spec.HasField("recompute") != recomputes(spec):
        raise bad(
            f"recompute is missing, and mode is {mode}: say what is replayed"
            if recomputes(spec)
            else f"recompute is given, and mode is {mode}: leave it out, or give RECOMPUTE or ROBUST_AND_RECOMPUTE"
        )
    if not recomputes(spec):
        return
    if spec.mode == VerificationMode.RECOMPUTE and spec.rule.name != PLAIN_RULE:
        raise bad(
            f"rule.name is {spec.rule.name}, and mode is RECOMPUTE, in which all work that stands counts alike: give {PLAIN_RULE}, "
            "or mode ROBUST_AND_RECOMPUTE"
        )
    if spec.sample_classes:
        raise bad(
            f"sample_classes is given, and mode is {mode}, in which all data are the task's: leave it out, and give "
            "recompute.pay_by_steps to pay for more work"
        )
    _data(spec)
    _training(spec)
    _exactness(spec)
    _readers(spec)


def _data(spec: TaskSpec) -> None:
    asked = spec.recompute
    artifact("recompute.data", asked.data)
    within("recompute.chunks", asked.chunks, 1, MAX_CHUNKS)
    within("recompute.chunk_samples", asked.chunk_samples, 1, MAX_CHUNK_SAMPLES)
    within("recompute.replicas", asked.replicas, 1, min(MAX_REPLICAS, spec.min_miners))
    teams = teams_of(asked, spec.max_miners)
    most = min(asked.chunks, MAX_ASSIGNED // teams)
    if not 1 <= asked.chunks_per_miner <= most:
        raise bad(
            f"recompute.chunks_per_miner is {asked.chunks_per_miner}: 1 to {most}, with {asked.chunks} chunks and {teams} trainings in a "
            f"round, which assigns {MAX_ASSIGNED} at most"
        )


def _training(spec: TaskSpec) -> None:
    asked = spec.recompute
    within("recompute.chunk_steps", asked.chunk_steps, 2, MAX_STEPS // asked.chunks_per_miner)
    within("recompute.segment_steps", asked.segment_steps, 2, most_steps(spec))
    for chunks in range(1, asked.chunks_per_miner + 1):
        if chunks * asked.chunk_steps % asked.segment_steps == 1:
            raise bad(
                f"recompute.segment_steps is {asked.segment_steps}: a training on {chunks} chunks, {chunks * asked.chunk_steps} steps, "
                "would end in a segment of one step, which shows its gradient; take a divisor of chunk_steps, "
                f"{asked.chunk_steps}"
            )
    within("recompute.segments", asked.segments, 1 if replays(spec) else 0, MAX_SEGMENTS)


def _exactness(spec: TaskSpec) -> None:
    asked = spec.recompute
    if asked.exactness not in (Exactness.PROFILE, Exactness.PORTABLE):
        raise bad(
            f"recompute.exactness is {_NAMES.get(asked.exactness, asked.exactness)}: PROFILE or PORTABLE"
        )
    low, high = GRID_BITS if asked.exactness == Exactness.PORTABLE else (0, 0)
    within(f"recompute.grid_bits, with {_NAMES[asked.exactness]},", asked.grid_bits, low, high)


def _readers(spec: TaskSpec) -> None:
    asked = spec.recompute
    if asked.seats_read and not asked.sealed:
        raise bad("recompute.seats_read is true, and everybody reads data that are not sealed: leave it out")
    if not replays(spec) and asked.replicas < 2:
        raise bad(
            f"recompute.replicas is {asked.replicas}, and seats may not read the sealed data: without replays it takes 2 at least, or "
            "give seats_read"
        )
