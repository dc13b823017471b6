"""How rounds and tasks end: the block and its payment, the next round, refunds. One transaction, all or
nothing.

An accepted round appends a block, moves the head, pays by weight or contribution and counts useful work. What another owes
follows from whether its aggregate may have been opened (`payment` has the rules): then it pays all the same. A
rejected one pays its seats in any case. Then the next round opens from the head, or the task ends and everything
locked goes back.

A block's height is its number in the order of acceptance: after a revert the next block takes a number
never used, and its `previous` names the block it was trained from. So the good blocks are always one
hash-linked chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import (
    Ballot,
    Block,
    BlockCore,
    BlockStatus,
    Ceremony,
    CeremonyStep,
    Outcome,
    Phase,
    PhaseTime,
    Round,
    Submission,
)
from quorumlearn_proto.classes import share_of
from quorumlearn_proto.common_pb2 import Head
from quorumlearn_proto.contribution import group_parts
from quorumlearn_proto.derived import bare_selection
from quorumlearn_proto.protocol import CEREMONY, ROUND
from quorumlearn_proto.task_pb2 import Task, TaskState, TaskStatus

from .call import Call, submission_places
from .ledger import Place
from .miners_queue import eligible_miners, participation, settle_places
from .payment import miners_part, proposer_share, shared_out, verifier_share
from .phases import Closing
from .seats import holder, release_seats, seat_numbers, seat_places, seats_for
from .tables import BLOCKS, CEREMONIES, ESCROWS, MINERS, ROUNDS, SCREENINGS, STAKES, STATES
from .tokens import carried, carry, end_escrow, pay, pay_carried, return_stake, stake_of
from .verdicts import work_done

TOO_FEW_MINERS = "TOO_FEW_MINERS"
TOO_FEW_VERIFIERS = "TOO_FEW_VERIFIERS"


def genesis(task: Task) -> Block:
    """Height 0: the initial model, linked to the digest of the task's specification."""
    core = BlockCore(task_id=task.spec.task_id, previous=task.spec_digest, model=task.spec.initial_model)
    return Block(
        core=core,
        digest=canonical.digest(core),
        status=BlockStatus.GOOD_BLOCK,
        accepted_at_ms=task.published_at_ms,
    )


def head_of(block: Block) -> Head:
    return Head(height=block.core.height, digest=block.digest, model=block.core.model)


def end_round(call: Call, task: Task, state: TaskState, round_: Round, closing: Closing) -> None:
    """End the round with the closing's outcome, pay, and open what follows."""
    opened = _may_be_opened(call, task, round_)
    settle_places(call, round_)
    round_.phase = Phase.ENDED
    round_.deadline_ms = 0
    round_.outcome = closing.outcome
    round_.reason = str(closing.reason)
    round_.times.append(PhaseTime(phase=Phase.ENDED, entered_ms=call.now_ms))
    call.ledger.put(ROUNDS, round_, task.spec.task_id, round_.number)
    last = round_.number == task.spec.rounds or state.cancel_requested
    miners = [] if last else eligible_miners(call, task)
    payouts = _load(call, task, round_, closing, opened, goes_on=len(miners) >= task.spec.min_miners)
    if closing.outcome == Outcome.ACCEPTED:
        _accept(call, task, state, round_, closing.ballots)
    for account, amount in payouts:
        pay(call, task.spec.task_id, round_.number, account, amount)
    if closing.outcome == Outcome.ACCEPTED:
        _pay_carried(call, task, round_, closing)
    elif opened:
        carry(call, task.spec.task_id, _unearned(task, closing.outcome))
    release_seats(call, task, round_.number)
    if round_.number == task.spec.rounds:
        finish(call, task, state, TaskStatus.COMPLETED)
    elif state.cancel_requested:
        finish(call, task, state, TaskStatus.CANCELLED, "cancelled by its owner")
    else:
        _release_miners(call, task)
        open_round(call, task, state, round_.number + 1, miners)


def first_places(task_id: str, number: int) -> list[Place]:
    """What opening a round reads and writes."""
    return [(ROUNDS, task_id, number), (CEREMONIES, task_id, number)]


def open_round(call: Call, task: Task, state: TaskState, number: int, miners: Sequence[str]) -> None:
    """Open a round from the head with the miners eligible now; with too few of them the task expires."""
    if len(miners) < task.spec.min_miners:
        finish(call, task, state, TaskStatus.EXPIRED, TOO_FEW_MINERS)
        return
    state.status = TaskStatus.RUNNING
    state.round = number
    call.ledger.put(STATES, state, task.spec.task_id)
    round_ = Round(task_id=task.spec.task_id, number=number, phase=Phase.KEY, miners=miners, base=state.head)
    round_.times.append(PhaseTime(phase=Phase.KEY, entered_ms=call.now_ms))
    call.ledger.put(ROUNDS, round_, task.spec.task_id, number)
    open_ceremony(call, task, number)


def open_ceremony(call: Call, task: Task, number: int) -> None:
    """Open a round's ceremony with the seats that can take part, unless it is open."""
    if call.ledger.get(CEREMONIES, task.spec.task_id, number) is None:
        first = CEREMONY[CeremonyStep.KEY_COMMIT]
        ceremony = Ceremony(
            task_id=task.spec.task_id,
            round=number,
            attempt=1,
            step=first.at,
            deadline_ms=call.deadline(first.seconds(task.spec.timeouts)),
            seats=seats_for(call, task, number),
        )
        call.ledger.put(CEREMONIES, ceremony, task.spec.task_id, number)


def _release_miners(call: Call, task: Task) -> None:
    """Give back the stakes of those who left in the round that has ended."""
    for miner in call.ledger.scan(MINERS, task.spec.task_id):
        if not miner.left and miner.leaves_after:
            miner.left, miner.leaves_after = True, 0
            call.ledger.put(MINERS, miner, miner.task_id, miner.miner)
            return_stake(call, stake_of(call, miner.task_id, miner.miner))


