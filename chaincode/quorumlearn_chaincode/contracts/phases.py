"""The round's rules: when a phase closes, and what follows from what was done in it.

Each function takes a phase's records and says what closing it means, or None while it is not due. Due is
complete (everyone who can still act has acted) or expired. Pure: no ledger, no time; `rounds` loads, asks
and applies. More than half of the seats make a quorum (the specification's check), so at most one value
has t equal votes.

A seat that is missing from a phase, or votes otherwise than t equal votes on what has one answer, is at fault
and leaves the round, so a round has at most one fault of a seat. A seat that was shown too little to judge by votes
otherwise in SELECT and is not at fault: a miner and a seat in league can do that to it, so of f miners at most.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

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
)
from quorumlearn_proto.classes import classes_fault
from quorumlearn_proto.derived import bare_selection, beacon_of, judged_by_sketch, sum_fault, weights_of
from quorumlearn_proto.protocol import ROUND, RoundStep
from quorumlearn_proto.recompute import replays
from quorumlearn_proto.task_pb2 import TaskSpec
from quorumlearn_proto.work import work_fault

from .verdicts import slashed_by

Record = TypeVar("Record", KeyContribution, Screening, Ballot)
_NO_PROFILES: Mapping[int, str] = MappingProxyType({})


class Why(StrEnum):
    """Why a round ended as it did (Round.reason)."""

    KEY_FAILED = "KEY_FAILED"
    TOO_FEW_COMMITS = "TOO_FEW_COMMITS"
    TOO_FEW_REVEALS = "TOO_FEW_REVEALS"
    TOO_FEW_TRACES = "TOO_FEW_TRACES"
    TOO_FEW_VERIFIERS = "TOO_FEW_VERIFIERS"
    NO_SELECTION = "NO_SELECTION"
    NO_CONTRIBUTION = "NO_CONTRIBUTION"
    TOO_FEW_CONTRIBUTIONS = "TOO_FEW_CONTRIBUTIONS"
    SHARES_CONTRADICT = "SHARES_CONTRADICT"
    NO_AGGREGATE = "NO_AGGREGATE"
    NO_PROPOSAL = "NO_PROPOSAL"
    NO_DECISION = "NO_DECISION"
    VOTED_DOWN = "VOTED_DOWN"
    BASE_REVERTED = "BASE_REVERTED"


@dataclass(frozen=True)
class Closing:
    """What closing a phase means: `missed` and `false_votes` are the seats at fault, which leave the round; `idle` those
    that stay and have not earned its pay; `withheld` are the miners who did not reveal and `unopened` those who opened no
    trace, unless too few did; `ballots` are those that an accepted candidate was decided by, false ones too; `absentees`
    are the miners that gave no update.
    """

    next: Phase
    outcome: Outcome = Outcome.OUTCOME_UNSPECIFIED
    reason: str = ""
    slashed_miners: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    unopened: tuple[str, ...] = ()
    absentees: tuple[str, ...] = ()
    missed: tuple[int, ...] = ()
    false_votes: tuple[int, ...] = ()
    idle: tuple[int, ...] = ()
    beacon: str = ""
    selection: Selection | None = None
    aggregate_ciphertext: str = ""
    ballots: tuple[Ballot, ...] = ()
    next_turn: bool = False


def ended(outcome: Outcome, reason: Why) -> Closing:
    return Closing(Phase.ENDED, outcome=outcome, reason=reason)


def close_commit(
    spec: TaskSpec, round_: Round, submissions: Sequence[Submission], expired: bool, excused: bool = False
) -> Closing | None:
    """`excused`: miners could not train, for want of what is for another to give; then nobody is absent."""
    if len(submissions) < len(round_.miners) and not expired:
        return None
    committed = {entry.miner for entry in submissions}
    absentees = tuple(miner for miner in round_.miners if miner not in committed and not excused)
    if len(submissions) < spec.min_miners:
        return replace(ended(Outcome.ABORTED, Why.TOO_FEW_COMMITS), absentees=absentees)
    return Closing(ROUND[Phase.COMMIT].next, absentees=absentees)


def close_reveal(spec: TaskSpec, submissions: Sequence[Submission], expired: bool) -> Closing | None:
    step = ROUND[Phase.REVEAL]
    withheld = tuple(entry.miner for entry in submissions if not step.done(entry))
    if withheld and not expired:
        return None
    if len(submissions) - len(withheld) < spec.min_miners:
        return replace(ended(Outcome.ABORTED, Why.TOO_FEW_REVEALS), absentees=withheld)
    return Closing(step.following(replays(spec)), withheld=withheld, absentees=withheld)


def close_trace(spec: TaskSpec, submissions: Sequence[Submission], expired: bool) -> Closing | None:
    step = ROUND[Phase.TRACE]
    revealed = [entry for entry in submissions if ROUND[Phase.REVEAL].done(entry)]
    unopened = tuple(entry.miner for entry in revealed if not step.done(entry))
    if unopened and not expired:
        return None
    if len(revealed) - len(unopened) < spec.min_miners:
        return replace(ended(Outcome.ABORTED, Why.TOO_FEW_TRACES), absentees=unopened)
    return Closing(step.next, unopened=unopened, absentees=unopened)


def close_beacon(
    spec: TaskSpec, round_: Round, contributions: Mapping[int, KeyContribution], expired: bool
) -> Closing | None:
    step = ROUND[Phase.BEACON]
    acted = _acted(step, round_, contributions)
    missed = _missing(round_, acted)
    if missed and not expired:
        return None
    if len(acted) < spec.committee.threshold:
        return _aborted(Why.TOO_FEW_VERIFIERS, missed)
    beacon = beacon_of({seat: part.beacon for seat, part in acted.items()})
    return Closing(step.next, missed=missed, beacon=beacon)


def close_replay(
    spec: TaskSpec, round_: Round, screenings: Mapping[int, Screening], expired: bool
) -> Closing | None:
    return _all_posted(ROUND[Phase.REPLAY], spec, round_, screenings, expired)


def close_screen(
    spec: TaskSpec, round_: Round, screenings: Mapping[int, Screening], expired: bool
) -> Closing | None:
    return _all_posted(ROUND[Phase.SCREEN], spec, round_, screenings, expired)


def _all_posted(
    step: RoundStep, spec: TaskSpec, round_: Round, screenings: Mapping[int, Screening], expired: bool
) -> Closing | None:
    missed = _missing(round_, _acted(step, round_, screenings))
    if missed and not expired:
        return None
    if len(round_.seats) - len(missed) < spec.committee.threshold:
        return _aborted(Why.TOO_FEW_VERIFIERS, missed)
    return Closing(step.next, missed=missed)


def close_select(
    spec: TaskSpec, round_: Round, screenings: Mapping[int, Screening], expired: bool
) -> Closing | None:
    step = ROUND[Phase.SELECT]
    votes = {seat: screening.selection for seat, screening in _acted(step, round_, screenings).items()}
    missed = _missing(round_, votes)
    if missed and not expired:
        return None
    agreed = _quorum({seat: canonical.digest(bare_selection(vote)) for seat, vote in votes.items()}, spec)
    if not agreed:
        return _aborted(Why.NO_SELECTION, missed)
    selection = votes[agreed[0]]
    closing = Closing(
        step.next,
        missed=missed,
        false_votes=tuple(
            seat
            for seat, vote in votes.items()
            if seat not in agreed and not _lacked_sketches(vote, selection, spec.byzantine)
        ),
        slashed_miners=slashed_by(selection.verdicts),
        absentees=tuple(one.miner for one in selection.verdicts if one.reason == Reason.MISSING_ARTIFACT),
        selection=selection,
    )
    if weights_of(selection.verdicts):
        return closing
    passed_over = any(verdict.reason == Reason.NOT_SELECTED for verdict in selection.verdicts)
    why = Why.TOO_FEW_CONTRIBUTIONS if passed_over else Why.NO_CONTRIBUTION
    return replace(closing, next=Phase.ENDED, outcome=Outcome.REJECTED, reason=why)


def close_open(
    spec: TaskSpec, round_: Round, screenings: Mapping[int, Screening], expired: bool
) -> Closing | None:
    step = ROUND[Phase.OPEN]
    acted = _acted(step, round_, screenings)
    posted = {seat: screening.aggregate_ciphertext for seat, screening in acted.items()}
    missed = _missing(round_, posted)
    if missed and not expired:
        return None
    agreed = _quorum(posted, spec)
    if not agreed:
        return _aborted(Why.NO_AGGREGATE, missed)
    false_votes = tuple(seat for seat in posted if seat not in agreed)
    return Closing(step.next, missed=missed, false_votes=false_votes, aggregate_ciphertext=posted[agreed[0]])


def close_propose(round_: Round, expired: bool) -> Closing | None:
    return _next_proposer(round_) if expired else None


def close_validate(
    spec: TaskSpec, round_: Round, ballots: Mapping[int, Ballot], expired: bool
) -> Closing | None:
    acted = _acted(ROUND[Phase.VALIDATE], round_, ballots)
    votes = {seat: ballot.reason for seat, ballot in acted.items()}
    missed = _missing(round_, votes)
    if missed and not expired:
        return None
    t = spec.committee.threshold
    wrong = tuple(seat for seat in votes if votes[seat] == BallotReason.WRONG_MODEL)
    unsure = tuple(seat for seat in votes if votes[seat] == BallotReason.UNAVAILABLE)
    right = tuple(seat for seat in votes if seat not in (*wrong, *unsure))
    if len(wrong) >= t:
        following, proposer = _next_proposer(round_), round_.candidate.proposer
        return replace(following, slashed_miners=(proposer,), missed=missed, false_votes=right)
    closing = Closing(Phase.ENDED, missed=missed, false_votes=wrong if len(right) >= t else ())
    if sum(votes[seat] == BallotReason.GOOD for seat in right) >= t:
        cast = tuple(ballots[seat] for seat in votes)
        return replace(closing, outcome=Outcome.ACCEPTED, idle=unsure, ballots=cast)
    if sum(votes[seat] == BallotReason.SCORE_FELL for seat in right) >= t:
        return replace(closing, outcome=Outcome.REJECTED, reason=Why.VOTED_DOWN, idle=unsure)
    return replace(closing, outcome=Outcome.ABORTED, reason=Why.NO_DECISION)


def selection_fault(
    spec: TaskSpec,
    selection: Selection,
    round_: Round,
    submissions: Mapping[str, Submission],
    opened: Sequence[Sequence[str]],
    profiles: Mapping[int, str] = _NO_PROFILES,
) -> str:
    """What contradicts the ledger in a selection, or forbids to open its sum, "" if nothing does. `opened` are the groups of miners
    whom the sums that were opened on the round's base weigh alike; `profiles`, where trainings can be replayed, the numeric profiles of
    the seats of the round's ceremony."""
    if [verdict.miner for verdict in selection.verdicts] != list(round_.miners):
        return f"the verdicts must name the round's {len(round_.miners)} miners in their order"
    for verdict in selection.verdicts:
        reason = verdict.reason
        expected = _known_reason(submissions.get(verdict.miner), replays(spec))
        if expected is not None and reason != expected:
            what = "open its trace" if expected == Reason.NO_TRACE else "submit"
            return f"{verdict.miner} did not {what}: its reason must be {Reason.Name(expected)}"
        if expected is None and reason not in _JUDGEMENTS:
            return f"{verdict.miner} submitted: its reason must be one of the judgements"
        if (verdict.weight > 0) != (reason == Reason.CONTRIBUTES):
            return f"{verdict.miner} has weight {verdict.weight}: above zero exactly when it CONTRIBUTES"
    manifests = {miner: one.manifest for miner, one in submissions.items() if one.HasField("manifest")}
    classes = {miner: one.manifest.sample_class for miner, one in submissions.items()}
    return (
        classes_fault(spec, opened, selection.verdicts, classes)
        or work_fault(spec, round_, selection.verdicts, manifests, profiles)
        or sum_fault(spec, len(round_.miners), opened, weights_of(selection.verdicts))
    )


