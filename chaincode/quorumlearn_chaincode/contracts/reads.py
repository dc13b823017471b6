"""What a transaction is sure to read, so that it is read in few messages: asking the peer costs far more than what
it answers.

- The first message holds what the arguments name. A seat's step has a second one, since only the Task says which
  seat is the submitter's; blocks:Advance two more, by what is under way.
- To read a record is to conflict with whoever writes it at the same time. So nothing is read here that the
  transaction would not read anyway before it succeeds, but for records that nobody writes without writing one that
  it does read: a round's records of other phases than its present one, while the Round is read too.
- What is not well formed names nothing: that is for the function to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from google.protobuf.message import Message
from quorumlearn_proto.block_pb2 import KeyContribution, Manifest, Phase, Round, Screening, Submission
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, SKETCH_DECRYPTION
from quorumlearn_proto.protocol import ACCUSE, GRANT, ROUND, STEPS, Actor
from quorumlearn_proto.recompute import recomputes, replays
from quorumlearn_proto.task_pb2 import Task, TaskState

from .arguments import digest, identity, record, task_id, whole
from .authorisation import opened_place
from .call import Call, submission_places
from .ceremony import under_way
from .challenges import possible_challenges
from .errors import Refusal
from .ledger import Place, Possible
from .seats import own_seat, seat_numbers, seat_places
from .specification import MAX_ROUNDS, MAX_SEATS
from .tables import (
    ACCOUNTS,
    AUTHORISATIONS,
    BALLOTS,
    BLOCKS,
    CEREMONIES,
    CHALLENGES,
    CONTRIBUTIONS,
    ESCROWS,
    GRANTS,
    MINERS,
    QUEUES,
    ROUNDS,
    SCREENINGS,
    SEATS,
    STAKES,
    STATES,
    SUBMISSIONS,
    SUPPLY,
    TASKS,
    UPDATES,
)

Given = dict[str, str | int]
"""The submitter, as "actor", and what well-formed arguments name."""

_TASK: tuple[Place, ...] = ((TASKS, "task"), (STATES, "task"))
_ROUND: tuple[Place, ...] = (*_TASK, (ROUNDS, "task", "round"))
_CEREMONY: tuple[Place, ...] = (*_ROUND, (CEREMONIES, "task", "round"))
_MINER: tuple[Place, ...] = (*_TASK, (MINERS, "task", "actor"), (STAKES, "task", "actor"))
_SUBMISSION: tuple[Place, ...] = (*_ROUND, (SUBMISSIONS, "task", "round", "actor"))
_READS: dict[type[Message] | None, tuple[Place, ...]] = {KeyContribution: _CEREMONY, Submission: _SUBMISSION}
"""In a step whose actors have such records; in any other, _ROUND."""
_CHALLENGE: tuple[Place, ...] = (*_TASK, (BLOCKS, "task", "height"), (CHALLENGES, "task", "height"))

FIRST_READS: dict[str, tuple[Place, ...]] = {
    "rewards:Mint": ((SUPPLY,), (ACCOUNTS, "account")),
    "rewards:Transfer": ((ACCOUNTS, "actor"), (ACCOUNTS, "account")),
    "rewards:Account": ((ACCOUNTS, "account"),),
    "rewards:Statement": ((ACCOUNTS, "account"),),
    "rewards:Escrow": (*_TASK, (ESCROWS, "task")),
    "rewards:Stake": (*_TASK, (STAKES, "task", "account")),
    "rewards:Stakes": _TASK,
    "rewards:Totals": ((SUPPLY,),),
    "tasks:JoinCommittee": _MINER,
    "tasks:LeaveCommittee": _TASK,
    "tasks:Join": (*_MINER, (QUEUES, "task")),
    "tasks:Leave": _MINER,
    "tasks:Cancel": _TASK,
    "tasks:ShowKey": (*_TASK, (MINERS, "task", "actor")),
    "tasks:Get": _TASK,
    "tasks:Miners": _TASK,
    **{step.call: _READS.get(step.record, _ROUND) for step in STEPS.values()},
    ROUND[Phase.REVEAL].call: (*_SUBMISSION, (UPDATES, "task", "update")),
    ROUND[Phase.VALIDATE].show_call: _ROUND,
    ACCUSE: _ROUND,
    GRANT: (*_ROUND, (GRANTS, "task", "round")),
    "blocks:Advance": _TASK,
    "blocks:Challenge": _CHALLENGE,
    "blocks:VoteChallenge": _CHALLENGE,
    "blocks:View": _TASK,
    "blocks:RoundView": _ROUND,
    "blocks:Round": _ROUND,
    "blocks:Block": (*_TASK, (BLOCKS, "task", "height")),
    "blocks:Head": _TASK,
    "blocks:Blocks": _TASK,
    "blocks:Rounds": _TASK,
    "blocks:Submissions": _TASK,
    "blocks:KeyContributions": _TASK,
    "blocks:Ballots": _TASK,
    "blocks:Challenges": _TASK,
    "blocks:Misconducts": _TASK,
    "blocks:Authorisations": _TASK,
}
"""By function; a key's attributes are named as in `Given`."""

