"""What a cheating miner's node does in place of an honest one's: `quorumlearn.attacks` says what, this module does it.

An honest miner never comes here. What is kept from the first round, to be sent again, lives in the miner's own journal, so
that a replay outlives a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.derived import least_aggregate
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import ckks, learning, robust, seeds
from quorumlearn.attacks import Behaviour, BehaviourError, Sight
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.screening import rule_of
from quorumlearn.nodes.steps import submission

Values = NDArray[np.int64]

KEPT_PLAINTEXT, KEPT_CIPHERTEXT = "kept-plaintext", "kept-ciphertext"
FAR_OVER = 20
"""An overflowing update is the miner's own, doubled so many times."""


def kept_update(behaviour: Behaviour, journal: Journal) -> Values | None:
    """The update that a replay sends again instead of training, grid steps (d,); None when there is none yet."""
    if behaviour.tampering != "replay-plaintext":
        return None
    data = journal.get(KEPT_PLAINTEXT)
    return None if data is None else np.frombuffer(data, dtype="<i8").astype(np.int64)


def seed_of(spec: TaskSpec, me: str, number: int) -> int:
    """What a cheat draws from in a round. Everybody can derive it: it has no data of its own to protect."""
    return seeds.derive(spec.seed, "cheat", spec.task_id, me, number)


def poisoned(behaviour: Behaviour, data: learning.Data, seed: int) -> learning.Data:
    """What this behaviour trains on. BehaviourError if it poisons, and the data are not samples that it can read."""
    if not behaviour.poisons:
        return data
    if not isinstance(data, learning.Samples):
        raise BehaviourError(
            f"{behaviour.name} poisons Samples; the workload's data are {type(data).__name__}"
        )
    return learning.Samples(*behaviour.poison(data.inputs, data.targets, seed))


def watched(
    view: b.TaskView, me: str, behaviour: Behaviour, find: Callable[[str], Values | None]
) -> list[Values] | None:
    """The updates of those whom this behaviour watches; None while it has to wait for one of them.

    `find` gives the update that an identity of this process left in this round, if it has.
    """
    seen = []
    for user in behaviour.watches:
        neighbour = f"{me.partition('/')[0]}/{user}"
        update = find(neighbour)
        if update is None or (behaviour.waits_for_commits and submission(view, neighbour) is None):
            return None
        seen.append(update)
    return seen


def formed(
    spec: TaskSpec,
    parameters: ckks.Parameters,
    behaviour: Behaviour,
    journal: Journal,
    *,
    own: Values | None,
    others: list[Values],
    seed: int,
    moved: Sequence[Values] = (),
) -> Values:
    """The update that this behaviour submits, grid steps (d,): formed in the update's units, then clipped and rounded as
    anybody's. `moved` holds the last public step, if there is one."""
    if behaviour.tampering == "replay-plaintext" and own is not None:
        journal.put(KEPT_PLAINTEXT, own.astype("<i8").tobytes())

    def units(values: Values) -> NDArray[np.float64]:
        return np.ldexp(values.astype(np.float64), -parameters.step_bits)

    sight = Sight(
        size=parameters.update_size,
        seed=seed,
        own=None if own is None else units(own),
        others=np.stack([units(values) for values in others]) if others else None,
        moved=units(moved[0]) if moved else None,
        byzantine=max(1, spec.byzantine),
        sketch_size=parameters.sketch_size,
        weigh=lambda sketches: _weights(spec, sketches),
    )
    return ckks.quantise(behaviour.form(sight), parameters)


def tampered(
    parameters: ckks.Parameters, key: bytes, behaviour: Behaviour, journal: Journal, update: bytes
) -> bytes:
    """The bytes that this behaviour submits where an honest miner submits `update`, its encryption under `key`."""
    match behaviour.tampering:
        case "malformed":
            return update[: len(update) // 2] + b"\xff" * (len(update) - len(update) // 2)
        case "overflow":
            return _doubled(parameters, update, FAR_OVER)
        case "replay-ciphertext" | "replay-rerandomised":
            first = journal.get(KEPT_CIPHERTEXT)
            if first is None:
                journal.put(KEPT_CIPHERTEXT, update)
                return update
            if behaviour.tampering == "replay-ciphertext":
                return first
            zero = ckks.encrypt(parameters, key, np.zeros(parameters.update_size, dtype=np.int64))
            return _sum(parameters, first, zero)
        case _:
            return update


def _weights(spec: TaskSpec, sketches: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the task's rule would give; where it compares with a root update, whose sketch nobody foresees, multi-Krum's answer."""
    rule, limits = rule_of(spec, np.ones(sketches.shape[1]))
    if robust.needs_root(spec.rule.name):
        rule = robust.make_rule("multi-krum", {}, spec.byzantine)
    findings = robust.select(
        sketches,
        commit_order=range(len(sketches)),
        rule=rule,
        max_weight_sum=spec.ckks.max_weight_sum,
        already_found=0,
        levels=robust.Levels(least_aggregate(spec)),
        public_steps=None,
        byzantine=spec.byzantine,
        **limits,
    )
    return np.array([float(finding.weight) for finding in findings])


def _sum(parameters: ckks.Parameters, first: bytes, second: bytes) -> bytes:
    return ckks.aggregate(
        parameters, [(1, ckks.parse(parameters, first)), (1, ckks.parse(parameters, second))]
    ).to_bytes()


def _doubled(parameters: ckks.Parameters, update: bytes, times: int) -> bytes:
    for _ in range(times):
        update = _sum(parameters, update, update)
    return update
