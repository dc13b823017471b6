"""Verifiers earn by verifying: a copied vote has no basis and costs a slash, and an honest dissent in SELECT is paid."""

from __future__ import annotations

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto.block_pb2 import Fault, Outcome, Phase, Reason, Round, Selection

from tests.chaincode.contracts.market_actors import TASK, Play, js, sha, spec

pytestmark = pytest.mark.usefixtures("views_are_whole")

UNFOUNDED = Fault.UNFOUNDED_VOTE


def play(byzantine: int = 0, rounds: int = 2) -> Play:
    """A committee of three, two of them a quorum, and four miners, or six of whom one may be bad."""
    made = Play(miner_count=6 if byzantine else 4)
    few = (5, 6) if byzantine else (3, 4)
    made.start(spec(rounds=rounds, byzantine=byzantine, min_miners=few[0], max_miners=few[1]))
    return made


def without(selection: Selection, miner: str, reason: Reason = Reason.FALSE_CLAIM) -> Selection:
    """The same to a seat to which this miner's sketch did not open."""
    kept = Selection()
    kept.CopyFrom(selection)
    for verdict in kept.verdicts:
        if verdict.miner == miner:
            verdict.weight, verdict.reason = 0, reason
    return kept


def test_a_lazy_seat_that_copies_selection_digest_and_ballot_earns_less_than_an_honest_one() -> None:
    """It sees all that others put on the ledger, and knows no sketch: whatever it gives for a basis, two seats find it false."""
    made = play(rounds=6)
    honest, lazy = made.seats[1], made.seats[3]
    for number in range(1, 7):
        made.to(Phase.SELECT)
        sits = 3 in made.round().seats
        made.select(seats=[1, 2])
        if sits:
            seen = next(one for one in made.view().screenings if one.HasField("selection"))
            words = ("blocks:VoteSelection", TASK, str(number), js(seen.selection), seen.basis)
            made.send(lazy, *words)
            for accuser in (1, 2):
                made.accuse(accuser, 3, UNFOUNDED)
        made.whole_round()
    assert (made.stake(honest).paid, made.stake(honest).slashed) == (6 * 66, 0)
    assert (made.stake(lazy).paid, made.stake(lazy).slashed) == (0, 4 * 50), "until its stake covers no more"
    made.check_tokens()


def test_t_seats_put_an_unfounded_vote_out_and_the_round_goes_on() -> None:
    made = play()
    made.to(Phase.OPEN)
    made.accuse(1, 3, UNFOUNDED)
    assert list(made.round().seats) == [1, 2, 3]
    made.accuse(2, 3, UNFOUNDED)
    found = made.misconducts()[0]
    assert (found.seat, found.fault, found.step, found.slashed) == (3, UNFOUNDED, "OPEN", 50)
    assert list(found.accusers) == [1, 2]
    made.whole_round()
    first = made.ask(Round, "blocks:Round", TASK, "1")
    assert (first.outcome, list(first.seats)) == (Outcome.ACCEPTED, [1, 2])
    assert made.stake(made.seats[3]).paid == 0


@pytest.mark.parametrize("phase", [Phase.SELECT, Phase.PROPOSE, Phase.VALIDATE])
def test_votes_are_judged_once_all_are_cast_and_before_the_sum_is_opened(phase: Phase) -> None:
    made = play()
    made.to(phase)
    with pytest.raises(Refusal) as caught:
        made.accuse(1, 3, UNFOUNDED)
    assert caught.value.code == Code.BAD_ARGUMENT


def test_a_vote_without_a_basis_is_refused() -> None:
    made = play()
    made.to(Phase.SELECT)
    for basis in ("", "ab", sha("basis").upper()):
        with pytest.raises(Refusal) as caught:
            made.send(made.seats[1], "blocks:VoteSelection", TASK, "1", js(made.selection()), basis)
        assert caught.value.code == Code.BAD_ARGUMENT
    made.select(seats=[1])
    assert made.view().screenings[0].basis == sha("basis 1")


def test_who_was_shown_too_little_of_f_miners_is_outvoted_and_paid() -> None:
    made = play(byzantine=1)
    made.to(Phase.SELECT)
    made.select(without(made.selection(), made.miners[0]), seats=[2])
    made.select(seats=[1, 3])
    assert (made.round().phase, list(made.round().seats)) == (Phase.OPEN, [1, 2, 3])
    assert not made.misconducts()
    made.whole_round()
    assert made.stake(made.seats[2]).paid == made.stake(made.seats[1]).paid > 0


@pytest.mark.parametrize(
    "how", ["of more than f miners", "of none, with another result", "more than the others"]
)
def test_any_other_dissent_costs_the_rounds_pay(how: str) -> None:
    made = play(byzantine=1)
    made.to(Phase.SELECT)
    agreed = made.selection()
    other = without(agreed, made.miners[0])
    if how == "of more than f miners":
        other = without(other, made.miners[1])
    elif how == "of none, with another result":
        other = made.selection(dict.fromkeys(made.miners[:5], 1))
    else:
        agreed, other = other, agreed
    made.select(other, seats=[2])
    made.select(agreed, seats=[1, 3])
    assert [(one.seat, one.fault, one.slashed) for one in made.misconducts()] == [(2, Fault.FALSE_VOTE, 0)]
    made.whole_round()
    assert made.stake(made.seats[2]).paid == 0
