"""The contract `blocks`, queries: a task's whole view for a node, and pages for everyone else."""

from __future__ import annotations

from dataclasses import replace

from quorumlearn_proto.block_pb2 import Block, KeyContribution, Round, TaskView
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, SKETCH_DECRYPTION, Head
from quorumlearn_proto.page_pb2 import (
    AuthorisationPage,
    BlockPage,
    ContributionPage,
    MisconductPage,
    RoundPage,
    SubmissionPage,
)
from quorumlearn_proto.task_pb2 import Task

from .arguments import page, task_id, whole
from .call import Call
from .challenges import undecided
from .committee import free_seats, seat_numbers, seats
from .errors import Code, Refusal
from .rounds import advance
from .specification import MAX_ROUNDS
from .tables import (
    ACCUSATIONS,
    AUTHORISATIONS,
    BALLOTS,
    BLOCKS,
    CEREMONIES,
    CONTRIBUTIONS,
    MINERS,
    MISCONDUCTS,
    ROUNDS,
    SCREENINGS,
    SEATS,
    SUBMISSIONS,
)

_PURPOSES = tuple(int(purpose) for purpose in (SKETCH_DECRYPTION, AGGREGATE_DECRYPTION))


def view(call: Call, name: str) -> TaskView:
    """All that a node needs to derive its next action."""
    return _view(call, name, call.state(task_id(name)).round)


def round_view(call: Call, name: str, number: str) -> TaskView:
    """The same with the records of an earlier round in place of the current one's."""
    return _view(call, name, get_round(call, name, number).number)


def get_round(call: Call, name: str, number: str) -> Round:
    call.task(task_id(name))
    wanted = whole("round", number, 1, MAX_ROUNDS)
    found = call.ledger.get(ROUNDS, name, wanted)
    if found is None:
        raise Refusal(Code.NO_SUCH_ROUND, f"{name} has had no round {wanted} yet")
    return found


def get_block(call: Call, name: str, height: str) -> Block:
    call.task(task_id(name))
    number = whole("height", height, 0, MAX_ROUNDS)
    block = call.ledger.get(BLOCKS, name, number)
    if block is None:
        raise Refusal(Code.NO_SUCH_BLOCK, f"{name} has no block {number}")
    return block


def head(call: Call, name: str) -> Head:
    return call.state(task_id(name)).head


def blocks(call: Call, name: str, page_size: str, bookmark: str) -> BlockPage:
    call.task(task_id(name))
    rows, following = call.ledger.page(BLOCKS, *page(page_size, bookmark), name)
    return BlockPage(blocks=rows, bookmark=following)


def rounds(call: Call, name: str, page_size: str, bookmark: str) -> RoundPage:
    call.task(task_id(name))
    rows, following = call.ledger.page(ROUNDS, *page(page_size, bookmark), name)
    return RoundPage(rounds=rows, bookmark=following)


def submissions(call: Call, name: str, number: str, page_size: str, bookmark: str) -> SubmissionPage:
    call.task(task_id(name))
    wanted = whole("round", number, 1, MAX_ROUNDS)
    rows, following = call.ledger.page(SUBMISSIONS, *page(page_size, bookmark), name, wanted)
    return SubmissionPage(submissions=rows, bookmark=following)


def key_contributions(call: Call, name: str, number: str, page_size: str, bookmark: str) -> ContributionPage:
    """Of all attempts at the round's ceremony, also those that failed: so that anybody can judge them again."""
    call.task(task_id(name))
    wanted = whole("round", number, 1, MAX_ROUNDS)
    rows, following = call.ledger.page(CONTRIBUTIONS, *page(page_size, bookmark), name, wanted)
    return ContributionPage(contributions=rows, bookmark=following)


def misconducts(call: Call, name: str, page_size: str, bookmark: str) -> MisconductPage:
    call.task(task_id(name))
    rows, following = call.ledger.page(MISCONDUCTS, *page(page_size, bookmark), name)
    return MisconductPage(misconducts=rows, bookmark=following)


def authorisations(call: Call, name: str, page_size: str, bookmark: str) -> AuthorisationPage:
    call.task(task_id(name))
    rows, following = call.ledger.page(AUTHORISATIONS, *page(page_size, bookmark), name)
    return AuthorisationPage(authorisations=rows, bookmark=following)


def _view(call: Call, name: str, number: int) -> TaskView:
    task, state, ledger = call.task(name), call.state(name), call.ledger
    _load(call, task, number)
    answer = TaskView(task=task, state=state, now_ms=call.now_ms)
    answer.seats.extend(seats(call, task))
    answer.free_seats.extend(free_seats(call, task, state))
    answer.miners.extend(entry.miner for entry in ledger.scan(MINERS, name) if not entry.left)
    answer.challenges.extend(undecided(call, name))
    round_ = ledger.get(ROUNDS, name, number) if number else None
    if round_ is not None:
        answer.round.CopyFrom(round_)
        numbers = seat_numbers(task)
        answer.submissions.extend(call.submissions(round_))
        answer.screenings.extend(ledger.among(SCREENINGS, name, number, last=numbers))
        answer.ballots.extend(ledger.among(BALLOTS, name, number, round_.proposer_turn, last=numbers))
        answer.accusations.extend(ledger.scan(ACCUSATIONS, name, number))
        answer.authorisations.extend(ledger.among(AUTHORISATIONS, name, number, last=_PURPOSES))
        for ceremony_of in (number, number + 1):
            answer.contributions.extend(_ceremony(call, answer, ceremony_of))
            answer.misconducts.extend(ledger.scan(MISCONDUCTS, name, ceremony_of))
    answer.can_advance = advance(replace(call, ledger=ledger.scratch()), task, deadlines=True)
    return answer


def _ceremony(call: Call, answer: TaskView, number: int) -> list[KeyContribution]:
    """Adds the round's ceremony to the view; its current attempt's contributions."""
    name = answer.state.task_id
    ceremony = call.ledger.get(CEREMONIES, name, number)
    if ceremony is None:
        return []
    answer.ceremonies.append(ceremony)
    at = (name, number, ceremony.attempt)
    return call.ledger.among(CONTRIBUTIONS, *at, last=seat_numbers(answer.task))


def _load(call: Call, task: Task, number: int) -> None:
    """Read what the view is made of, as far as its keys are known, in two messages."""
    name, ledger, numbers = task.spec.task_id, call.ledger, seat_numbers(task)
    ledger.load(
        *((SEATS, name, seat) for seat in numbers),
        (ROUNDS, name, number),
        (CEREMONIES, name, number),
        (CEREMONIES, name, number + 1),
    )
    round_ = ledger.get(ROUNDS, name, number)
    if round_ is None:
        return
    ceremonies = [ledger.get(CEREMONIES, name, one) for one in (number, number + 1)]
    ledger.load(
        *((SUBMISSIONS, name, number, miner) for miner in round_.miners),
        *((SCREENINGS, name, number, seat) for seat in numbers),
        *((BALLOTS, name, number, round_.proposer_turn, seat) for seat in numbers),
        *((AUTHORISATIONS, name, number, purpose) for purpose in _PURPOSES),
        *(
            (CONTRIBUTIONS, name, ceremony.round, ceremony.attempt, seat)
            for ceremony in ceremonies
            if ceremony is not None
            for seat in numbers
        ),
    )
