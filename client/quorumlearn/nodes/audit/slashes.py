"""What a task's participants had to lose and to be paid, computed again from the round's own records (for nodes.audit.replay).

By the table of quorumlearn_proto.penalties and the task's specification, for each round and ceremony:
- a seat's recorded fault has cost what the table says: a slash, or what was left of the stake, or nothing;
- a miner was slashed for each malformed update, each second reveal withheld in a row, each candidate found wrong, and nothing else;
- the absentees are those without commit, reveal, opened trace or artifact; a seat that has left the round has a fault on record, and one
  that stayed has missed nothing;
- who was paid for the round is who its outcome pays (nodes.audit.pay).
Of each account: what it locked was returned, is locked still, was slashed, or is the deposit of a challenge that is open or was lost.
Whatever differs is a Finding. Whether a fault is true is for nodes.audit.faults.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.penalties import FAULTS, Cost, costs_stake, fault_penalty
from quorumlearn_proto.protocol import ACCUSED, ROUND, STEPS, Actor, RoundStep
from quorumlearn_proto.reward_pb2 import MovementKind
from quorumlearn_proto.task_pb2 import TaskStatus

from quorumlearn.nodes.audit import pay
from quorumlearn.nodes.audit.records import Record, shown_by, turn_at
from quorumlearn.nodes.steps import contribution, screening

CUT_SHORT = ("SHARES_CONTRADICT", "BASE_REVERTED")
"""Reasons for which a round ends whatever its phase."""
LIVE = (TaskStatus.PUBLISHED, TaskStatus.RUNNING)


class What(StrEnum):
    """What has moved, or is said."""

    SLASH = "slash"
    STAKE = "stake"
    PAY = "pay"
    ESCROW = "escrow"
    ABSENCE = "absence"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """What is on the ledger and is not due, or the other way about: in tokens, or 1 for an absence or a fault. `round` is 0 for the
    task as a whole."""

    round: int
    what: What
    who: str
    recorded: int
    due: int
    why: str

    def __str__(self) -> str:
        return f"{self.what} of {self.who}: {self.recorded} on the ledger, {self.due} due ({self.why})"


def findings(record: Record) -> list[Finding]:
    """Whatever of stakes, absences and pay is otherwise than it should be; empty if nothing is."""
    found = [*_faults(record), *_slashes(record), *_locked(record)]
    for view in record.views:
        found += [*_absences(record, view), *_seats(record, view)]
    return found + list(_pay(record))


def _faults(record: Record) -> Iterator[Finding]:
    """Each fault's own slash. Stakes are followed from what a place costs; who could not pay a slash any more may have staked anew."""
    whole, slash = record.spec.stakes.verifier, record.spec.stakes.verifier_slash
    left: dict[str, int] = {}
    for one in sorted(record.misconducts, key=lambda one: one.at_ms):
        before, due = left.get(one.verifier, whole), slash if _costs_stake(record, one) else 0
        possible = {min(due, before), min(due, whole)}
        if one.slashed not in possible:
            why = f"{_fault_name(one)} in {one.step} of seat {one.seat}"
            yield Finding(one.round, What.SLASH, one.verifier, one.slashed, min(due, before), why)
        left[one.verifier] = (before if one.slashed == min(due, before) else whole) - one.slashed


def _costs_stake(record: Record, one: b.Misconduct) -> bool:
    if one.fault not in FAULTS:
        return False
    cost = fault_penalty(one.fault, one.step).cost
    return cost is Cost.STAKE or (cost is Cost.SECOND and _missed_before(record, one) and _heard(record, one))


def _missed_before(record: Record, one: b.Misconduct) -> bool:
    """Whether the verifier missed something of the round before: of its ceremony, or for a fault in a phase of either."""
    view = _view(record, one.round)
    if one.step == b.Phase.Name(b.SELECT) and any(
        (word.accuser, word.seat, word.fault) == (one.seat, 0, b.BAD_SKETCH_SHARES)
        for word in view.accusations
    ):
        return False
    return any(
        (other.round, other.verifier, other.fault) == (one.round - 1, one.verifier, b.MISSED_STEP)
        and (other.attempt or not one.attempt)
        for other in record.misconducts
    )


