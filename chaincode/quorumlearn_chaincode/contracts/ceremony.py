"""The key ceremony's rules: when a step closes, who is left out, and what follows.

- KEY_COMMIT, KEY_REVEAL, KEY_TEST, KEY_CONFIRM, one after the other; each closes when all seats taking part have
  acted, or on its deadline. A complaint stands in for the artifacts of KEY_TEST and KEY_CONFIRM.
- All confirm one key: KEY_READY. Where training is replayed, what they reveal with it makes the start beacon. A complaint,
  as soon as KEY_TEST or KEY_CONFIRM closes, or confirmations of different keys: KEY_OPEN, in which the seats open their
  sealing keys, then KEY_BLAME, in which they vote whose fault it was, then a new attempt.
- Seats only ever leave: who is missing from a step, and who is blamed by t equal votes, takes no part in what is
  left of the ceremony. Every seat that committed in the attempt may be blamed, also one that has left since.
- Fewer than t seats left, or v + 1 failed attempts: KEY_FAILED. What opens with fewer than t seats waits for its
  deadline, so that a task short of verifiers does not run through its rounds at once.

Pure: no ledger, no time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import Blame, BlameVote, Ceremony, CeremonyStep, Fault, KeyContribution
from quorumlearn_proto.derived import attempt_failed, bare_blame, beacon_of
from quorumlearn_proto.protocol import CEREMONY

Contributions = Mapping[int, KeyContribution]

FAULTS = frozenset(
    {
        Fault.BAD_PUBLIC_SHARE,
        Fault.BAD_DEALING,
        Fault.BAD_TEST_PARTIAL,
        Fault.BAD_SEALING_KEY,
        Fault.FALSE_CONFIRMATION,
        Fault.UNFOUNDED_COMPLAINT,
    }
)
"""Faults that seats may vote in KEY_BLAME."""


@dataclass(frozen=True)
class StepClosing:
    """What closing a step means: the ceremony afterwards (deadline not set), who was missing, who is blamed.

    `accusers` are the seats whose equal votes the blames rest on.
    """

    ceremony: Ceremony
    missed: tuple[int, ...]
    blames: tuple[Blame, ...] = ()
    accusers: tuple[int, ...] = ()


def under_way(ceremony: Ceremony) -> bool:
    return ceremony.step in CEREMONY


def close_step(
    ceremony: Ceremony, contributions: Contributions, seats: int, threshold: int, expired: bool
) -> StepClosing | None:
    """What closing the ceremony's step means, None if it is not due.

    `contributions` are those of this attempt by seat, `seats` is the number v of the committee's.
    """
    step = CEREMONY[ceremony.step]
    acted = [seat for seat in ceremony.seats if step.done(contributions.get(seat))]
    missed = tuple(seat for seat in ceremony.seats if seat not in acted)
    if (missed or len(acted) < threshold) and not expired:
        return None
    if len(acted) < threshold:
        return StepClosing(_to(ceremony, CeremonyStep.KEY_FAILED, acted), missed)
    if ceremony.step == CeremonyStep.KEY_BLAME:
        return _close_blame(ceremony, contributions, acted, missed, seats, threshold)
    if CeremonyStep.KEY_OPEN in step.leads_to and attempt_failed(contributions[seat] for seat in acted):
        return StepClosing(_to(ceremony, CeremonyStep.KEY_OPEN, acted), missed)
    following = _to(ceremony, step.next, acted)
    if following.step == CeremonyStep.KEY_READY:
        following.collective_key.CopyFrom(contributions[acted[0]].confirmed_key)
        if contributions[acted[0]].start:
            following.start_beacon = beacon_of({seat: contributions[seat].start for seat in acted})
    return StepClosing(following, missed)


def blame_fault(vote: BlameVote, contributions: Contributions) -> str:
    """What contradicts the ledger in a vote of blame, "" if nothing does. A seat may blame itself."""
    seats = [blame.seat for blame in vote.blames]
    if len(set(seats)) != len(seats):
        return "it names a seat twice"
    for blame in vote.blames:
        part = contributions.get(blame.seat)
        if part is None:
            return f"seat {blame.seat} did not take part in this attempt"
        if blame.fault not in FAULTS:
            return f"fault {_name(blame.fault)} of seat {blame.seat} is none of a ceremony's"
        if blame.fault == Fault.UNFOUNDED_COMPLAINT and not part.complaint:
            return f"seat {blame.seat} has not complained"
        if blame.fault == Fault.FALSE_CONFIRMATION and not part.HasField("confirmed_key"):
            return f"seat {blame.seat} has confirmed no key"
        if blame.fault == Fault.BAD_TEST_PARTIAL and not part.HasField("test_partial"):
            return f"seat {blame.seat} has posted no test partial decryption"
    return ""


def _close_blame(
    ceremony: Ceremony,
    contributions: Contributions,
    acted: Sequence[int],
    missed: tuple[int, ...],
    seats: int,
    threshold: int,
) -> StepClosing:
    votes: dict[bytes, list[int]] = {}
    for seat in acted:
        votes.setdefault(canonical.to_json(bare_blame(contributions[seat].blame)), []).append(seat)
    accusers = max(votes.values(), key=len)
    agreed = contributions[accusers[0]].blame.blames if len(accusers) >= threshold else ()
    blames = tuple(sorted(agreed, key=lambda blame: blame.seat))
    left = [seat for seat in acted if seat not in {blame.seat for blame in blames}]
    if len(left) < threshold or ceremony.attempt > seats:
        following = _to(ceremony, CeremonyStep.KEY_FAILED, left)
    else:
        following = _to(ceremony, CEREMONY[ceremony.step].next, left)
        following.attempt += 1
    return StepClosing(following, missed, blames, tuple(accusers) if blames else ())


def _to(ceremony: Ceremony, step: CeremonyStep, seats: Sequence[int]) -> Ceremony:
    return Ceremony(
        task_id=ceremony.task_id, round=ceremony.round, attempt=ceremony.attempt, step=step, seats=seats
    )


def _name(fault: Fault) -> str:
    return Fault.Name(fault) if fault in Fault.values() else str(int(fault))