NAMED: dict[str, tuple[str, Callable[[str], str | int]]] = {
    "task": ("task", task_id),
    "round": ("round", lambda text: whole("round", text, 1, MAX_ROUNDS)),
    "attempt": ("attempt", lambda text: whole("attempt", text, 1, MAX_SEATS + 1)),
    "height": ("height", lambda text: whole("height", text, 0, MAX_ROUNDS)),
    "account": ("account", lambda text: identity("account", text)),
    "manifest": ("update", lambda text: digest("update", record(Manifest, text).update.digest)),
}
"""What an argument names, by parameter."""


def given(parameters: Iterable[str], arguments: Iterable[str], actor: str) -> Given:
    found: Given = {"actor": actor}
    for parameter, text in zip(parameters, arguments, strict=False):
        if parameter in NAMED:
            name, read = NAMED[parameter]
            try:
                found[name] = read(text)
            except Refusal:
                continue
    return found


def first_reads(function: str, named: Given) -> list[Place]:
    """What a function of this name reads besides the Config, known from its arguments."""
    return [
        (table, *(named[str(name)] for name in attributes))
        for table, *attributes in FIRST_READS.get(function, ())
        if all(name in named for name in attributes)
    ]


def step_reads(call: Call, named: Given) -> list[Place]:
    """What a seat's step reads besides: its seat, what it has done, and unless others are pending what they have.

    Who fixes a ballot closes nothing, and looks at nobody else's.
    """
    name, number = str(named.get("task", "")), int(named.get("round", 0))
    task = call.ledger.get(TASKS, name) if name and number else None
    if task is None:
        return []
    own = own_seat(task, call.msp_id)
    alone = call.pending or call.function == ROUND[Phase.VALIDATE].call
    seats = ([own] if own else []) if alone else seat_numbers(task)
    places: list[Place] = [(SEATS, name, own)] if own else []
    round_ = call.ledger.get(ROUNDS, name, number)
    if "attempt" in named:
        places += [(CONTRIBUTIONS, name, number, named["attempt"], seat) for seat in seats]
    elif round_ is not None:
        places += _acts(call, round_, seats)
        if round_.phase == Phase.SELECT:
            places += [*submission_places(round_), opened_place(round_)]
            places += [] if call.pending else [_authorisation(round_, AGGREGATE_DECRYPTION)]
            places += [(CEREMONIES, name, number)] if recomputes(task.spec) else []
        if round_.phase == Phase.REPLAY and not call.pending:
            places += [*submission_places(round_), _authorisation(round_, SKETCH_DECRYPTION)]
    return places


