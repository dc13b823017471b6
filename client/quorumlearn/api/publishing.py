"""A task on its way to the ledger: made of its file, checked as the contracts will check it, then published with its artifacts.

Nothing is stored and nothing is sent before all of it is known to be right.
"""

from __future__ import annotations

from dataclasses import dataclass

from quorumlearn_chaincode.contracts.errors import Refusal
from quorumlearn_chaincode.contracts.specification import check_bounds
from quorumlearn_proto.recompute import recomputes
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn.artifacts import ArtifactStore, reference_of
from quorumlearn.nodes import randomness, taskfile
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.exposure import Exposure, exposure_of
from quorumlearn.nodes.guarantee import task_lacks
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.replaycosts import replay_costs
from quorumlearn.nodes.tasksettings import TaskFile
from quorumlearn.nodes.work import datasets


class WouldBeRefused(ValueError):
    """A task that the ledger would refuse, in the contract's own words."""


@dataclass(frozen=True)
class Prepared:
    """A task that can be published, and what its owner should know of it: what its encryption promises and costs, a line each, what
    colluders can read, what it lacks, and what its replays cost; None for a task without replays."""

    spec: TaskSpec
    artifacts: tuple[bytes, ...]
    encryption: tuple[str, ...]
    exposure: Exposure
    warnings: tuple[str, ...]
    replays: str | None = None


def prepare(wanted: TaskFile, source: str | None = None) -> Prepared:
    """The task that a file asks for; `source` is where the samples of `rule.root` are, as the workload's
    `load` takes it.

    Raises what `taskfile.spec_of` raises, and WouldBeRefused.
    """
    model = taskfile.initial_public_model(wanted)
    root = taskfile.root_set(wanted, source)
    spec = taskfile.spec_of(wanted, reference_of(model), None if root is None else reference_of(root))
    check_as_ledger(spec)
    return Prepared(
        spec,
        (model,) if root is None else (model, root),
        tuple(parameters_of(spec).explain().lines),
        exposure_of(spec),
        tuple(one for one in (task_lacks(spec), randomness.warning(spec)) if one),
        None if (costs := replay_costs(spec)) is None else costs.sentence,
    )


def publish(prepared: Prepared, market: Market, store: ArtifactStore) -> None:
    """Put its artifacts into the store and the task onto the ledger. ArtifactError, Refused or a GatewayError if that fails; an
    ArtifactError or replay.ChunkError before, if the task's own data are not in the store."""
    if recomputes(prepared.spec):
        datasets.check_there(store, prepared.spec)
    for data in prepared.artifacts:
        store.put(data)
    market.publish(prepared.spec)


def check_as_ledger(spec: TaskSpec) -> None:
    """WouldBeRefused for what the ledger would refuse, before anything is stored."""
    try:
        check_bounds(spec)
    except Refusal as refused:
        raise WouldBeRefused(f"the ledger would refuse this task: {refused.sentence}") from refused