def finish(call: Call, task: Task, state: TaskState, status: TaskStatus, reason: str = "") -> None:
    """End the task: what is carried is burnt, the rest of the escrow goes back to its owner, every stake to whom it belongs."""
    state.status = status
    state.reason = reason
    call.ledger.put(STATES, state, task.spec.task_id)
    stakes = call.ledger.scan(STAKES, task.spec.task_id)
    end_escrow(call, task.spec.task_id)
    for stake in stakes:
        return_stake(call, stake)


def _may_be_opened(call: Call, task: Task, round_: Round) -> bool:
    """Whether a partial decryption of the aggregate of the round under way was posted."""
    if round_.phase != Phase.OPEN:
        return round_.phase in (Phase.PROPOSE, Phase.VALIDATE)
    at, step = (round_.task_id, round_.number), ROUND[Phase.OPEN]
    return any(step.done(one) for one in call.ledger.among(SCREENINGS, *at, last=seat_numbers(task)))


def _load(
    call: Call, task: Task, round_: Round, closing: Closing, opened: bool, goes_on: bool
) -> list[tuple[str, int]]:
    """Read together what the end of the round reads and changes; what it pays."""
    task_id = task.spec.task_id
    places = seat_places(task)
    if goes_on:
        places += first_places(task_id, round_.number + 1)
    if closing.outcome == Outcome.ACCEPTED:
        places += submission_places(round_)
        places += [
            (MINERS, task_id, verdict.miner) for verdict in round_.selection.verdicts if share_of(verdict)
        ]
        places.append((BLOCKS, task_id, round_.base.height + 1))
    call.ledger.scan(STAKES, task_id)
    if not closing.ballots:  # then only the seats' records tell whom to pay
        call.ledger.load(*places)
    payouts = _payouts(call, task, round_, closing, opened)
    if payouts or opened:
        places.append((ESCROWS, task_id))
    call.ledger.load(*places)
    return payouts


def _payouts(call: Call, task: Task, round_: Round, closing: Closing, opened: bool) -> list[tuple[str, int]]:
    """Every payment of the round's own reward, an account and its tokens, in the order in which they are made."""
    reward = task.spec.reward
    payouts = []
    if opened and closing.outcome != Outcome.REJECTED:
        payouts += shared_out(miners_part(reward), round_, _parts(task, closing))
    if closing.outcome == Outcome.ACCEPTED:
        payouts.append((round_.candidate.proposer, proposer_share(reward)))
    if opened or closing.outcome == Outcome.REJECTED:
        voters = {ballot.seat: ballot.verifier for ballot in closing.ballots}
        share = verifier_share(reward, len(task.spec.committee.msp_ids))
        working = (seat for seat in round_.seats if seat not in closing.idle)
        payouts += [(voters.get(seat) or holder(call, round_.task_id, seat), share) for seat in working]
    return [(account, amount) for account, amount in payouts if amount]


def _unearned(task: Task, outcome: Outcome) -> int:
    """What nobody has earned of an opened round's reward where no block came of it: the proposer's part and, of a rejected one, the
    miners'.
    """
    withheld = miners_part(task.spec.reward) if outcome == Outcome.REJECTED else 0
    return withheld + proposer_share(task.spec.reward)


def _parts(task: Task, closing: Closing) -> list[int]:
    """In what proportion the round's groups are paid: ballots tell it where they have accepted a candidate."""
    return group_parts(task.spec, closing.ballots) if closing.outcome == Outcome.ACCEPTED else []


def _pay_carried(call: Call, task: Task, round_: Round, closing: Closing) -> None:
    """Share what earlier rounds have left among the miners whose updates are in the block."""
    for miner, amount in shared_out(carried(call, round_.task_id), round_, _parts(task, closing)):
        pay_carried(call, round_.task_id, round_.number, miner, amount)


def _accept(call: Call, task: Task, state: TaskState, round_: Round, ballots: tuple[Ballot, ...]) -> None:
    """Append the block, move the head to it and count the work of those whom it pays."""
    task_id = task.spec.task_id
    submissions = {entry.miner: entry for entry in call.submissions(round_)}
    block = _block(call, round_, ballots, submissions)
    call.ledger.put(BLOCKS, block, task_id, block.core.height)
    state.head.CopyFrom(head_of(block))
    call.ledger.put(STATES, state, task_id)
    for verdict in round_.selection.verdicts:
        if share_of(verdict):
            miner = participation(call, task_id, verdict.miner)
            miner.work += work_done(task.spec, submissions[verdict.miner])
            call.ledger.put(MINERS, miner, task_id, verdict.miner)


def _block(
    call: Call, round_: Round, ballots: tuple[Ballot, ...], submissions: Mapping[str, Submission]
) -> Block:
    height = round_.base.height + 1
    while call.ledger.get(BLOCKS, round_.task_id, height) is not None:
        height += 1
    core = BlockCore(
        task_id=round_.task_id,
        height=height,
        previous=round_.base.digest,
        round=round_.number,
        model=round_.candidate.model,
        aggregate=round_.candidate.aggregate.digest,
        verdicts=bare_selection(round_.selection).verdicts,
        proposer=round_.candidate.proposer,
    )
    return Block(
        core=core,
        digest=canonical.digest(core),
        status=BlockStatus.GOOD_BLOCK,
        ballots=ballots,
        manifests=[submissions[m].manifest_digest if m in submissions else "" for m in round_.miners],
        beacon=round_.beacon,
        aggregate_ciphertext=round_.aggregate_ciphertext,
        accepted_at_ms=call.now_ms,
    )
