"""Rounds of a task whose trainings are replayed, as the ledger shows them once they have ended."""

from __future__ import annotations

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t

HONEST, RIDER, MATE, AWAY = "A/honest", "B/rider", "B/mate", "C/away"
MINERS = [HONEST, RIDER, MATE, AWAY]
STEPS, SEGMENT_STEPS, DRAWN, THRESHOLD = 29, 3, 4, 2
SEGMENTS = 10  # the last one has two steps
CLAIMED, REPLAYED = "ab" * 32, "cd" * 32


def spec(mode: t.VerificationMode = t.RECOMPUTE) -> t.TaskSpec:
    made = t.TaskSpec(task_id="t", rounds=2, mode=mode)
    made.ckks.update_size = 10
    made.committee.threshold = THRESHOLD
    if mode != t.ROBUST:
        made.recompute.segment_steps, made.recompute.segments = SEGMENT_STEPS, DRAWN
    return made


def view(number: int, item: int = 7, outcome: b.Outcome = b.ACCEPTED) -> b.TaskView:
    """An ended round in which the rider's work was wrong, its mate's was the honest one's, and one opened nothing."""
    made = b.TaskView(task=t.Task(spec=spec()))
    now = made.round
    now.number, now.phase, now.outcome, now.beacon = number, b.ENDED, outcome, f"{number:064x}"
    now.miners.extend(MINERS)
    now.times.add(phase=b.REPLAY, entered_ms=1000)
    now.times.add(phase=b.ENDED, entered_ms=2000)
    for at, miner in enumerate(MINERS):
        sub = made.submissions.add(miner=miner, manifest=b.Manifest(miner=miner, steps=STEPS))
        if miner != AWAY:
            sub.opening.size = 1000
        now.teams.add(miners=[miner], chunks=[at + number, at])
    now.selection.verdicts.add(miner=HONEST, weight=1, reason=b.CONTRIBUTES)
    wrong = now.selection.verdicts.add(miner=RIDER, reason=b.WRONG_WORK)
    wrong.proof.CopyFrom(b.WorkProof(item=item, claimed=CLAIMED, replayed=REPLAYED, seats=[1, 3]))
    now.selection.verdicts.add(miner=MATE, reason=b.REPLICA, share=1)
    now.selection.verdicts.add(miner=AWAY, reason=b.NO_TRACE)
    made.ceremonies.add(round=number, seats=[1, 2, 3])
    for seat in (1, 2, 3):
        made.screenings.add(
            seat=seat, verifier=f"V{seat}/verifier", replays={"digest": "ef" * 32, "size": 50}
        )
    made.misconducts.add(
        round=number, seat=2, verifier="V2/verifier", fault=b.FALSE_REPLAY, slashed=50, detail="it made it up"
    )
    made.misconducts.add(round=number, seat=3, verifier="V3/verifier", fault=b.MISSED_STEP)
    return made
