"""The cheats whose gain `economics` computes: what each is paid, what work it still does, how often it is found, and what that costs.

Figures are measured ones; each names the page that has it. Where nothing was measured, the figure favours the cheat: no work, and pay as
for honest work. What being found costs comes from the table that the contracts read (quorumlearn_proto.penalties).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from quorumlearn_proto.block_pb2 import BallotReason, Fault, Phase, Reason
from quorumlearn_proto.penalties import MINERS, PROPOSERS, Cost, fault_penalty

MULTI_KRUM, AGREEMENT = "multi-krum", "agreement"

RIDER_FIRST = 1.05
"""Pay of a little noise in the first round: 0.21 over five rounds, all of it from the first (docs/robustness.md, Free riders)."""
BLUFF = 0.6
"""Pay of the last step with noise as long as it (docs/robustness.md, Free riders)."""
ONE_BATCH, ONE_BATCH_WORK = 1.5, 0.1
"""Pay under multi-Krum, and work, of training on the first batch only (docs/robustness.md, Free riders)."""
NEAR_COPY = {
    "mean": 1.0,
    MULTI_KRUM: 1.4,
    "geometric-median": 1.63,
    "centred-clipping": 1.15,
    "norm-clipping": 1.12,
    "clustering": 1.14,
    AGREEMENT: 2 * 0.59 - 1,
}
"""The most that a near copy was paid (docs/robustness.md, Copies). Under `agreement` both it and the copied update have 0.59, so that the
pair has this more than the copied one alone."""
INVENTED_WORK = 0.6
"""What is left of a seat's work in a round to who makes up its ballot (docs/economics.md, Figures)."""
NOISE_FOUND = COPY_FOUND = 1.0
"""Part of rounds (docs/robustness.md, Goals)."""

_NO_SHARE = "no share to spare: the round ends undecided, unpaid"


@dataclass(frozen=True, kw_only=True)
class Cheat:
    """`pay` and `work` are parts of what an honest place is paid and works; `first` is the pay of the first round, where it differs
    and nothing is found. `found` is a chance a round; who is found is unpaid and loses `cost`. `decides` is the rule that settles it.
    """

    name: str
    what: str
    pay: float
    work: float
    decides: str
    found: float = 0.0
    cost: Cost = Cost.NOTHING
    first: float | None = None


def of_miners(rule: str, spare: bool, one_less: bool) -> tuple[Cheat, ...]:
    """A miner's cheats under a rule by the name of its last part; `spare`: the committee has more seats than its threshold;
    `one_less`: a round goes on with one miner less.
    """
    krum = rule == MULTI_KRUM
    return (
        _found(
            Reason.NOTHING_NEW,
            "free rider",
            "sends the last public step again, with a little noise",
            first=RIDER_FIRST,
        ),
        Cheat(
            name="bluff",
            what="sends the last public step again, with noise as long as it",
            pay=BLUFF,
            work=0.0,
            decides="the robust rule's weights",
        ),
        Cheat(
            name="one batch",
            what="trains on its first batch only",
            pay=ONE_BATCH if krum else 1.0,
            work=ONE_BATCH_WORK,
            decides="none: work is not proved",
        ),
        Cheat(
            name="short update",
            what="sends noise that is short, yet above rounding",
            pay=RIDER_FIRST if krum else 1.0,
            work=0.0,
            decides="none: a short update is an update",
        ),
        Cheat(
            name="near copy",
            what="sends the update of its organisation's other miner, changed by more than rounding",
            pay=NEAR_COPY.get(rule, max(NEAR_COPY.values())),
            work=0.0,
            decides="the robust rule's weights: it shares one part"
            if rule == AGREEMENT
            else "none: a changed update is not a copy",
        ),
        _found(Reason.OUTLIER, "noise", "sends noise as long as an update", found=NOISE_FOUND),
        _found(Reason.DUPLICATE, "copy", "sends another's update", found=COPY_FOUND),
        *_of_any_miner(spare, one_less),
    )


def _of_any_miner(spare: bool, one_less: bool) -> tuple[Cheat, ...]:
    return (
        _found(Reason.WITHHELD, "withholding", "commits, and reveals nothing")
        if one_less
        else _undecided(
            "withholding", "commits, and reveals nothing", "too few reveal: the round ends, unpaid"
        ),
        _found(Reason.MALFORMED, "malformed", "reveals bytes that are not an update"),
        _found(Reason.FALSE_CLAIM, "false claim", "claims another sketch than its update's")
        if spare
        else _undecided("false claim", "claims another sketch than its update's", _NO_SHARE),
    )


