"""What may be decrypted: the ledger writes it when it has decided it, each of these once and nothing else.

- When SCREEN begins: one sketch of each revealed update, by this round's beacon; where trainings are replayed, of each
  whose trace was opened. An update is revealed once in a task, so it is sketched once.
- When SELECT closes and the round goes on: one weighted sum or, where pay is by contribution, one for each of the groups
  that the beacon draws. `phases.selection_fault` lets no vote pass for a sum that shows too few, together with those
  opened on the same base before, nor does a division into groups show fewer; what they add is kept for the next.
"""

from __future__ import annotations

from quorumlearn_proto.block_pb2 import Authorisation, MinerGroup, OpenedBase, Phase, Round
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, SKETCH_DECRYPTION, ArtifactRef
from quorumlearn_proto.contribution import after_sums, divided, sums_of
from quorumlearn_proto.derived import miner_groups, weights_of
from quorumlearn_proto.protocol import ROUND
from quorumlearn_proto.task_pb2 import TaskSpec

from .call import Call
from .ledger import Place
from .tables import AUTHORISATIONS, OPENED


def authorise_sketches(call: Call, round_: Round) -> None:
    """One sketch of each update that is judged, in the order of their miners."""
    updates = list(_updates(call, round_).values())
    _write(
        call,
        round_,
        Authorisation(
            purpose=SKETCH_DECRYPTION, updates=updates, beacon=round_.beacon, openings=len(updates)
        ),
    )


def authorise_aggregate(call: Call, spec: TaskSpec, round_: Round) -> None:
    """The sum of the contributing updates by the selection's weights, in the order of their miners, or those of the groups that the
    round is divided into, which it then names."""
    updates, weights = _updates(call, round_), weights_of(round_.selection.verdicts)
    opened = opened_on(call, round_)
    before = miner_groups(opened)
    groups = divided(spec, round_.beacon, before, weights)
    round_.groups[:] = [groups.get(miner, 0) for miner in round_.miners] if groups else []
    sums = sums_of(round_)
    opened.ClearField("groups")
    opened.groups.extend(MinerGroup(miners=alike) for alike in after_sums(before, sums))
    call.ledger.put(OPENED, opened, *opened_place(round_)[1:])
    _write(
        call,
        round_,
        Authorisation(
            purpose=AGGREGATE_DECRYPTION,
            updates=[updates[miner] for miner in weights],
            weights=weights.values(),
            openings=len(sums),
            groups=[groups[miner] for miner in weights] if groups else [],
            alike=[MinerGroup(miners=alike) for alike in before] if spec.reward.by_contribution else [],
        ),
    )


def opened_place(round_: Round) -> Place:
    """Where it stands what was opened on a round's base."""
    return OPENED, round_.task_id, round_.base.digest


def opened_on(call: Call, round_: Round) -> OpenedBase:
    """What was opened on the round's base so far."""
    known = call.ledger.get(OPENED, *opened_place(round_)[1:])
    return known or OpenedBase(task_id=round_.task_id, base=round_.base.digest)


def _updates(call: Call, round_: Round) -> dict[str, ArtifactRef]:
    traced = any(entry.phase == Phase.TRACE for entry in round_.times)
    step = ROUND[Phase.TRACE if traced else Phase.REVEAL]
    return {entry.miner: entry.manifest.update for entry in call.submissions(round_) if step.done(entry)}


def _write(call: Call, round_: Round, authorisation: Authorisation) -> None:
    authorisation.task_id, authorisation.round = round_.task_id, round_.number
    authorisation.at_ms = call.now_ms
    call.ledger.put(AUTHORISATIONS, authorisation, round_.task_id, round_.number, int(authorisation.purpose))
