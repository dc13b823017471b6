"""The pure rules of a round's phases: what holds for any votes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from quorumlearn_chaincode.contracts.phases import (
    Closing,
    close_beacon,
    close_open,
    close_screen,
    close_select,
    close_validate,
)
from quorumlearn_proto.block_pb2 import (
    Ballot,
    BallotReason,
    Candidate,
    KeyContribution,
    Outcome,
    Phase,
    Reason,
    Round,
    Screening,
    Selection,
    Verdict,
)
from quorumlearn_proto.derived import least_aggregate
from quorumlearn_proto.protocol import ROUND
from quorumlearn_proto.task_pb2 import TaskSpec

from tests.chaincode.contracts.market_actors import ref, sha, spec

MINERS = [f"M1MSP/m{number}" for number in range(4)]
ORDER = MINERS[:2]


@st.composite
def rounds(draw: st.DrawFn) -> tuple[TaskSpec, Round]:
    """A committee of v seats, of which at least t are still in the round."""
    v = draw(st.integers(1, 6))
    t = draw(st.integers(max(v // 2 + 1, min(v, 2)), v))
    seats = sorted(draw(st.sets(st.integers(1, v), min_size=t)))
    task = spec()
    task.committee.threshold = t
    round_ = Round(number=1, seats=seats, miners=MINERS, proposers=ORDER)
    round_.candidate.CopyFrom(Candidate(proposer=ORDER[0]))
    round_.proposer_turn = draw(st.integers(0, 1))
    return task, round_


def selection(weights: list[int]) -> Selection:
    return Selection(
        verdicts=[
            Verdict(miner=miner, weight=w, reason=Reason.CONTRIBUTES if w else Reason.OUTLIER)
            for miner, w in zip(MINERS, weights, strict=True)
        ]
    )


CHOICES = [selection(weights) for weights in ([1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0])]


def close(phase: Phase, task: TaskSpec, round_: Round, acts: dict[int, int], expired: bool) -> Closing | None:
    """Close the phase where the seats in `acts` have acted, with the choice of this index."""
    match phase:
        case Phase.BEACON:
            return close_beacon(task, round_, {s: KeyContribution(beacon=sha(str(s))) for s in acts}, expired)
        case Phase.SCREEN:
            return close_screen(task, round_, {s: Screening(sketch_shares=ref("s")) for s in acts}, expired)
        case Phase.SELECT:
            votes = {s: Screening(selection=CHOICES[choice]) for s, choice in acts.items()}
            return close_select(task, round_, votes, expired)
        case Phase.OPEN:
            posted = {
                s: Screening(aggregate_ciphertext=sha(str(choice)), partial=ref("p"))
                for s, choice in acts.items()
            }
            return close_open(task, round_, posted, expired)
    ballots = {s: Ballot(reason=BallotReason.keys()[1 + choice]) for s, choice in acts.items()}
    return close_validate(task, round_, ballots, expired)


PHASES = st.sampled_from([Phase.BEACON, Phase.SCREEN, Phase.SELECT, Phase.OPEN, Phase.VALIDATE])


@settings(deadline=None)
@given(PHASES, rounds(), st.data())
def test_seats_at_fault_leave_and_t_stay_unless_the_round_ends(
    phase: Phase, play: tuple[TaskSpec, Round], data: st.DataObject
) -> None:
    task, round_ = play
    everyone = data.draw(st.booleans())
    acts = {
        seat: data.draw(st.sampled_from([0, 0, 0, 1, 2, 3]))
        for seat in round_.seats
        if everyone or data.draw(st.integers(0, 3))
    }
    strangers = {seat: 3 for seat in range(1, 7) if seat not in round_.seats}
    early = close(phase, task, round_, acts | strangers, expired=False)
    closing = close(phase, task, round_, acts | strangers, expired=True)
    assert closing is not None
    assert closing.next in ROUND[phase].leads_to
    assert early == (closing if len(acts) == len(round_.seats) else None)
    at_fault = [*closing.missed, *closing.false_votes]
    assert len(set(at_fault)) == len(at_fault)
    assert set(closing.missed) == set(round_.seats) - set(acts)
    assert set(closing.false_votes) <= set(acts)
    assert set(closing.idle) <= set(acts) - set(at_fault)
    if closing.next != Phase.ENDED:
        assert len(round_.seats) - len(at_fault) >= task.committee.threshold
    if closing.outcome in (Outcome.ACCEPTED, Outcome.REJECTED):
        assert len(round_.seats) - len(at_fault) - len(closing.idle) >= task.committee.threshold
    if phase == Phase.SELECT and closing.next == Phase.OPEN:
        assert closing.selection is not None
        contributing = [verdict for verdict in closing.selection.verdicts if verdict.weight]
        assert len(contributing) >= least_aggregate(task) == 2
