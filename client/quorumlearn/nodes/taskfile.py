"""The file that `quorumlearn task publish` reads, and the task it makes.

`nodes.tasksettings` has every setting, and `quorumlearn task publish --help` shows them. With `preset: NAME` the settings of a
published system stand for what is left out (see `nodes.presets`). Unknown keys are errors. Nothing is published that the
encryption's budget cannot carry.

Values beyond `encryption.bound` (1.0 if it is left out) are clipped; a miner of whose update more than 1 % is beyond it sits the round out.

A sum of fewer than `min_aggregate` miners, or of fewer of one weight, is never opened. By default that is byzantine + 2, the least that the
ledger takes, so that what all Byzantine miners take out of it is still the sum of two honest updates.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import ValidationError
from quorumlearn_proto import recompute as replayed
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.task_pb2 import (
    Committee,
    RewardSplit,
    RobustRule,
    Stakes,
    TaskSpec,
    Timeouts,
)

from quorumlearn import ckks, learning, robust
from quorumlearn.nodes import rootset
from quorumlearn.nodes.config import ConfigError, explain
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.models import workload_record
from quorumlearn.nodes.presets import with_preset
from quorumlearn.nodes.recomputing import MODES, recompute_of, with_average, with_data
from quorumlearn.nodes.screening import ROOT
from quorumlearn.nodes.tasksettings import TaskFile

_CHOOSING = {"multi-krum": "selected", "l-nearest": "nearest"}
"""Rules that take a number of updates and leave the rest, and the parameter that says how many."""


def load(path: Path) -> TaskFile:
    """Read and check a task's file; ConfigError says in one sentence what is wrong."""
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    return checked(fields, path)


def checked(fields: object, place: Path) -> TaskFile:
    """What a task's file says, checked; ConfigError, which names `place`, says what is wrong."""
    filled = with_average(with_data(with_preset(fields), place.resolve().parent))
    try:
        file = TaskFile.model_validate(filled)
    except ValidationError as error:
        raise ConfigError(explain(place, error, TaskFile)) from error
    if file.workload.module is not None:
        learning.register(file.workload.name, file.workload.module, place.resolve().parent)
    return file


def workload_and_blocks(file: TaskFile) -> tuple[learning.Workload, tuple[str, ...]]:
    """The task's workload and its public blocks; `all` stands for every block."""
    workload = learning.get_workload(file.workload.name, file.workload.config)
    blocks = workload.blocks if file.public_blocks == ("all",) else file.public_blocks
    return workload, blocks


def initial_public_model(file: TaskFile) -> bytes:
    """The public part of the model that the task's seed begins with."""
    workload, blocks = workload_and_blocks(file)
    return learning.to_bytes(learning.split(workload.initial_model(file.seed), blocks)[0])


def parameters_of_file(file: TaskFile) -> ckks.Parameters:
    """The task's encryption: its preset, what the file says otherwise, its committee and its model's public size."""
    workload, blocks = workload_and_blocks(file)
    return ckks.Parameters.named(
        file.encryption.preset,
        learning.size_of(learning.public_shapes(workload.shapes, blocks)),
        seats=len(file.committee.organisations),
        threshold=file.committee.threshold,
        bound=file.encryption.bound,
        step_bits=file.encryption.step_bits,
        max_weight_sum=robust.weight_room(file.rule.name, file.miners.maximum)
        * (len(file.weighting.samples) + 1),
        flooding_bits=file.encryption.flooding_bits,
        sketch_size=file.encryption.sketch_size,
    )


