"""What a task's file says of training that is replayed, as the specification has it.

Rules:
- all blocks of the model are public, training is not private, and all updates weigh alike unless the mode is robust-and-recompute:
  whoever replays must have all that a miner had;
- the steps of a chunk follow from the workload's settings, and a checkpoint stands after so many that a training has about SEGMENTS;
- data that no seat may read are confirmed by replicas, two at least, and nothing of them is replayed.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError
from quorumlearn_proto import task_pb2 as t

from quorumlearn import learning
from quorumlearn.learning.exact import exact_training
from quorumlearn.nodes.config import ConfigError, explain
from quorumlearn.nodes.tasksettings import DataPart, RecomputePart, TaskFile

SEGMENTS = 120
"""Of a training, if the file does not say otherwise: two seats that replay five of them replay 8.3 % of it. With the last checkpoints that
stays within a tenth."""
PLAIN_AVERAGE = "mean"
MODES = {
    "robust": t.ROBUST,
    "recompute": t.RECOMPUTE,
    "robust-and-recompute": t.ROBUST_AND_RECOMPUTE,
}
_EXACTNESS = {"portable": t.PORTABLE, "profile": t.PROFILE}


def with_data(fields: object, base: Path) -> object:
    """A task's fields with the file read that `recompute.data` names, relative to `base`. ConfigError if it cannot be."""
    if not isinstance(fields, dict) or not isinstance(part := fields.get("recompute"), dict):
        return fields
    if not isinstance(named := part.get("data"), str):
        return fields
    return {**fields, "recompute": {**part, "data": load_data(base / named).model_dump()}}


def with_average(fields: object) -> object:
    """A task's fields with the plain average as its rule, where the mode is recompute and no rule is named."""
    if isinstance(fields, dict) and fields.get("mode") == "recompute":
        return {"rule": {"name": PLAIN_AVERAGE}, **fields}
    return fields


def load_data(path: Path) -> DataPart:
    """What `data publish` wrote of a data set; ConfigError says in one sentence what is wrong."""
    try:
        return DataPart.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except ValidationError as error:
        raise ConfigError(explain(path, error, DataPart)) from error


def check_mode(file: TaskFile) -> None:
    """ConfigError where the parts of a file contradict its mode."""
    if file.mode == "robust":
        given = [
            *(["recompute"] if "recompute" in file.model_fields_set else ()),
            *(f"timeouts.{one}" for one in ("trace", "replay") if one in file.timeouts.model_fields_set),
        ]
        if given:
            raise ConfigError(
                f"{given[0]} is given and mode is robust, in which nothing is replayed: leave it out, or say "
                "`mode: recompute`"
            )
        return
    if file.recompute.data is None:
        raise ConfigError(
            f"mode is {file.mode} and recompute.data is missing: name the file that `quorumlearn data publish -o FILE` wrote"
        )
    if file.mode == "recompute" and file.rule.name != PLAIN_AVERAGE:
        raise ConfigError(
            f"rule.name is {file.rule.name} and mode is recompute, where all work that stands counts alike: leave the rule out, "
            "or say `mode: robust-and-recompute`"
        )
    if file.mode == "recompute" and file.weighting.samples:
        raise ConfigError("weighting.samples is given and mode is recompute: all chunks have as many samples")


def recompute_of(
    file: TaskFile, workload: learning.Workload, public_blocks: tuple[str, ...]
) -> t.Recompute | None:
    """The specification's part on replay; None in robust mode. ConfigError, or learning.WorkloadError where the workload cannot train
    exactly."""
    check_mode(file)
    data = file.recompute.data
    if file.mode == "robust" or data is None:
        return None
    assert isinstance(data, DataPart)
    _check_workload(file, workload, public_blocks, data)
    part = file.recompute
    replicas = part.replicas or (2 if data.sealed and not part.seats_read else 1)
    a_miner = part.chunks_per_miner or max(1, data.chunks * replicas // file.miners.maximum)
    _check_chunks(part, data, a_miner, replicas)
    chunk_steps = workload.config.steps(data.chunk_samples)
    return t.Recompute(
        data=data.ref,
        chunks=data.chunks,
        chunk_samples=data.chunk_samples,
        chunks_per_miner=a_miner,
        chunk_steps=chunk_steps,
        segment_steps=part.segment_steps or _segment_steps(a_miner, chunk_steps),
        segments=part.drawn,
        exactness=_EXACTNESS[part.exactness],
        grid_bits=part.grid_bits if part.exactness == "portable" else 0,
        replicas=replicas,
        sealed=data.sealed,
        seats_read=part.seats_read,
        pay_by_steps=part.pay_by_steps,
    )


def _check_workload(
    file: TaskFile, workload: learning.Workload, public_blocks: tuple[str, ...], data: DataPart
) -> None:
    if data.workload != workload.name:
        raise ConfigError(
            f"recompute.data are of the workload {data.workload}, and the task trains {workload.name}: publish data of its own"
        )
    if set(public_blocks) != set(workload.blocks):
        private = ", ".join(sorted(set(workload.blocks) - set(public_blocks)))
        raise ConfigError(
            f"mode is {file.mode} and the blocks {private} are private: nobody could replay them; leave public_blocks out"
        )
    if workload.config.private:
        raise ConfigError(
            f"mode is {file.mode} and workload.config has dp_clip: noise that everybody can draw again hides nothing; leave it out"
        )
    if workload.config.late_rounds:
        raise ConfigError(
            f"mode is {file.mode} and workload.config has late_rounds: what is replayed is of its own round; leave it out"
        )
    exact_training(
        workload, portable=file.recompute.exactness == "portable", grid_bits=file.recompute.grid_bits
    )


def _check_chunks(part: RecomputePart, data: DataPart, a_miner: int, replicas: int) -> None:
    if a_miner > data.chunks:
        raise ConfigError(f"recompute.chunks_per_miner is {a_miner}, and there are {data.chunks} chunks")
    if part.seats_read and not data.sealed:
        raise ConfigError("recompute.seats_read is of sealed data, and these are public: leave it out")
    if data.sealed and not part.seats_read and replicas < 2:
        raise ConfigError(
            f"recompute.replicas is {replicas} and no seat reads the sealed data: nobody could confirm any work; give 2 at least, or "
            "`seats_read: true`"
        )


def _segment_steps(chunks: int, chunk_steps: int) -> int:
    """The least steps of a segment by which a training on all chunks has no more than SEGMENTS, and none on some of them ends in a segment
    of one step, which would show its gradient."""
    least = max(2, -(-chunks * chunk_steps // SEGMENTS))
    return next(
        steps
        for steps in range(least, least + chunks * chunk_steps + 1)
        if all(count * chunk_steps % steps != 1 for count in range(1, chunks + 1))
    )