_JUDGEMENTS = frozenset(Reason.values()) - {
    Reason.REASON_UNSPECIFIED,
    Reason.ABSENT,
    Reason.WITHHELD,
    Reason.NO_TRACE,
}


def _lacked_sketches(vote: Selection, agreed: Selection, byzantine: int) -> bool:
    """Whether a vote rests on the same sketches as the agreed one but for some, of f miners at most, that did not open to it."""
    mine, theirs = set(judged_by_sketch(vote)), set(judged_by_sketch(agreed))
    return mine < theirs and len(theirs - mine) <= byzantine


def _known_reason(submission: Submission | None, replayed: bool) -> Reason | None:
    if submission is None:
        return Reason.ABSENT
    if not ROUND[Phase.REVEAL].done(submission):
        return Reason.WITHHELD
    return Reason.NO_TRACE if replayed and not ROUND[Phase.TRACE].done(submission) else None


def _quorum(values: Mapping[int, str], spec: TaskSpec) -> tuple[int, ...]:
    """The seats, in order, whose value at least t share; () if there are none."""
    for value in values.values():
        seats = tuple(seat for seat in sorted(values) if values[seat] == value)
        if len(seats) >= spec.committee.threshold:
            return seats
    return ()


def _acted(step: RoundStep, round_: Round, records: Mapping[int, Record]) -> dict[int, Record]:
    """The records of the round's seats that have acted in the step, by seat and in its order."""
    return {seat: records[seat] for seat in round_.seats if step.done(records.get(seat))}


def _missing(round_: Round, acted: Container[int]) -> tuple[int, ...]:
    return tuple(seat for seat in round_.seats if seat not in acted)


def _aborted(reason: Why, missed: tuple[int, ...]) -> Closing:
    return Closing(Phase.ENDED, outcome=Outcome.ABORTED, reason=reason, missed=missed)


def _next_proposer(round_: Round) -> Closing:
    if round_.proposer_turn + 1 < len(round_.proposers):
        return Closing(Phase.PROPOSE, next_turn=True)
    return ended(Outcome.ABORTED, Why.NO_PROPOSAL)
