"""What a fault costs, and what proves it: the one table that contracts read, and that docs/protocol.md shows.

A slash needs proof. Stake is taken for what anybody can compute again from the ledger and the store, or for what t seats have put on the
ledger under its name, of whom one at least is honest. Nothing else:
- what statistics say of an update (far from the others, equal to another) is not proof, since an honest miner of unusual data looks so;
- what rests on shares sealed to the committee costs miners no stake: nobody outside sees who lied;
- a place among a round's miners is not stake: who gave no update twice in a row, or nothing of use for longer,
  leaves it to whoever waits, for whatever reason. Who opens no trace leaves it at once: that is how a cheat escapes the proof;
- who is late may be cut off. A second round in a row is no accident, if enough others were heard in that very step.

>>> costs_stake(Reason.OUTLIER), fault_penalty(Fault.BAD_PARTIAL, "PROPOSE").cost.name
(False, 'STAKE')
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from .block_pb2 import BallotReason, Fault, Phase, Reason

REPEATED = 3
"""After so many rounds in a row in which a miner was absent, or passed over for reasons that cost standing, it loses its place."""


class Cost(StrEnum):
    """What is lost. A miner's pay is its part of the round's reward; a seat without its pay takes no further part in the round."""

    NOTHING = "nothing"
    PAY = "the round's pay"
    PLACE = "the round's pay; the place, if it gave no update in the round before either"
    WITHHOLDING = "the round's pay; the place, if it gave no update in the round before either, and a slash, if it withheld there too"
    PLACE_AT_ONCE = "the round's pay and the place"
    STANDING = f"the round's pay and the work of a round; the place, if it is the {REPEATED}rd round in a row of no use"
    SECOND = "the round's pay; a slash, if it missed something of the round before too"
    STAKE = "the round's pay and a slash"


@dataclass(frozen=True, kw_only=True)
class Penalty:
    """`proof`: what it rests on; `seen_by`: who can compute it again."""

    proof: str
    seen_by: str
    cost: Cost


ANYBODY, READER, SEATS = "anybody", "anybody, while the store has it", "the round's seats"

MINERS: Mapping[Reason, Penalty] = MappingProxyType(
    {
        Reason.CONTRIBUTES: Penalty(proof="t equal votes", seen_by=SEATS, cost=Cost.NOTHING),
        Reason.ABSENT: Penalty(proof="no commit on the ledger", seen_by=ANYBODY, cost=Cost.PLACE),
        Reason.WITHHELD: Penalty(
            proof="a commit and no reveal on the ledger, while at least `min_miners` others revealed",
            seen_by=ANYBODY,
            cost=Cost.WITHHOLDING,
        ),
        Reason.MISSING_ARTIFACT: Penalty(
            proof="t equal votes; others may have deleted it", seen_by="nobody afterwards", cost=Cost.PLACE
        ),
        Reason.MALFORMED: Penalty(
            proof="the bytes under the digest that its miner revealed, and t equal votes",
            seen_by=READER,
            cost=Cost.STAKE,
        ),
        Reason.OUT_OF_RANGE: Penalty(
            proof="its sketch, which is sealed, and t equal votes", seen_by=SEATS, cost=Cost.STANDING
        ),
        Reason.DUPLICATE: Penalty(
            proof="two sketches, which are sealed, and t equal votes", seen_by=SEATS, cost=Cost.STANDING
        ),
        Reason.OUTLIER: Penalty(
            proof="statistics of the sketches, and t equal votes", seen_by=SEATS, cost=Cost.STANDING
        ),
        Reason.NOT_SELECTED: Penalty(
            proof="statistics of the sketches, and t equal votes", seen_by=SEATS, cost=Cost.STANDING
        ),
        Reason.NOTHING_NEW: Penalty(
            proof="its sketch, which is sealed, the last public models, and t equal votes",
            seen_by=SEATS,
            cost=Cost.STANDING,
        ),
        Reason.FALSE_CLAIM: Penalty(
            proof="its sketch, opened with a share to spare, and t equal votes",
            seen_by=SEATS,
            cost=Cost.STANDING,
        ),
        Reason.NO_TRACE: Penalty(
            proof="a reveal and no opening on the ledger, while at least `min_miners` others opened theirs",
            seen_by=ANYBODY,
            cost=Cost.PLACE_AT_ONCE,
        ),
        Reason.WRONG_WORK: Penalty(
            proof="an opened segment that anybody can replay, and t equal votes",
            seen_by=READER,
            cost=Cost.STAKE,
        ),
        Reason.UNCONFIRMED: Penalty(
            proof="too few seats of its numeric profile, replicas of other work, or replays that fail, and t equal votes",
            seen_by=SEATS,
            cost=Cost.PAY,
        ),
        Reason.REPLICA: Penalty(
            proof="the root of a team mate that contributes, and t equal votes",
            seen_by=ANYBODY,
            cost=Cost.NOTHING,
        ),
    }
)
"""By what a selection says of a miner."""

PROPOSERS: Mapping[BallotReason, Penalty] = MappingProxyType(
    {
        BallotReason.WRONG_MODEL: Penalty(
            proof="partial decryptions, base and candidate, and t equal votes",
            seen_by=READER,
            cost=Cost.STAKE,
        ),
        BallotReason.UNAVAILABLE: Penalty(
            proof="none: it cannot be told what the model should be", seen_by="nobody", cost=Cost.NOTHING
        ),
        BallotReason.SCORE_FELL: Penalty(
            proof="t ballots whose scores the gate confirms",
            seen_by="each seat of its own test set",
            cost=Cost.PAY,
        ),
    }
)
"""By what ballots say of a candidate. SCORE_FELL costs all the round's miners their pay."""