def load_due(call: Call, task: Task, state: TaskState) -> None:
    """Read what decides what is due of a running task, and what follows if its round's phase closes. Only where the
    task ends by it for want of miners has it read the next ceremony in vain.
    """
    name, ledger, numbers = state.task_id, call.ledger, seat_numbers(task)
    ceremonies = (state.round,) if state.cancel_requested else (state.round, state.round + 1)
    ledger.load(
        (ROUNDS, name, state.round),
        *((CEREMONIES, name, number) for number in ceremonies),
        *possible_challenges(state).places(),
    )
    places: list[Place] = []
    for number in ceremonies:
        ceremony = ledger.get(CEREMONIES, name, number)
        if ceremony is not None and under_way(ceremony):
            places += [(CONTRIBUTIONS, name, number, ceremony.attempt, seat) for seat in numbers]
    round_ = ledger.get(ROUNDS, name, state.round)
    if round_ is not None:
        places += _acts(call, round_, numbers) + _closing(call, task, round_, numbers)
    ledger.load(*places)


def load_begin(call: Call, task: Task, round_: Round, opens_next: bool, deadlines: bool) -> None:
    """Read what beginning a round that has its key reads, and what `rounds.advance` with `deadlines` does then."""
    name, following = round_.task_id, round_.number + 1
    places = submission_places(round_) if deadlines else []
    if recomputes(task.spec) and round_.number > 1:
        places.append((ROUNDS, name, round_.number - 1))
    if opens_next:
        places += [*seat_places(task), (CEREMONIES, name, following)]
    if opens_next and deadlines:
        places += [(CONTRIBUTIONS, name, following, 1, seat) for seat in seat_numbers(task)]
    call.ledger.load(*places)


def acts(call: Call, round_: Round, seats: Sequence[int]) -> Possible[Any] | None:
    """The records with which these seats act in the round's phase; None in a phase that is not theirs."""
    step = ROUND.get(round_.phase)
    if step is None or step.actor is not Actor.SEATS:
        return None
    if step.record is KeyContribution:
        return _beacons(call, round_, seats)
    if step.record is Screening:
        return Possible(SCREENINGS, (round_.task_id, round_.number), seats)
    return Possible(BALLOTS, (round_.task_id, round_.number, round_.proposer_turn), seats)


def _acts(call: Call, round_: Round, seats: Sequence[int]) -> list[Place]:
    found = acts(call, round_, seats)
    return [] if found is None else found.places()


def _closing(call: Call, task: Task, round_: Round, seats: Sequence[int]) -> list[Place]:
    """What else is read when the round's phase closes, and then of the next phase."""
    at = (round_.task_id, round_.number)
    match round_.phase:
        case Phase.COMMIT:
            keys: list[Place] = [(GRANTS, *at)] if task.spec.recompute.sealed else []
            return submission_places(round_) + keys + _beacons(call, round_, seats).places()
        case Phase.BEACON:
            return submission_places(round_)
        case Phase.REVEAL:
            places: list[Place] = [*submission_places(round_), *((SCREENINGS, *at, seat) for seat in seats)]
            return places if replays(task.spec) else [*places, _authorisation(round_, SKETCH_DECRYPTION)]
        case Phase.TRACE:
            return [*submission_places(round_), *((SCREENINGS, *at, seat) for seat in seats)]
        case Phase.REPLAY:
            return [*submission_places(round_), _authorisation(round_, SKETCH_DECRYPTION)]
        case Phase.SELECT:
            authorised = _authorisation(round_, AGGREGATE_DECRYPTION)
            return [*submission_places(round_), opened_place(round_), authorised]
        case _:
            return []


def _beacons(call: Call, round_: Round, seats: Sequence[int]) -> Possible[KeyContribution]:
    at = (round_.task_id, round_.number)
    ceremony = call.ledger.get(CEREMONIES, *at)
    attempt = ceremony.attempt if ceremony else 0
    return Possible(CONTRIBUTIONS, (*at, attempt), seats)


def _authorisation(round_: Round, purpose: int) -> Place:
    return (AUTHORISATIONS, round_.task_id, round_.number, purpose)