def of_workers(found: Callable[[float], float] | None, spare: bool, one_less: bool) -> tuple[Cheat, ...]:
    """A miner's cheats where training is replayed: `found` gives the chance for who skips a part of its work. None where replicas confirm
    each other instead: whose work differs from theirs is found.
    """
    reason = Reason.UNCONFIRMED if found is None else Reason.WRONG_WORK

    def skips(share: float, name: str, what: str, reason: Reason = reason) -> Cheat:
        cost, chance = MINERS[reason].cost, 1.0 if found is None else found(share)
        decides = _decides(Reason.Name(reason), cost)
        return Cheat(name=name, what=what, pay=1.0, work=1 - share, found=chance, cost=cost, decides=decides)

    cheats = [
        skips(1.0, "no training", "sends noise, with a trace that is made up"),
        skips(1.0, "copied trace", "sends the update and the trace of another's training"),
        skips(1 - ONE_BATCH_WORK, "one batch", "trains on its first batch only"),
        skips(0.1, "skipped tenth", "skips a tenth of its segments"),
    ]
    if found is not None:
        unopened = "sends noise, and opens nothing once what is drawn is wrong"
        cheats.append(skips(1.0, "no opening", unopened, Reason.NO_TRACE))
    return (*cheats, *_of_any_miner(spare, one_less))


def of_replayers(found: float, work: float) -> Cheat:
    """A seat that replays nothing; `work` is the part of its work that it does nevertheless."""
    what = "makes up what it reports of replays"
    lazy = _fault(Fault.FALSE_REPLAY, Phase.SELECT, "made-up receipts", what, work)
    return replace(lazy, pay=1.0, found=found)


def of_seats(spare: bool) -> tuple[Cheat, ...]:
    """A seat's cheats; `spare`: the committee has more seats than its threshold."""
    partial, vote = "posts a false partial decryption", "votes against what all can compute"
    copied = "repeats what other seats voted, and verifies nothing"
    return (
        _fault(Fault.UNFOUNDED_VOTE, Phase.OPEN, "copied votes", copied, work=0.0)
        if spare
        else Cheat(
            name="copied votes",
            what=copied,
            pay=1.0,
            work=0.0,
            decides="no seat to spare: t others cannot name it",
        ),
        Cheat(
            name="invented counts",
            what="votes GOOD with counts that fit, and neither opens the sum nor scores",
            pay=1.0,
            work=INVENTED_WORK,
            decides="none: nobody else has its test set",
        ),
        _fault(Fault.MISSED_STEP, Phase.SELECT, "missing", "does not act", work=0.0)
        if spare
        else _undecided("missing", "does not act", "too few seats act: the round ends, unpaid"),
        _fault(Fault.BAD_PARTIAL, Phase.OPEN, "false partial", partial)
        if spare
        else _opened("false partial", partial),
        _fault(Fault.FALSE_VOTE, Phase.VALIDATE, "false vote", vote)
        if spare
        else _opened("false vote", vote),
    )


def of_proposers(miners: int) -> Cheat:
    """A miner that proposes a wrong model whenever it is drawn, once in `miners` rounds: every seat recomputes it."""
    wrong = BallotReason.WRONG_MODEL
    return Cheat(
        name="wrong model",
        what="proposes another model than the aggregate gives",
        pay=0.0,
        work=0.0,
        found=1 / miners,
        cost=PROPOSERS[wrong].cost,
        decides=_decides(BallotReason.Name(wrong), PROPOSERS[wrong].cost),
    )


def _found(reason: Reason, name: str, what: str, *, found: float = 1.0, first: float | None = None) -> Cheat:
    """A miner's cheat that works nothing and is found for this reason."""
    cost = MINERS[reason].cost
    decides = _decides(Reason.Name(reason), cost)
    return Cheat(
        name=name, what=what, pay=1.0, work=0.0, found=found, cost=cost, first=first, decides=decides
    )


def _fault(fault: Fault, phase: Phase, name: str, what: str, work: float = 1.0) -> Cheat:
    cost = fault_penalty(fault, Phase.Name(phase)).cost
    return Cheat(
        name=name,
        what=what,
        pay=0.0,
        work=work,
        found=1.0,
        cost=cost,
        decides=_decides(Fault.Name(fault), cost),
    )


def _undecided(name: str, what: str, decides: str) -> Cheat:
    return Cheat(name=name, what=what, pay=0.0, work=0.0, decides=decides)


def _opened(name: str, what: str) -> Cheat:
    return Cheat(
        name=name,
        what=what,
        pay=1.0,
        work=1.0,
        decides="no seat to spare: undecided, and what is opened is paid",
    )


def _decides(name: str, cost: Cost) -> str:
    return f"{name}: {cost.value}"
