"""The contract `blocks`: what miners and verifiers do in a round, and challenges.

What miners do on the hot path (Commit, Reveal) reads the task, its Round and their own keys and writes
their own keys only. What a verifier does writes its own key, and moves the ceremony or the round on when it
completes the step.
"""

from __future__ import annotations

from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import (
    Accusation,
    Ballot,
    BlockStatus,
    Candidate,
    ChallengeStatus,
    Manifest,
    Phase,
    Round,
    Screening,
    Selection,
    Submission,
)
from quorumlearn_proto.classes import MAX_SAMPLES
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.derived import beacon_commitment, miner_groups, top_class
from quorumlearn_proto.protocol import ROUND
from quorumlearn_proto.task_pb2 import TaskSpec

from . import accusations, challenges
from .arguments import artifact, bad, digest, line, record, secret_bytes, shown, task_id, whole
from .authorisation import opened_on
from .ballots import given_ballot
from .call import Call
from .errors import Code, Refusal
from .phases import selection_fault
from .replays import check_training, profiles
from .rounds import advance, enter, move_on, rebase
from .specification import MAX_ROUNDS
from .standing import miner_event, round_in, round_of_seat, screening_of, seat_of, takes_part
from .tables import (
    BLOCKS,
    CEREMONIES,
    CHALLENGES,
    CONTRIBUTIONS,
    SCREENINGS,
    SUBMISSIONS,
    UPDATES,
)


def commit(call: Call, name: str, number: str, manifest_digest: str) -> None:
    round_ = round_in(call, name, number)
    digest("manifest digest", manifest_digest)
    if call.actor not in round_.miners:
        raise Refusal(Code.WRONG_ROLE, f"{call.actor} is no miner of round {round_.number} of {name}")
    if call.ledger.get(SUBMISSIONS, name, round_.number, call.actor) is not None:
        raise Refusal(
            Code.ALREADY_COMMITTED, f"{call.actor} has committed in round {round_.number} of {name}"
        )
    submission = Submission(
        task_id=name,
        round=round_.number,
        miner=call.actor,
        manifest_digest=manifest_digest,
        commit_tx=call.transaction_id,
    )
    call.ledger.put(SUBMISSIONS, submission, name, round_.number, call.actor)
    miner_event(call, round_)


def reveal(call: Call, name: str, number: str, text: str, claim: str) -> None:
    round_ = round_in(call, name, number)
    manifest = record(Manifest, text)
    digest("claim", claim)
    submission = call.ledger.get(SUBMISSIONS, name, round_.number, call.actor)
    if submission is None:
        raise Refusal(Code.WRONG_ROLE, f"{call.actor} has not committed in round {round_.number} of {name}")
    if ROUND[Phase.REVEAL].done(submission):
        raise Refusal(Code.ALREADY_REVEALED, f"{call.actor} has revealed in round {round_.number} of {name}")
    if canonical.digest(manifest) != submission.manifest_digest:
        raise Refusal(
            Code.DIGEST_MISMATCH,
            f"the manifest's digest {canonical.digest(manifest)} is not the one committed",
        )
    _check_manifest(call, call.task(name).spec, manifest, round_)
    update = manifest.update.digest
    if call.ledger.get(UPDATES, name, update) is not None:
        raise Refusal(
            Code.DUPLICATE_UPDATE, f"the update {update} was revealed in {name} before: an update counts once"
        )
    submission.manifest.CopyFrom(manifest)
    submission.claim = claim
    call.ledger.put(SUBMISSIONS, submission, name, round_.number, call.actor)
    call.ledger.put(UPDATES, manifest.update, name, update)
    call.event.shown.extend((manifest.update, manifest.salts))
    miner_event(call, round_)


def reveal_beacon(call: Call, name: str, number: str, secret: str) -> None:
    task, seat = seat_of(call, name)
    round_ = round_of_seat(call, name, number, seat)
    known = secret_bytes("the beacon's part", secret)
    ceremony = call.ledger.get(CEREMONIES, name, round_.number)
    attempt = ceremony.attempt if ceremony else 0
    part = call.ledger.get(CONTRIBUTIONS, name, round_.number, attempt, seat)
    if part is None:
        raise RuntimeError(f"seat {seat} is in round {round_.number} of {name} without a contribution")
    if ROUND[Phase.BEACON].done(part):
        raise Refusal(Code.ALREADY_REVEALED, f"seat {seat} has revealed its part of the beacon")
    if beacon_commitment(known) != part.beacon_commitment:
        raise Refusal(Code.DIGEST_MISMATCH, "this is not the secret committed to with the key")
    part.beacon = secret
    call.ledger.put(CONTRIBUTIONS, part, name, round_.number, attempt, seat)
    move_on(call, task)


def post_sketch(call: Call, name: str, number: str, text: str) -> None:
    task, seat = seat_of(call, name)
    round_ = round_of_seat(call, name, number, seat)
    screening = screening_of(call, round_, seat)
    if ROUND[Phase.SCREEN].done(screening):
        raise Refusal(Code.ALREADY_POSTED, f"seat {seat} has posted its sketch shares")
    screening.sketch_shares.CopyFrom(artifact("sketch shares", record(ArtifactRef, text)))
    call.ledger.put(SCREENINGS, screening, name, round_.number, seat)
    move_on(call, task)


