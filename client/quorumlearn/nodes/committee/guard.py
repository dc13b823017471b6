"""What a seat may decrypt: what the ledger authorised, once (docs/protocol.md, "What may be decrypted").

Rules:
- before it makes a share of anything a seat compares the ledger's Authorisation with what it is about to do: the same updates, weights,
  groups and beacon, and sums that show no few of them, also beside those opened on the same base before;
- it writes that to its journal first, and answers nothing else for the same round and purpose, whatever a ledger shows it later.
"""

from __future__ import annotations

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto.classes import classes_fault
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, SKETCH_DECRYPTION, Purpose
from quorumlearn_proto.contribution import divided, sums_of
from quorumlearn_proto.derived import miner_groups, sum_fault, weights_of
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn.nodes import steps
from quorumlearn.nodes.exchange import ExchangeError
from quorumlearn.nodes.journal import Journal


class NotAuthorised(ExchangeError):
    """A decryption that the ledger has not authorised, or not like this: nothing is made for it."""


def expected(view: b.TaskView, purpose: Purpose) -> b.Authorisation:
    """What the ledger's other records of the round come to: `at_ms` is left out, updates are in the miners' order."""
    now = view.round
    updates = {one.miner: one.manifest.update for one in steps.sketched(view)}
    wanted = b.Authorisation(task_id=now.task_id, round=now.number, purpose=purpose)
    if purpose == SKETCH_DECRYPTION:
        wanted.updates.extend(updates[miner] for miner in sorted(updates))
        wanted.beacon, wanted.openings = now.beacon, len(updates)
        return wanted
    for verdict in now.selection.verdicts:
        if verdict.weight:
            if verdict.miner not in updates:
                raise NotAuthorised(f"{verdict.miner} has weight {verdict.weight} and has revealed nothing")
            wanted.updates.append(updates[verdict.miner])
            wanted.weights.append(verdict.weight)
    sums = sums_of(now)
    wanted.openings = len(sums)
    if now.groups:
        group_of = {miner: group for group, weights in enumerate(sums, 1) for miner in weights}
        wanted.groups.extend(group_of.get(one.miner, 0) for one in now.selection.verdicts if one.weight)
    return wanted


def fault(view: b.TaskView, given: b.Authorisation) -> str:
    """What contradicts the round's other records in an authorisation; "" if nothing does."""
    spec, wanted = view.task.spec, expected(view, given.purpose)
    kept = b.Authorisation()
    kept.CopyFrom(given)
    kept.ClearField("at_ms")
    if _ordered(kept) != _ordered(wanted):
        return f"it is not of the {len(wanted.updates)} updates that the round's records name"
    if len({ref.digest for ref in given.updates}) != len(given.updates):
        return "it names an update twice"
    if given.purpose == AGGREGATE_DECRYPTION:
        groups, verdicts = miner_groups(view.opened), view.round.selection.verdicts
        classes = {one.miner: one.manifest.sample_class for one in view.submissions}
        faults = (
            sum_fault(spec, len(view.round.miners), groups, weights)
            for weights in (weights_of(verdicts), *sums_of(view.round))
        )
        return (
            _division_fault(spec, view.round, given)
            or classes_fault(spec, groups, verdicts, classes)
            or next(filter(None, faults), "")
        )
    return ""


def _division_fault(spec: TaskSpec, now: b.Round, given: b.Authorisation) -> str:
    """Whether the groups are not those that the beacon draws among the miners whom earlier sums on the base weigh alike."""
    weights = weights_of(now.selection.verdicts)
    alike = [list(group.miners) for group in given.alike]
    named = dict(zip(weights, given.groups, strict=True)) if given.groups else {}
    return (
        ""
        if divided(spec, now.beacon, alike, weights) == named
        else "its groups are not those that the beacon draws"
    )


def take(view: b.TaskView, purpose: Purpose, journal: Journal) -> b.Authorisation:
    """The round's authorisation for this purpose, checked and noted in the round's journal; NotAuthorised if there is none."""
    now, name = view.round, Purpose.Name(purpose)
    given = next((one for one in view.authorisations if one.purpose == purpose), None)
    if given is None:
        raise NotAuthorised(f"round {now.number} of {now.task_id} has no authorisation for {name}")
    wrong = fault(view, given)
    if wrong:
        raise NotAuthorised(f"{name} in round {now.number} of {now.task_id} is refused: {wrong}")
    entry, note = f"answered-{name.lower().replace('_', '-')}", canonical.to_json(given)
    known = journal.get(entry)
    if known is None:
        journal.put(entry, note)
    elif known != note:
        raise NotAuthorised(
            f"{name} in round {now.number} of {now.task_id} was answered for other data before"
        )
    return given


def _ordered(one: b.Authorisation) -> tuple[object, ...]:
    """Its content, whatever the order of a sketch's updates."""
    updates = [(ref.digest, ref.size) for ref in one.updates]
    if one.purpose == SKETCH_DECRYPTION:
        updates.sort()
    fixed = one.task_id, one.round, one.purpose, updates, list(one.weights), one.beacon, one.openings
    return *fixed, list(one.groups)
