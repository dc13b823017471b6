"""Accusations in a round: a seat's word that another's shares, or its report on replays, are false.

- The protocol's table says in which phase of what (`ACCUSED`). Each seat accuses each other once of each.
- The words of t seats that are still in the round, of one fault, put the accused out: a slash, a Misconduct with
  what it had posted and they rest on, and no part in the round from then on. The t accusers stay, so the round goes on;
  its phase has its whole time again, since what the others do next rests on who is left.
- Seat 0 accuses nobody: the shares contradict each other and it cannot be told whose are false. t such words
  abort the round. Of a false report (FALSE_REPLAY) it can always be told, by replaying.
- An accuser whom no others follow loses nothing: shares that were sealed wrong to one member only this one sees.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from quorumlearn_proto.block_pb2 import Accusation, Fault, Outcome, Phase, Round
from quorumlearn_proto.protocol import ACCUSED
from quorumlearn_proto.task_pb2 import Task

from .arguments import bad, line
from .call import Call
from .errors import Code, Refusal
from .ledger import Possible
from .misconduct import record_accused
from .phases import Why, ended
from .rounds import renew
from .settlement import end_round
from .tables import ACCUSATIONS


def possible_accusations(round_: Round, seats: Sequence[int]) -> Possible[Accusation]:
    """What there may be of them by now; `seats` took part when the round began."""
    entered = {entry.phase for entry in round_.times}
    faults = sorted(
        {fault for phase in entered for fault in ACCUSED.get(phase, ()) if _may_be(fault, entered)}
    )
    last = [
        (accuser, accused, fault)
        for accuser in seats
        for accused in (0, *seats)
        for fault in faults
        if accused != accuser
    ]
    return Possible(ACCUSATIONS, (round_.task_id, round_.number), last)


def accuse(call: Call, task: Task, round_: Round, accuser: int, given: Accusation) -> bool:
    """Write a seat's accusation; whether it put the accused out or ended the round."""
    accusation = Accusation(
        task_id=round_.task_id,
        round=round_.number,
        accuser=accuser,
        verifier=call.actor,
        seat=given.seat,
        fault=given.fault,
        detail=line("detail", given.detail),
    )
    _check(given, accusation, round_)
    at = (round_.task_id, round_.number)
    key = (*at, accuser, given.seat, int(given.fault))
    if call.ledger.get(ACCUSATIONS, *key) is not None:
        raise Refusal(Code.ALREADY_VOTED, f"seat {accuser} has accused seat {given.seat} of this")
    call.ledger.put(ACCUSATIONS, accusation, *key)
    words = [
        entry
        for entry in call.ledger.scan(ACCUSATIONS, *at)
        if (entry.seat, entry.fault) == (given.seat, given.fault) and entry.accuser in round_.seats
    ]
    if len(words) < task.spec.committee.threshold:
        return False
    if given.seat:
        record_accused(call, task, round_, words)
        renew(call, task, round_)
    else:
        closing = ended(Outcome.ABORTED, Why.SHARES_CONTRADICT)
        end_round(call, task, call.state(round_.task_id), round_, closing)
    return True


def _may_be(fault: Fault, entered: Collection[Phase]) -> bool:
    """Whether a round that has entered these phases can have the fault: a round without REPLAY has no reports."""
    return fault != Fault.FALSE_REPLAY or Phase.REPLAY in entered


def _check(given: Accusation, kept: Accusation, round_: Round) -> None:
    for field in ("task_id", "round", "accuser", "verifier"):
        if getattr(given, field) not in (type(getattr(kept, field))(), getattr(kept, field)):
            raise bad(f"{field} is not the submitter's: leave it out, or give {getattr(kept, field)}")
    entered = {entry.phase for entry in round_.times}
    expected = [fault for fault in ACCUSED[round_.phase] if _may_be(fault, entered)]
    if given.fault not in expected:
        faults = " or ".join(map(Fault.Name, expected))
        raise bad(f"fault is not {faults}, which is what seats are accused of in {Phase.Name(round_.phase)}")
    if given.fault == Fault.FALSE_REPLAY and not given.seat:
        raise bad("seat is 0: of a false report it can be told whose it is, by replaying")
    if given.seat == kept.accuser:
        raise bad(f"seat is {given.seat}, the submitter's own: name another, or 0 for none")
    if given.seat and given.seat not in round_.seats:
        raise bad(f"seat is {given.seat}: of {list(round_.seats)}, who take part in the round, or 0 for none")
