"""Endorsers write the same bytes for the same transactions, whatever order their processes keep sets in."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from quorumlearn_proto.block_pb2 import Fault, Phase
from quorumlearn_proto.task_pb2 import Committee

from tests.chaincode.contracts.market_actors import TASK, Play, spec


def played() -> str:
    """A digest of all that a task with a failed key, an accused seat and a changed committee leaves on the ledger."""
    play = Play(seats=5)
    task = spec(rounds=3)
    msp_ids = ["V1MSP", "V2MSP", "V3MSP", "V4MSP"]
    committee = Committee(msp_ids=msp_ids, threshold=3, reserve_msp_ids=["V5MSP"])
    task.committee.CopyFrom(committee)
    reserve = play.seats.pop(5)
    play.start(task)
    for function in ("CommitKey", "RevealKey", "TestKey", "ConfirmKey", "OpenKey"):
        for seat in play.seats:
            play.key_step(function, seat, 1, key="lie" if seat == 2 else "key")
    for seat in play.seats:
        play.blame(seat, {2: Fault.FALSE_CONFIRMATION})
    play.honest_ceremony()
    play.send(play.seats[2], "tasks:LeaveCommittee", TASK)
    play.whole_round()
    play.to(Phase.SELECT)
    for accuser in (1, 2, 3):
        play.accuse(accuser, 4, Fault.BAD_SKETCH_SHARES)
    play.whole_round()
    play.send(reserve, "tasks:JoinCommittee", TASK)
    play.whole_round()
    play.view()
    left = hashlib.sha256()
    for key, (value, _) in sorted(play.peer.state.items()):
        left.update(key.encode() + value)
    for name, payload in play.peer.events:
        left.update(name.encode() + payload)
    return left.hexdigest()


def test_what_a_task_leaves_does_not_depend_on_the_process() -> None:
    digests = {played()}
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "tests.chaincode.contracts.test_endorsers_agree"],
            cwd=Path(__file__).parents[3],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1


if __name__ == "__main__":
    sys.stdout.write(played())
