"""The contract `blocks`, where training is replayed: traces opened by miners, reports of seats, and keys of sealed data.

What a miner does writes its own key only, as Commit and Reveal do. A seat fixes its report by digest, and puts it into the store once
all have: nobody copies what others found.
"""

from __future__ import annotations

from collections.abc import Mapping

from quorumlearn_proto.block_pb2 import Grant, Manifest, Phase, Round
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.protocol import ROUND
from quorumlearn_proto.recompute import least_steps, most_steps, recomputes, replays
from quorumlearn_proto.task_pb2 import Exactness, TaskSpec

from .arguments import artifact, bad, digest, record, shown, task_id
from .call import Call
from .errors import Code, Refusal
from .rounds import move_on, renew
from .standing import miner_event, round_in, round_of_seat, screening_of, seat_of
from .tables import CEREMONIES, CONTRIBUTIONS, GRANTS, SCREENINGS, SUBMISSIONS


def open_trace(call: Call, name: str, number: str, text: str) -> None:
    round_ = round_in(call, name, number)
    submission = call.ledger.get(SUBMISSIONS, name, round_.number, call.actor)
    if not ROUND[Phase.REVEAL].done(submission):
        raise Refusal(Code.WRONG_ROLE, f"{call.actor} has not revealed in round {round_.number} of {name}")
    assert submission is not None, "who has revealed has a record"
    if ROUND[Phase.TRACE].done(submission):
        raise Refusal(
            Code.ALREADY_POSTED, f"{call.actor} has opened its trace in round {round_.number} of {name}"
        )
    submission.opening.CopyFrom(artifact("opening", record(ArtifactRef, text)))
    call.ledger.put(SUBMISSIONS, submission, name, round_.number, call.actor)
    call.event.shown.append(submission.opening)
    miner_event(call, round_)


def post_replay(call: Call, name: str, number: str, text: str) -> None:
    task, seat = seat_of(call, name)
    round_ = round_of_seat(call, name, number, seat)
    screening = screening_of(call, round_, seat)
    if ROUND[Phase.REPLAY].done(screening):
        raise Refusal(Code.ALREADY_POSTED, f"seat {seat} has posted its report")
    screening.replays.CopyFrom(artifact("report", record(ArtifactRef, text)))
    call.ledger.put(SCREENINGS, screening, name, round_.number, seat)
    move_on(call, task)


def grant(call: Call, name: str, number: str, text: str) -> None:
    """Name the keys of the round's chunks, once. With them COMMIT begins anew, so that there is time to train. Others in their place could
    name another list of chunks: then what miners have trained on the first, honestly, is not what seats replay."""
    task = call.task(task_id(name))
    if call.actor != task.owner:
        raise Refusal(Code.NOT_THE_OWNER, f"only {task.owner} gives the keys of {name}")
    if not task.spec.recompute.sealed:
        raise Refusal(Code.NOT_SUPPORTED, f"the data of {name} are not sealed: nobody needs keys")
    round_ = round_in(call, name, number)
    if call.is_over(round_.deadline_ms):
        raise Refusal(Code.WRONG_PHASE, f"the time of COMMIT in round {number} of {name} is over")
    if call.ledger.get(GRANTS, name, round_.number) is not None:
        raise Refusal(Code.ALREADY_POSTED, f"the keys of round {number} of {name} have been given")
    given = Grant(task_id=name, round=round_.number, keys=artifact("keys", record(ArtifactRef, text)))
    renew(call, task, round_)
    call.ledger.put(GRANTS, given, name, round_.number)
    call.event.shown.append(given.keys)


def profiles(call: Call, spec: TaskSpec, round_: Round) -> Mapping[int, str]:
    """The numeric profiles of the seats that made the round's key; none where no training can be replayed."""
    if not replays(spec):
        return {}
    ceremony = call.ledger.get(CEREMONIES, round_.task_id, round_.number)
    if ceremony is None:
        raise RuntimeError(f"round {round_.number} of {round_.task_id} has a key without a ceremony")
    if spec.recompute.exactness != Exactness.PROFILE:
        return dict.fromkeys(ceremony.seats, "")
    at = (round_.task_id, round_.number, ceremony.attempt)
    parts = call.ledger.among(CONTRIBUTIONS, *at, last=ceremony.seats)
    return {part.seat: part.profile for part in parts}


def check_training(spec: TaskSpec, manifest: Manifest) -> None:
    """What a manifest says of the training where it can be replayed or has replicas, and in no other task."""
    if not recomputes(spec):
        for field in ("trace_root", "steps", "profile"):
            if value := getattr(manifest, field):
                raise bad(
                    f"the manifest's {field} is {shown(str(value))}: it must be left out in robust mode"
                )
        return
    digest("the manifest's trace_root", manifest.trace_root)
    each, least, most = spec.recompute.chunk_steps, least_steps(spec), most_steps(spec)
    if not least <= manifest.steps <= most or manifest.steps % each:
        allowed = (
            f"a multiple of {each}, the steps of a chunk, up to {most}"
            if least < most
            else f"{most}, since all are paid alike in this task"
        )
        raise bad(f"the manifest's steps is {manifest.steps}: {allowed}")
    if spec.recompute.exactness == Exactness.PROFILE:
        digest("the manifest's profile", manifest.profile)
    elif manifest.profile:
        raise bad(f"the manifest's profile is {shown(manifest.profile)}: it must be left out with PORTABLE")