def min_aggregate_of(file: TaskFile) -> int:
    """The fewest miners whose sum may be opened. ConfigError for what can never be met."""
    few, wanted = file.miners.minimum, file.min_aggregate or file.miners.byzantine + 2
    if wanted > few:
        raise ConfigError(
            f"min_aggregate is {wanted}, miners.minimum {few}: raise miners.minimum, or lower "
            f"{'miners.byzantine' if file.min_aggregate is None else 'min_aggregate (to no less than byzantine + 2)'}"
        )
    chosen = file.rule.parameters.get(_CHOOSING.get(file.rule.name, ""), "")
    if re.fullmatch(r"[0-9]{1,9}", chosen) and int(chosen) < wanted:
        raise ConfigError(
            f"{file.rule.name} takes {chosen} updates and min_aggregate is {wanted}: nothing would ever be opened; "
            "take more updates, or lower min_aggregate (to no less than byzantine + 2)"
        )
    return wanted


def root_set(file: TaskFile, source: str | None) -> bytes | None:
    """The root set that the rule compares with, `rule.root` of the owner's training data, which the workload finds at `source`; None for
    a rule without one. Raises ConfigError, robust.RuleError and learning.LearningError for what cannot be one."""
    wanted = robust.needs_root(file.rule.name)
    if not wanted and file.rule.root is None:
        return None
    if not wanted or file.rule.root is None:
        raise ConfigError(
            f"{file.rule.name} compares with what a few clean, public samples teach: name them, as `root: iid:0/600@7`"
            if wanted
            else f"{file.rule.name} needs no root set; leave `root: {file.rule.root}` out"
        )
    shard, workload = learning.ShardSpec.parse(file.rule.root), workload_and_blocks(file)[0]
    samples = workload.load(source, learning.Part("train"))
    if not isinstance(samples, learning.Samples):
        raise ConfigError(
            f"{file.workload.name} deals out no samples, so {file.rule.name} can have no root set"
        )
    return rootset.to_bytes(samples.take(shard.indices(samples.targets)))


def spec_of(file: TaskFile, initial_model: ArtifactRef, root: ArtifactRef | None = None) -> TaskSpec:
    """The task to publish; `root` is where its `root_set` is. Raises learning.LearningError, ckks.ParameterError,
    robust.RuleError and ConfigError for what cannot work."""
    workload, blocks = workload_and_blocks(file)
    parameters = parameters_of_file(file)
    spec = TaskSpec(
        task_id=file.id,
        title=file.title,
        workload=workload_record(workload, blocks),
        initial_model=initial_model,
        rounds=file.rounds,
        min_miners=file.miners.minimum,
        max_miners=file.miners.maximum,
        max_per_organisation=file.miners.per_organisation or 0,
        byzantine=file.miners.byzantine,
        rule=RobustRule(name=file.rule.name, parameters=_rule_parameters(file, root)),
        mode=MODES[file.mode],
        committee=Committee(
            msp_ids=file.committee.organisations,
            threshold=file.committee.threshold,
            reserve_msp_ids=file.committee.reserves,
        ),
        ckks=record_of(parameters),
        timeouts=Timeouts(**file.timeouts.model_dump(by_alias=True)),
        reward=RewardSplit(
            per_round=file.reward.per_round,
            miners_bp=file.reward.miners,
            verifiers_bp=file.reward.verifiers,
            proposer_bp=file.reward.proposer,
            by_contribution=file.reward.by == "contribution",
        ),
        stakes=Stakes(**file.stakes.model_dump()),
        tolerance_bp=file.tolerance,
        challenge_window_seconds=file.challenge_window,
        seed=file.seed,
        repeatable=file.repeatable,
        min_aggregate=min_aggregate_of(file),
        sample_classes=file.weighting.samples,
        recompute=recompute_of(file, workload, blocks),
    )
    if not replayed.replays(spec):
        spec.timeouts.trace = spec.timeouts.replay = 0
    rootset.check_rule(spec)
    return spec


def _rule_parameters(file: TaskFile, root: ArtifactRef | None) -> dict[str, str]:
    """What the file says, where the root set is, and of a rule of another package which copy of it is meant."""
    said = {**file.rule.parameters, **_named(root)}
    return said | robust.copy_of(file.rule.name, said, file.miners.byzantine)


def _named(root: ArtifactRef | None) -> dict[str, str]:
    return {} if root is None else dict(zip(ROOT, (root.digest, str(root.size)), strict=True))