_TYPED = "a vote of t seats that names the seat and the fault"
_LAID_OPEN = Penalty(proof=f"the attempt, which is laid open, and {_TYPED}", seen_by=READER, cost=Cost.STAKE)
FAULTS: Mapping[Fault, Penalty] = MappingProxyType(
    {
        Fault.MISSED_STEP: Penalty(
            proof="nothing of it on the ledger on the step's deadline, while at least t other seats acted",
            seen_by=ANYBODY,
            cost=Cost.SECOND,
        ),
        Fault.FALSE_VOTE: Penalty(
            proof="a vote against t equal ones on what public records give: the aggregate's digest, the model",
            seen_by=READER,
            cost=Cost.STAKE,
        ),
        Fault.BAD_PUBLIC_SHARE: _LAID_OPEN,
        Fault.BAD_DEALING: _LAID_OPEN,
        Fault.BAD_TEST_PARTIAL: _LAID_OPEN,
        Fault.BAD_SEALING_KEY: _LAID_OPEN,
        Fault.FALSE_CONFIRMATION: _LAID_OPEN,
        Fault.UNFOUNDED_COMPLAINT: Penalty(
            proof=f"the attempt, which is laid open, and {_TYPED}", seen_by=READER, cost=Cost.PAY
        ),
        Fault.BAD_SKETCH_SHARES: Penalty(proof=_TYPED, seen_by=SEATS, cost=Cost.STAKE),
        Fault.UNFOUNDED_VOTE: Penalty(
            proof=f"the vote's basis, which whoever has opened the sketches computes, and {_TYPED}",
            seen_by=SEATS,
            cost=Cost.STAKE,
        ),
        Fault.BAD_PARTIAL: Penalty(
            proof=f"the partial decryptions, with one to spare, and {_TYPED}", seen_by=READER, cost=Cost.STAKE
        ),
        Fault.FALSE_REPLAY: Penalty(
            proof=f"its report, beside what a replay of the same item gives, and {_TYPED}",
            seen_by=READER,
            cost=Cost.STAKE,
        ),
    }
)
"""By the fault of a seat; `SEALED_VOTE` stands beside them."""
SEALED_VOTE = Penalty(
    proof="a vote in SELECT against t equal ones: it rests on sealed shares, of which an honest seat may have been shown others",
    seen_by=SEATS,
    cost=Cost.PAY,
)
"""FALSE_VOTE in SELECT."""


def costs_stake(reason: Reason) -> bool:
    """Whether a verdict costs a slash when the selection is fixed."""
    return MINERS[reason].cost is Cost.STAKE


def costs_standing(reason: Reason) -> bool:
    return MINERS[reason].cost is Cost.STANDING


def fault_penalty(fault: Fault, step: str) -> Penalty:
    """What a seat's fault in this step costs; `step` as in Misconduct."""
    sealed = fault == Fault.FALSE_VOTE and step == Phase.Name(Phase.SELECT)
    return SEALED_VOTE if sealed else FAULTS[fault]