def vote_selection(call: Call, name: str, number: str, text: str, basis: str) -> None:
    task, seat = seat_of(call, name)
    round_ = round_of_seat(call, name, number, seat)
    selection = record(Selection, text)
    for verdict in selection.verdicts:
        line("a verdict's detail", verdict.detail)
    submissions = {entry.miner: entry for entry in call.submissions(round_)}
    groups = miner_groups(opened_on(call, round_))
    known = profiles(call, task.spec, round_)
    fault = selection_fault(task.spec, selection, round_, submissions, groups, known)
    if fault:
        raise bad(f"the selection is refused: {fault}")
    screening = _screening(call, round_, seat)
    screening.selection.CopyFrom(selection)
    screening.basis = digest("basis", basis)
    call.ledger.put(SCREENINGS, screening, name, round_.number, seat)
    move_on(call, task)


def accuse(call: Call, name: str, number: str, text: str) -> None:
    task, seat = seat_of(call, name)
    round_ = round_of_seat(call, name, number, seat)
    settled = accusations.accuse(call, task, round_, seat, record(Accusation, text))
    call.event.moved = advance(call, task, deadlines=False) or settled


def post_partial(call: Call, name: str, number: str, aggregate: str, text: str) -> None:
    task, seat = seat_of(call, name)
    round_ = round_of_seat(call, name, number, seat)
    screening = _screening(call, round_, seat)
    if ROUND[Phase.OPEN].done(screening):
        raise Refusal(Code.ALREADY_POSTED, f"seat {seat} has posted its partial decryption")
    screening.aggregate_ciphertext = digest("aggregate ciphertext", aggregate)
    screening.partial.CopyFrom(artifact("partial decryption", record(ArtifactRef, text)))
    call.ledger.put(SCREENINGS, screening, name, round_.number, seat)
    move_on(call, task)


def propose(call: Call, name: str, number: str, text: str) -> None:
    round_ = round_in(call, name, number)
    candidate = record(Candidate, text)
    proposer = round_.proposers[round_.proposer_turn]
    if call.actor != proposer:
        raise Refusal(Code.NOT_YOUR_TURN, f"it is the turn of {proposer} in round {round_.number} of {name}")
    if candidate.proposer not in ("", call.actor):
        raise bad(f"proposer is {shown(candidate.proposer)}: the submitter, or left out")
    candidate.proposer = call.actor
    artifact("model", candidate.model)
    artifact("aggregate", candidate.aggregate)
    round_.candidate.CopyFrom(candidate)
    enter(call, call.task(name), round_, ROUND[Phase.PROPOSE].next)
    call.event.moved = True


def advance_task(call: Call, name: str) -> None:
    if not advance(call, call.task(task_id(name)), deadlines=True):
        raise Refusal(
            Code.NOT_DUE, f"nothing of {name} is due: a step is complete or its deadline has not passed"
        )
    call.event.moved = True


def challenge(call: Call, name: str, height: str, reason: str) -> None:
    task = call.task(task_id(name))
    number = whole("height", height, 0, MAX_ROUNDS)
    call.event.detail = line("reason", reason)
    if not takes_part(call, task):
        raise Refusal(
            Code.WRONG_ROLE,
            f"{call.actor} takes no part in {name}: its owner, miners and verifiers challenge",
        )
    block = call.ledger.get(BLOCKS, name, number)
    if block is None:
        raise Refusal(Code.NO_SUCH_BLOCK, f"{name} has no block {number}")
    challenges.open_challenge(call, task, block)
    call.event.round = block.core.round


def vote_challenge(call: Call, name: str, height: str, text: str) -> None:
    task, seat = seat_of(call, name)
    number = whole("height", height, 0, MAX_ROUNDS)
    opened, block = call.ledger.get(CHALLENGES, name, number), call.ledger.get(BLOCKS, name, number)
    if opened is None or block is None:
        raise Refusal(Code.NO_SUCH_CHALLENGE, f"block {number} of {name} is not challenged")
    if opened.status != ChallengeStatus.UNDECIDED or block.status != BlockStatus.GOOD_BLOCK:
        raise Refusal(Code.WRONG_PHASE, f"the challenge of block {number} of {name} is decided")
    if any(entry.seat == seat for entry in opened.ballots):
        raise Refusal(Code.ALREADY_VOTED, f"seat {seat} has voted on the challenge of block {number}")
    row = Ballot(task_id=name, round=block.core.round, seat=seat, verifier=call.actor)
    row.model = block.core.model.digest
    ballot = given_ballot(record(Ballot, text), task.spec, row)
    call.event.round = block.core.round
    if challenges.vote(call, task, opened, ballot) and rebase(call, task):
        advance(call, task, deadlines=False)
    call.event.moved = opened.status != ChallengeStatus.UNDECIDED


def _screening(call: Call, round_: Round, seat: int) -> Screening:
    screening = call.ledger.get(SCREENINGS, round_.task_id, round_.number, seat)
    if screening is None:
        raise RuntimeError(
            f"seat {seat} is past SCREEN in round {round_.number} of {round_.task_id} without a record"
        )
    return screening


def _check_manifest(call: Call, spec: TaskSpec, manifest: Manifest, round_: Round) -> None:
    expected = (
        ("task_id", manifest.task_id, round_.task_id),
        ("round", str(manifest.round), str(round_.number)),
        ("miner", manifest.miner, call.actor),
        ("base_block", manifest.base_block, round_.base.digest),
    )
    for field, value, wanted in expected:
        if value != wanted:
            raise bad(f"the manifest's {field} is {shown(value)}: it must be {wanted}")
    check_training(spec, manifest)
    artifact("update", manifest.update)
    artifact("salts", manifest.salts)
    if manifest.sample_count > MAX_SAMPLES:
        raise bad(f"the manifest's sample_count is {manifest.sample_count}: 0 to {MAX_SAMPLES}")
    low, high = (1, top_class(spec)) if spec.sample_classes else (0, 0)
    if not low <= manifest.sample_class <= high:
        raise bad(f"the manifest's sample_class is {manifest.sample_class}: {low} to {high} in this task")
