"""What may be decrypted: the ledger writes it when it has decided it, each of these once and nothing else.

- When REVEAL closes: one sketch of each revealed update, by this round's beacon. An update is revealed once in a
  task, so it is sketched once.
- When SELECT closes and the round goes on: one weighted sum. `phases.close_select` lets none of fewer miners
  than the least aggregate pass.
"""

from __future__ import annotations

from quorumlearn_proto.block_pb2 import Authorisation, Round
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, SKETCH_DECRYPTION, ArtifactRef

from .call import Call
from .tables import AUTHORISATIONS


def authorise_sketches(call: Call, round_: Round) -> None:
    """One sketch of each revealed update, in the order of their miners."""
    updates = list(_updates(call, round_).values())
    _write(
        call,
        round_,
        Authorisation(
            purpose=SKETCH_DECRYPTION, updates=updates, beacon=round_.beacon, openings=len(updates)
        ),
    )


def authorise_aggregate(call: Call, round_: Round) -> None:
    """The sum of the contributing updates by the selection's weights, in the order of their miners."""
    updates = _updates(call, round_)
    contributing = [verdict for verdict in round_.selection.verdicts if verdict.weight]
    _write(
        call,
        round_,
        Authorisation(
            purpose=AGGREGATE_DECRYPTION,
            updates=[updates[verdict.miner] for verdict in contributing],
            weights=[verdict.weight for verdict in contributing],
            openings=1,
        ),
    )


def _updates(call: Call, round_: Round) -> dict[str, ArtifactRef]:
    return {
        entry.miner: entry.manifest.update for entry in call.submissions(round_) if entry.HasField("manifest")
    }


def _write(call: Call, round_: Round, authorisation: Authorisation) -> None:
    authorisation.task_id, authorisation.round = round_.task_id, round_.number
    authorisation.at_ms = call.now_ms
    call.ledger.put(AUTHORISATIONS, authorisation, round_.task_id, round_.number, int(authorisation.purpose))
