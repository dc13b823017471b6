"""Challenges of accepted blocks: a deposit, the committee's vote, and what an upheld one reverts.

Every seat of the task may vote, also after the task has ended. t ballots not GOOD uphold the challenge:
the block and all that were built on it are marked REVERTED, the head moves back to the last good block, a
round under way on a reverted block is aborted, and the deposit is returned. t GOOD ballots dismiss it and
the deposit goes to the treasury. Undecided at its deadline it is dismissed, the deposit returned, and the
block may be challenged again.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorumlearn_proto.block_pb2 import Ballot, BallotReason, Block, BlockStatus, Challenge, ChallengeStatus
from quorumlearn_proto.reward_pb2 import Movement, MovementKind
from quorumlearn_proto.task_pb2 import Task, TaskState

from .call import Call
from .errors import Code, Refusal
from .ledger import Possible
from .settlement import head_of
from .tables import BLOCKS, CHALLENGES, STATES
from .tokens import credit, debit


def open_challenge(call: Call, task: Task, block: Block) -> None:
    """Lock the deposit and open the vote. Refused outside the window, or if the vote was or is held."""
    spec, height = task.spec, block.core.height
    if height == 0 or block.status != BlockStatus.GOOD_BLOCK:
        raise Refusal(Code.WRONG_PHASE, f"block {height} is not an accepted block that is still good")
    end = block.accepted_at_ms + spec.challenge_window_seconds * 1000
    if call.passed(end):
        raise Refusal(Code.WINDOW_CLOSED, f"block {height} could be challenged until {end} (ms since 1970)")
    former = call.ledger.get(CHALLENGES, spec.task_id, height)
    if former is not None and (
        former.status == ChallengeStatus.UNDECIDED or _good(former) >= spec.committee.threshold
    ):
        raise Refusal(Code.ALREADY_CHALLENGED, f"block {height} is or was challenged: see its votes")
    deposit = spec.stakes.challenge
    debit(call, call.actor, Movement(kind=MovementKind.STAKE, amount=deposit, task_id=spec.task_id))
    challenge = Challenge(
        task_id=spec.task_id,
        height=height,
        challenger=call.actor,
        deposit=deposit,
        deadline_ms=call.deadline(spec.timeouts.validate),
        status=ChallengeStatus.UNDECIDED,
    )
    call.ledger.put(CHALLENGES, challenge, spec.task_id, height)


def vote(call: Call, task: Task, challenge: Challenge, ballot: Ballot) -> bool:
    """Add a seat's ballot and decide if it completes t equal ones; whether blocks were reverted."""
    t = task.spec.committee.threshold
    challenge.ballots.append(ballot)
    challenge.ballots.sort(key=lambda entry: entry.seat)
    if _good(challenge) >= t:
        challenge.burnt = challenge.deposit
        _decide(call, challenge, ChallengeStatus.DISMISSED)
    elif len(challenge.ballots) - _good(challenge) >= t:
        _decide(call, challenge, ChallengeStatus.UPHELD)
        _return_deposit(call, challenge)
        _revert(call, task, challenge.height)
        return True
    else:
        call.ledger.put(CHALLENGES, challenge, challenge.task_id, challenge.height)
    return False


def overdue(call: Call, state: TaskState) -> list[Challenge]:
    """The task's open challenges whose deadline has passed."""
    return [entry for entry in undecided(call, state) if call.passed(entry.deadline_ms)]


def dismiss(call: Call, due: Sequence[Challenge]) -> None:
    """Dismiss what nobody has decided in time."""
    for challenge in due:
        _decide(call, challenge, ChallengeStatus.DISMISSED)
        _return_deposit(call, challenge)


def undecided(call: Call, state: TaskState) -> list[Challenge]:
    """The task's open challenges."""
    challenges = call.ledger.every(possible_challenges(state))
    return [entry for entry in challenges if entry.status == ChallengeStatus.UNDECIDED]


def possible_challenges(state: TaskState) -> Possible[Challenge]:
    """A round accepts at most one block, so no block is higher than the rounds that there were."""
    return Possible(CHALLENGES, (state.task_id,), range(1, state.round + 1))


def _revert(call: Call, task: Task, height: int) -> None:
    """Mark the block and its descendants reverted, which are all good blocks from this height on."""
    task_id = task.spec.task_id
    good = [b for b in call.ledger.scan(BLOCKS, task_id) if b.status == BlockStatus.GOOD_BLOCK]
    for block in good:
        if block.core.height >= height:
            block.status = BlockStatus.REVERTED
            call.ledger.put(BLOCKS, block, task_id, block.core.height)
    state = call.state(task_id)
    state.head.CopyFrom(head_of([block for block in good if block.core.height < height][-1]))
    call.ledger.put(STATES, state, task_id)
    for challenge in undecided(call, state):
        if challenge.height > height:
            _decide(call, challenge, ChallengeStatus.UPHELD)
            _return_deposit(call, challenge)


def _decide(call: Call, challenge: Challenge, status: ChallengeStatus) -> None:
    challenge.status = status
    call.ledger.put(CHALLENGES, challenge, challenge.task_id, challenge.height)


def _return_deposit(call: Call, challenge: Challenge) -> None:
    credit(
        call,
        challenge.challenger,
        Movement(kind=MovementKind.STAKE_RETURN, amount=challenge.deposit, task_id=challenge.task_id),
    )


def _good(challenge: Challenge) -> int:
    return sum(ballot.reason == BallotReason.GOOD for ballot in challenge.ballots)
