"""The contract `blocks`, queries: a task's whole view for a node, and pages for everyone else."""

from __future__ import annotations

from google.protobuf.message import Message
from quorumlearn_proto.block_pb2 import Ballot, Block, Ceremony, Round, Screening, TaskView
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, SKETCH_DECRYPTION, Head
from quorumlearn_proto.page_pb2 import (
    AuthorisationPage,
    BallotPage,
    BlockPage,
    ChallengePage,
    ContributionPage,
    MisconductPage,
    RoundPage,
    SubmissionPage,
)
from quorumlearn_proto.protocol import ACCUSED, ROUND
from quorumlearn_proto.task_pb2 import Task, TaskState

from .accusations import possible_accusations
from .arguments import page, task_id, whole
from .authorisation import opened_place
from .call import Call, submission_places
from .challenges import possible_challenges, undecided
from .errors import Code, Refusal
from .ledger import Possible
from .misconduct import possible_misconducts
from .rounds import is_due
from .seats import free_seats, seat_numbers, seat_places, seats
from .specification import MAX_MINERS, MAX_ROUNDS
from .tables import (
    AUTHORISATIONS,
    BALLOTS,
    BLOCKS,
    CEREMONIES,
    CHALLENGES,
    CONTRIBUTIONS,
    GRANTS,
    MINERS,
    MISCONDUCTS,
    OPENED,
    ROUNDS,
    SCREENINGS,
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


def ballots(call: Call, name: str, number: str, turn: str, page_size: str, bookmark: str) -> BallotPage:
    """On the candidate of a proposer's turn (from 0) in a round, also once it was found wrong."""
    call.task(task_id(name))
    at = (name, whole("round", number, 1, MAX_ROUNDS), whole("turn", turn, 0, MAX_MINERS))
    rows, following = call.ledger.page(BALLOTS, *page(page_size, bookmark), *at)
    return BallotPage(ballots=rows, bookmark=following)


def all_challenges(call: Call, name: str, page_size: str, bookmark: str) -> ChallengePage:
    """Of the task's blocks, by height: of each the last."""
    call.task(task_id(name))
    rows, following = call.ledger.page(CHALLENGES, *page(page_size, bookmark), name)
    return ChallengePage(challenges=rows, bookmark=following)


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
    _load(call, task, state, number)
    answer = TaskView(task=task, state=state, now_ms=call.now_ms)
    round_ = ledger.get(ROUNDS, name, number) if number else None
    if round_ is not None:
        answer.round.CopyFrom(round_)
        own, following = (ledger.get(CEREMONIES, name, one) for one in (number, number + 1))
        possible = _of_round(task, round_, own)
        for ceremony in (own, following):
            if ceremony is not None:
                answer.ceremonies.append(ceremony)
                possible += _of_ceremony(call, task, ceremony)
        ledger.load(
            *submission_places(round_),
            opened_place(round_),
            *(((GRANTS, name, number),) if task.spec.recompute.sealed else ()),
            *(place for _, records in possible for place in records.places()),
        )
        opened = ledger.get(OPENED, name, round_.base.digest)
        if opened is not None:
            answer.opened.CopyFrom(opened)
        answer.submissions.extend(call.submissions(round_))
        grant = ledger.get(GRANTS, name, number) if task.spec.recompute.sealed else None
        if grant is not None:
            answer.grant.CopyFrom(grant)
        for field, records in possible:
            getattr(answer, field).extend(ledger.every(records))
    answer.can_advance = is_due(call, task)
    answer.seats.extend(seats(call, task))
    answer.free_seats.extend(free_seats(call, task, state))
    answer.miners.extend(entry.miner for entry in ledger.scan(MINERS, name) if not entry.left)
    answer.challenges.extend(undecided(call, state))
    return answer


def _load(call: Call, task: Task, state: TaskState, number: int) -> None:
    """Read what says which other records there may be; the round under way is another in blocks:RoundView."""
    name = state.task_id
    numbers = {one for one in (number, number + 1, state.round, state.round + 1) if one}
    call.ledger.load(
        *seat_places(task),
        *((table, name, one) for table in (ROUNDS, CEREMONIES) for one in numbers),
        *possible_challenges(state).places(),
    )


def _of_round(task: Task, round_: Round, ceremony: Ceremony | None) -> list[tuple[str, Possible[Message]]]:
    """What there may be of the round by now, by the view's field."""
    name, number, numbers = round_.task_id, round_.number, seat_numbers(task)
    entered = {entry.phase for entry in round_.times}
    made = {step.record for phase, step in ROUND.items() if phase in entered}
    found: list[tuple[str, Possible[Message]]] = []
    if Screening in made:
        found.append(("screenings", Possible(SCREENINGS, (name, number), numbers)))
        found.append(("authorisations", Possible(AUTHORISATIONS, (name, number), _PURPOSES)))
    if not entered.isdisjoint(ACCUSED) and ceremony is not None:
        found.append(("accusations", possible_accusations(round_, ceremony.seats)))
    if Ballot in made:
        found.append(("ballots", Possible(BALLOTS, (name, number, round_.proposer_turn), numbers)))
    return found


def _of_ceremony(call: Call, task: Task, ceremony: Ceremony) -> list[tuple[str, Possible[Message]]]:
    """The same of a ceremony; what its seats did wrong, also later in its round."""
    at = (ceremony.task_id, ceremony.round)
    round_ = call.ledger.get(ROUNDS, *at)
    return [
        ("contributions", Possible(CONTRIBUTIONS, (*at, ceremony.attempt), seat_numbers(task))),
        ("misconducts", possible_misconducts(task, ceremony, round_)),
    ]
