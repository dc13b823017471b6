"""The round's rules: when a phase closes, and what follows from what was done in it.

Each function takes a phase's records and says what closing it means, or None while it is not due. Due is
complete (everyone who can still act has acted) or expired. Pure: no ledger, no time; `rounds` loads, asks
and applies. More than half of the seats make a quorum (the specification's check), so at most one value
has t equal votes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import (
    Ballot,
    BallotReason,
    KeyContribution,
    Outcome,
    Phase,
    Reason,
    Round,
    Screening,
    Selection,
    Submission,
    Verdict,
)
from quorumlearn_proto.task_pb2 import TaskSpec

from .beacon import combine
from .payment import slashed_by


class Why(StrEnum):
    """Why a round ended as it did (Round.reason)."""

    KEY_FAILED = "KEY_FAILED"
    TOO_FEW_COMMITS = "TOO_FEW_COMMITS"
    TOO_FEW_REVEALS = "TOO_FEW_REVEALS"
    TOO_FEW_VERIFIERS = "TOO_FEW_VERIFIERS"
    NO_SELECTION = "NO_SELECTION"
    NO_CONTRIBUTION = "NO_CONTRIBUTION"
    NO_AGGREGATE = "NO_AGGREGATE"
    NO_PROPOSAL = "NO_PROPOSAL"
    NO_DECISION = "NO_DECISION"
    VOTED_DOWN = "VOTED_DOWN"
    BASE_REVERTED = "BASE_REVERTED"


@dataclass(frozen=True)
class Closing:
    """What closing a phase means. `seats` are those that stay; None leaves them as they are."""

    next: Phase
    seats: tuple[int, ...] | None = None
    outcome: Outcome = Outcome.OUTCOME_UNSPECIFIED
    reason: str = ""
    slashed_miners: tuple[str, ...] = ()
    slashed_seats: tuple[int, ...] = ()
    paid_seats: tuple[int, ...] = ()
    beacon: str = ""
    selection: Selection | None = None
    aggregate_ciphertext: str = ""
    next_turn: bool = False


def ended(outcome: Outcome, reason: Why) -> Closing:
    return Closing(Phase.ENDED, outcome=outcome, reason=reason)


def close_commit(
    spec: TaskSpec, round_: Round, submissions: Sequence[Submission], expired: bool
) -> Closing | None:
    if len(submissions) < len(round_.miners) and not expired:
        return None
    if len(submissions) < spec.min_miners:
        return ended(Outcome.ABORTED, Why.TOO_FEW_COMMITS)
    return Closing(Phase.BEACON)


def close_reveal(spec: TaskSpec, submissions: Sequence[Submission], expired: bool) -> Closing | None:
    withheld = tuple(entry.miner for entry in submissions if not entry.HasField("manifest"))
    if withheld and not expired:
        return None
    if len(submissions) - len(withheld) < spec.min_miners:
        return Closing(
            Phase.ENDED, outcome=Outcome.ABORTED, reason=Why.TOO_FEW_REVEALS, slashed_miners=withheld
        )
    return Closing(Phase.SCREEN, slashed_miners=withheld)


def close_beacon(
    spec: TaskSpec, round_: Round, contributions: Mapping[int, KeyContribution], expired: bool
) -> Closing | None:
    secrets = {
        seat: contributions[seat].beacon
        for seat in round_.seats
        if seat in contributions and contributions[seat].beacon
    }
    missing = tuple(seat for seat in round_.seats if seat not in secrets)
    if missing and not expired:
        return None
    if len(secrets) < spec.committee.threshold:
        return Closing(
            Phase.ENDED, outcome=Outcome.ABORTED, reason=Why.TOO_FEW_VERIFIERS, slashed_seats=missing
        )
    return Closing(Phase.REVEAL, seats=tuple(secrets), slashed_seats=missing, beacon=combine(secrets))


def close_screen(
    spec: TaskSpec, round_: Round, screenings: Mapping[int, Screening], expired: bool
) -> Closing | None:
    posted = tuple(
        seat for seat in round_.seats if seat in screenings and screenings[seat].HasField("sketch_shares")
    )
    if len(posted) < len(round_.seats) and not expired:
        return None
    if len(posted) < spec.committee.threshold:
        return ended(Outcome.ABORTED, Why.TOO_FEW_VERIFIERS)
    return Closing(Phase.SELECT, seats=posted)


def close_select(
    spec: TaskSpec, round_: Round, screenings: Mapping[int, Screening], expired: bool
) -> Closing | None:
    votes = {
        seat: screenings[seat].selection
        for seat in round_.seats
        if seat in screenings and screenings[seat].HasField("selection")
    }
    if len(votes) < len(round_.seats) and not expired:
        return None
    agreed = _quorum({seat: canonical.digest(bare(vote)) for seat, vote in votes.items()}, spec)
    if not agreed:
        return ended(Outcome.ABORTED, Why.NO_SELECTION)
    selection = votes[agreed[0]]
    dissent = tuple(seat for seat in votes if seat not in agreed)
    faulty = tuple(slashed_by(selection.verdicts))
    if not any(verdict.weight for verdict in selection.verdicts):
        return Closing(
            Phase.ENDED,
            seats=agreed,
            outcome=Outcome.REJECTED,
            reason=Why.NO_CONTRIBUTION,
            slashed_miners=faulty,
            slashed_seats=dissent,
            paid_seats=agreed,
            selection=selection,
        )
    return Closing(
        Phase.OPEN, seats=agreed, slashed_miners=faulty, slashed_seats=dissent, selection=selection
    )


def close_open(
    spec: TaskSpec, round_: Round, screenings: Mapping[int, Screening], expired: bool
) -> Closing | None:
    posted = {
        seat: screenings[seat].aggregate_ciphertext
        for seat in round_.seats
        if seat in screenings and screenings[seat].HasField("partial")
    }
    if len(posted) < len(round_.seats) and not expired:
        return None
    agreed = _quorum(posted, spec)
    if not agreed:
        return ended(Outcome.ABORTED, Why.NO_AGGREGATE)
    return Closing(Phase.PROPOSE, seats=agreed, aggregate_ciphertext=posted[agreed[0]])


def close_propose(round_: Round, expired: bool) -> Closing | None:
    return _next_proposer(round_, ()) if expired else None


def close_validate(
    spec: TaskSpec, round_: Round, ballots: Mapping[int, Ballot], expired: bool
) -> Closing | None:
    if len(ballots) < len(round_.seats) and not expired:
        return None
    t = spec.committee.threshold
    good = tuple(seat for seat in ballots if ballots[seat].reason == BallotReason.GOOD)
    against = tuple(seat for seat in ballots if seat not in good)
    broken = [seat for seat in against if ballots[seat].reason != BallotReason.SCORE_FELL]
    if len(good) >= t:
        return Closing(Phase.ENDED, outcome=Outcome.ACCEPTED, paid_seats=good)
    if len(broken) >= t:
        return _next_proposer(round_, (round_.candidate.proposer,))
    if len(against) >= t:
        return Closing(Phase.ENDED, outcome=Outcome.REJECTED, reason=Why.VOTED_DOWN, paid_seats=against)
    return ended(Outcome.ABORTED, Why.NO_DECISION)


def bare(selection: Selection) -> Selection:
    """The selection without the details for people: what votes are compared by."""
    return Selection(
        verdicts=[Verdict(miner=v.miner, weight=v.weight, reason=v.reason) for v in selection.verdicts]
    )


def selection_fault(
    selection: Selection, round_: Round, submissions: Mapping[str, Submission], max_weight_sum: int
) -> str:
    """What contradicts the ledger in a selection, "" if nothing does."""
    if [verdict.miner for verdict in selection.verdicts] != list(round_.miners):
        return f"the verdicts must name the round's {len(round_.miners)} miners in their order"
    for verdict in selection.verdicts:
        reason = verdict.reason
        expected = _known_reason(submissions.get(verdict.miner))
        if expected is not None and reason != expected:
            return f"{verdict.miner} did not submit: its reason must be {Reason.Name(expected)}"
        if expected is None and reason not in _JUDGEMENTS:
            return f"{verdict.miner} submitted: its reason must be one of the judgements"
        if (verdict.weight > 0) != (reason == Reason.CONTRIBUTES):
            return f"{verdict.miner} has weight {verdict.weight}: above zero exactly when it CONTRIBUTES"
    total = sum(verdict.weight for verdict in selection.verdicts)
    if total > max_weight_sum:
        return f"the weights add up to {total}: at most {max_weight_sum}"
    return ""


_JUDGEMENTS = frozenset(Reason.values()) - {Reason.REASON_UNSPECIFIED, Reason.ABSENT, Reason.WITHHELD}


def _known_reason(submission: Submission | None) -> Reason | None:
    if submission is None:
        return Reason.ABSENT
    return None if submission.HasField("manifest") else Reason.WITHHELD


def _quorum(values: Mapping[int, str], spec: TaskSpec) -> tuple[int, ...]:
    """The seats, in order, whose value at least t share; () if there are none."""
    for value in values.values():
        seats = tuple(seat for seat in sorted(values) if values[seat] == value)
        if len(seats) >= spec.committee.threshold:
            return seats
    return ()


def _next_proposer(round_: Round, slashed: tuple[str, ...]) -> Closing:
    if round_.proposer_turn + 1 < len(round_.proposers):
        return Closing(Phase.PROPOSE, slashed_miners=slashed, next_turn=True)
    return Closing(Phase.ENDED, outcome=Outcome.ABORTED, reason=Why.NO_PROPOSAL, slashed_miners=slashed)