def _heard(record: Record, one: b.Misconduct) -> bool:
    """Whether t others acted in the step, and took part in what came of it."""
    step = STEPS.get(one.step)
    if step is not None and one.attempt:
        parts = record.attempts.get((one.round, one.attempt), {})
        acted = {seat for seat, part in parts.items() if step.done(part)}
    elif isinstance(step, RoundStep):
        view = _view(record, one.round)
        acted = _acted(record, view, step, turn_at(view.round, one.at_ms))
        acted -= {
            other.seat
            for other in record.misconducts
            if (other.round, other.attempt, other.step) == (one.round, 0, one.step)
            and other.fault in ACCUSED.get(step.at, ())
        }
    else:
        return False
    return len(acted) >= record.spec.committee.threshold


def _acted(record: Record, view: b.TaskView, step: RoundStep, turn: int) -> set[int]:
    """The seats that have acted in a step of the round."""
    number = view.round.number
    if step.record is b.Ballot:
        return shown_by(record.ballots.get((number, turn), ()))
    of = contribution if step.record is b.KeyContribution else None
    return {
        seat
        for seat in range(1, len(record.spec.committee.msp_ids) + 1)
        if step.done(of(view, number, seat) if of else screening(view, seat))
    }


def _slashes(record: Record) -> Iterator[Finding]:
    """What each account has lost in all."""
    due: Counter[str] = Counter()
    reasons: dict[str, list[str]] = {}
    for view in record.views:
        for miner, why in _proofs(record, view):
            due[miner] += record.spec.stakes.miner_slash
            reasons.setdefault(miner, []).append(f"{why} in round {view.round.number}")
    for one in record.misconducts:
        due[one.verifier] += one.slashed
        reasons.setdefault(one.verifier, []).append(f"{_fault_name(one)} in round {one.round}")
    for stake in record.money.stakes:
        who = stake.account_id
        if stake.slashed != due[who]:
            why = ", ".join(reasons.get(who, ["nothing is proven of it"]))
            yield Finding(0, What.SLASH, who, stake.slashed, due[who], why)


def _proofs(record: Record, view: b.TaskView) -> Iterator[tuple[str, str]]:
    """The miners whom the round costs a slash, and for what."""
    now, before = view.round, _view(record, view.round.number - 1)
    if _closed(now, b.REVEAL) and now.reason != "TOO_FEW_REVEALS":
        for miner in sorted(_withheld(view) & _withheld(before)):
            yield miner, "withheld its reveal again"
    for verdict in now.selection.verdicts:
        if costs_stake(verdict.reason):
            yield verdict.miner, b.Reason.Name(verdict.reason)
    for turn, proposer in enumerate(now.proposers):
        cast = record.ballots.get((now.number, turn), ())
        if sum(one.reason == b.WRONG_MODEL for one in cast) >= record.spec.committee.threshold:
            yield proposer, "its candidate was found wrong"


def _withheld(view: b.TaskView) -> set[str]:
    """Who committed in the round and did not reveal until the time for it was over."""
    if not _closed(view.round, b.REVEAL):
        return set()
    return {one.miner for one in view.submissions if not ROUND[b.REVEAL].done(one)}


def _unopened(view: b.TaskView) -> set[str]:
    """Who revealed in the round and did not open its trace until the time for it was over."""
    if not _closed(view.round, b.TRACE):
        return set()
    revealed = [one for one in view.submissions if ROUND[b.REVEAL].done(one)]
    return {one.miner for one in revealed if not ROUND[b.TRACE].done(one)}


def _closed(round_: b.Round, phase: b.Phase) -> bool:
    """Whether a phase of the miners was closed: another followed, or too few of them had acted."""
    too_few = {b.COMMIT: "TOO_FEW_COMMITS", b.REVEAL: "TOO_FEW_REVEALS", b.TRACE: "TOO_FEW_TRACES"}[phase]
    following = set(ROUND[phase].leads_to) - {b.ENDED}
    return not following.isdisjoint(one.phase for one in round_.times) or round_.reason == too_few


