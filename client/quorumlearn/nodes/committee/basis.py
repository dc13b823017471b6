"""What a seat's vote in SELECT rests on: a digest that only who has opened the sketches can make, and that each seat makes otherwise.

Rules:
- The basis of a vote is SHA-256 over 32 bytes of each miner whom the vote judges by its sketch (derived.judged_by_sketch), in the vote's
  order: `ckks.claim_of` its sketch and salt, under a name of task, round, seat and miner in place of the miner's own. Who copies a vote
  while others still vote knows neither, and another seat's basis is of no use.
- Salt and sketch are those of the miner's claim, which is on the ledger: whoever has opened a claim has the same of both. So the seats,
  whose sketches may differ where one was shown wrong shares or a wrong salt, never digest different bytes of the same miner.
- A vote is held against the sketches that it says it judges by. A seat that lacks one of them cannot tell, and accuses nobody.
- Nobody outside the committee knows the salts, so the digest on the ledger confirms no guess of an update.
"""

from __future__ import annotations

import hashlib

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.derived import judged_by_sketch

from quorumlearn import ckks
from quorumlearn.nodes.committee.attempt import Finding
from quorumlearn.nodes.committee.openings import Opened


def basis_of(
    parameters: ckks.Parameters, now: b.Round, seat: int, selection: b.Selection, opened: Opened
) -> str | None:
    """The basis (64 hex digits) of this seat's vote; None if one of the sketches that it judges by is not among the opened."""
    judged = judged_by_sketch(selection)
    if any(miner not in opened.salts for miner in judged):
        return None
    plan = ckks.round_plan(parameters, bytes.fromhex(now.beacon))
    digest = hashlib.sha256()
    for miner in judged:
        who, sketch = f"{now.task_id}/{now.number}/seat {seat}/{miner}", opened.sketches[miner]
        assert not isinstance(sketch, int), "what has a salt has opened"
        digest.update(ckks.claim_of(parameters, plan, sketch, who, opened.salts[miner]))
    return digest.hexdigest()


def unfounded_votes(parameters: ckks.Parameters, view: b.TaskView, opened: Opened) -> tuple[Finding, ...]:
    """The seats of the round whose votes have a basis that the opened sketches do not give."""
    now = view.round
    found = []
    for one in view.screenings:
        if one.seat in now.seats and one.HasField("selection"):
            right = basis_of(parameters, now, one.seat, one.selection, opened)
            if right not in (None, one.basis):
                why = "its vote has another basis than the sketches that it judges by"
                found.append(Finding(one.seat, b.UNFOUNDED_VOTE, why))
    return tuple(found)