def _absences(record: Record, view: b.TaskView) -> Iterator[Finding]:
    now, submitted = view.round, {one.miner for one in view.submissions}
    due = {miner for miner in now.miners if miner not in submitted} if _closed(now, b.COMMIT) else set()
    if record.spec.recompute.sealed and not view.HasField("grant"):
        due = set()  # without keys nobody could be asked to train
    due |= _withheld(view) | _unopened(view)
    due |= {one.miner for one in now.selection.verdicts if one.reason == b.MISSING_ARTIFACT}
    if [one.phase for one in now.times] == [b.KEY, b.ENDED]:  # it has asked nobody, and is no break in a row
        due |= set(now.miners) & set(_view(record, now.number - 1).round.absentees)
    said = Counter(now.absentees)
    for miner in sorted(due | said.keys()):
        if said[miner] != (miner in due):
            yield Finding(
                now.number, What.ABSENCE, miner, said[miner], int(miner in due), "by what was submitted"
            )


def _seats(record: Record, view: b.TaskView) -> Iterator[Finding]:
    """Who has left the round without a fault, and who has stayed in spite of one."""
    now = view.round
    ceremony = next((one for one in view.ceremonies if one.round == now.number), b.Ceremony())
    if not now.HasField("collective_key"):
        return
    holders = {
        seat: part.verifier for seat, part in record.attempts.get((now.number, ceremony.attempt), {}).items()
    }
    faulty = {one.seat for one in record.misconducts if one.round == now.number and not one.attempt}
    for seat in ceremony.seats:
        who = holders.get(seat, f"seat {seat}")
        if (seat in faulty) == (seat in now.seats):
            why = "it is still in the round" if seat in faulty else "it is not in the round any more"
            yield Finding(now.number, What.FAULT, who, int(seat in faulty), int(seat not in faulty), why)
        for name in _missed(record, view, seat) if seat not in faulty else ():
            yield Finding(now.number, What.FAULT, who, 0, 1, f"nothing of it in {name}")


def _missed(record: Record, view: b.TaskView, seat: int) -> Iterator[str]:
    """The phases of seats that were closed while there was nothing of this seat in them."""
    turn = -1
    for phase, following in pairwise(one.phase for one in view.round.times):
        turn += phase == b.PROPOSE
        cut_short = following == b.ENDED and view.round.reason in CUT_SHORT
        step = ROUND[phase]
        if step.actor is Actor.SEATS and not cut_short and seat not in _acted(record, view, step, turn):
            yield step.name


def _locked(record: Record) -> Iterator[Finding]:
    """What an account has locked, beside where it is."""
    money = record.money
    held = Counter({one.account_id: one.amount + one.slashed for one in money.stakes})
    for one in money.challenges:
        held[one.challenger] += one.deposit if one.status == b.UNDECIDED else one.burnt
    for who, moves in money.movements.items():
        locked = -sum(
            move.amount for move in moves if move.kind in (MovementKind.STAKE, MovementKind.STAKE_RETURN)
        )
        if who not in money.incomplete and locked != held[who]:
            yield Finding(0, What.STAKE, who, held[who], locked, "what it locked less what it has back")


def _pay(record: Record) -> Iterator[Finding]:
    due, left = pay.due(record)
    paid = pay.paid(record)
    for number, who in sorted(due.keys() | paid.keys()):
        if who not in record.money.incomplete and due[number, who] != paid[number, who]:
            yield Finding(
                number, What.PAY, who, paid[number, who], due[number, who], "by the round's outcome"
            )
    yield from _escrow(record, sum(due.values()), left)


def _escrow(record: Record, paid: int, left: int) -> Iterator[Finding]:
    """What the task's escrow has given, where it paid so much and this is left for later contributors."""
    escrow, live = record.money.escrow, record.state.status in LIVE
    locked = record.spec.rounds * record.spec.reward.per_round
    rest = 0 if live else locked - paid - left
    for name, said, due in (
        ("paid", escrow.paid, paid),
        ("carried", escrow.carried, left if live else 0),
        ("burnt", escrow.burnt, 0 if live else left),
        ("refunded", escrow.refunded, rest),
        ("locked", escrow.amount, locked - paid if live else 0),
    ):
        if said != due:
            yield Finding(0, What.ESCROW, escrow.owner, said, due, name)


def _view(record: Record, number: int) -> b.TaskView:
    """The view of a round, an empty one before the first."""
    return record.views[number - 1] if 0 < number <= len(record.views) else b.TaskView()


def _fault_name(one: b.Misconduct) -> str:
    return b.Fault.Name(one.fault) if one.fault in b.Fault.values() else f"fault {one.fault}"
