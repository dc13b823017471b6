"""What a selection may say of work that seats replay, what its proof must be, and what each verdict costs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from quorumlearn_chaincode.contracts import Code
from quorumlearn_proto.block_pb2 import Outcome, Phase, Reason, Selection
from quorumlearn_proto.derived import judged_by_sketch
from quorumlearn_proto.recompute import drawn_items
from quorumlearn_proto.task_pb2 import Exactness

from tests.chaincode.contracts.market_actors import sha
from tests.chaincode.contracts.recompute_actors import RecomputePlay, recompute, recompute_spec
from tests.chaincode.contracts.test_replayed_rounds import ended, in_phase, refusal, started, work
from tests.chaincode.contracts.test_timeouts import expire

pytestmark = pytest.mark.usefixtures("views_are_whole")


def test_wrong_work_costs_stake_and_its_proof_is_in_the_block() -> None:
    play = in_phase(Phase.SELECT)
    cheat = play.round().miners[2]
    chosen = play.wrong_work(cheat)
    play.select(chosen)
    play.whole_round()
    stake = play.stake(cheat)
    assert (stake.slashed, stake.paid, work(play)[cheat]) == (40, 0, 0)
    verdict = next(one for one in play.block(1).core.verdicts if one.miner == cheat)
    assert (verdict.reason, verdict.proof) == (Reason.WRONG_WORK, chosen.verdicts[2].proof)
    assert cheat not in judged_by_sketch(chosen)
    assert not ended(play).absentees


def test_wrong_work_is_found_by_t_equal_votes_proof_included() -> None:
    play = in_phase(Phase.SELECT)
    cheat = play.round().miners[2]
    play.select(play.wrong_work(cheat), [1])
    play.select(play.wrong_work(cheat, replayed=sha("other")), [2])
    play.select(seats=[3])
    assert (ended(play).outcome, ended(play).reason) == (Outcome.ABORTED, "NO_SELECTION")
    assert play.stake(cheat).slashed == 0


def test_one_seat_alone_finds_nobodys_work_wrong() -> None:
    play = in_phase(Phase.SELECT)
    cheat = play.round().miners[2]
    play.select(play.wrong_work(cheat), [1])
    play.select(seats=[2, 3])
    assert play.round().phase == Phase.OPEN
    assert list(play.round().seats) == [2, 3]
    assert play.stake(cheat).slashed == 0


def undrawn(play: RecomputePlay, miner: str) -> int:
    items = play.items(miner)
    return next(item for item in range(1, 6) if item not in items)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda play, who, proof: setattr(proof, "item", undrawn(play, who)), "drawn of its training are"),
        (lambda play, who, proof: setattr(proof, "item", 6), "drawn of its training are"),
        (lambda play, who, proof: setattr(proof, "item", 0), "drawn of its training are"),
        (lambda play, who, proof: proof.seats.pop(), "drawn for item"),
        (lambda play, who, proof: proof.seats.append(9), "drawn for item"),
        (lambda play, who, proof: proof.seats.reverse(), "drawn for item"),
        (lambda play, who, proof: setattr(proof, "claimed", "x"), "claimed is no digest"),
        (lambda play, who, proof: setattr(proof, "replayed", "0" * 63), "replayed is no digest"),
        (lambda play, who, proof: setattr(proof, "replayed", proof.claimed), "gives what was claimed"),
    ],
)
def test_a_proof_is_of_what_was_drawn_and_of_two_digests(
    spoil: Callable[[RecomputePlay, str, object], object], says: str
) -> None:
    play = in_phase(Phase.SELECT)
    cheat = play.round().miners[2]
    chosen = play.wrong_work(cheat)
    spoil(play, cheat, chosen.verdicts[2].proof)
    refused = refusal(lambda: play.select(chosen))
    assert (refused.code, says in refused.sentence) == (Code.BAD_ARGUMENT, True), refused.sentence


def test_a_proof_of_what_cannot_be_replayed_has_no_replayed_digest() -> None:
    play = in_phase(Phase.SELECT)
    chosen = play.wrong_work(play.round().miners[2])
    chosen.verdicts[2].proof.ClearField("replayed")
    play.select(chosen)
    assert play.round().phase == Phase.OPEN


def test_the_items_are_those_of_the_rounds_beacon_which_nobody_knew_at_the_commit() -> None:
    play = in_phase(Phase.SELECT)
    now = play.round()
    assert play.items(now.miners[0]) == drawn_items(play.asked, now.beacon, now.miners[0], 20)
    assert now.beacon not in ("", now.start_beacon)


@pytest.mark.parametrize("reason", [Reason.OUTLIER, Reason.MALFORMED, Reason.CONTRIBUTES])
def test_only_wrong_work_has_a_proof(reason: Reason) -> None:
    play = in_phase(Phase.SELECT)
    chosen = play.wrong_work(play.round().miners[2])
    chosen.verdicts[2].reason, chosen.verdicts[2].weight = reason, int(reason == Reason.CONTRIBUTES)
    assert "a proof stands with WRONG_WORK" in refusal(lambda: play.select(chosen)).sentence
    bare = play.wrong_work(play.round().miners[2])
    bare.verdicts[2].ClearField("proof")
    assert "a proof stands with WRONG_WORK" in refusal(lambda: play.select(bare)).sentence


def judged(play: RecomputePlay, miner: str, reason: Reason) -> Selection:
    chosen = play.selection({other: 1 for other in play.round().miners if other != miner}, reason)
    assert next(one.reason for one in chosen.verdicts if one.miner == miner) == reason
    return chosen


def test_whose_replays_fail_everywhere_is_unconfirmed_and_keeps_its_stake() -> None:
    play = in_phase(Phase.SELECT)
    play.select(judged(play, play.miners[0], Reason.UNCONFIRMED))
    play.whole_round()
    stake = play.stake(play.miners[0])
    assert (stake.paid, stake.slashed, work(play)[play.miners[0]]) == (0, 0, 0)


def test_whom_too_few_seats_of_its_profile_can_replay_is_unconfirmed_and_nothing_else_by_its_work() -> None:
    play = RecomputePlay()
    odd = play.miners[1]
    play.profiles = {odd: sha("odd"), 3: sha("odd")}
    play.start(recompute_spec(recompute(exactness=Exactness.PROFILE)))
    play.to(Phase.SELECT)
    assert "fewer than t seats have its numeric profile" in refusal(play.select).sentence
    wrong = play.wrong_work(odd)
    assert "only 1 seats have its numeric profile" in refusal(lambda: play.select(wrong)).sentence
    play.select(judged(play, odd, Reason.UNCONFIRMED))
    play.whole_round()
    stake = play.stake(odd)
    assert (stake.paid, stake.slashed, stake.amount) == (0, 0, 100)


def test_in_float32_a_proof_is_by_seats_of_the_miners_profile() -> None:
    play = RecomputePlay()
    play.profiles = {2: sha("other")}
    play.start(recompute_spec(recompute(exactness=Exactness.PROFILE)))
    play.to(Phase.SELECT)
    chosen = play.wrong_work(play.round().miners[2])
    assert list(chosen.verdicts[2].proof.seats) == [1, 3]
    play.select(chosen)
    assert play.round().phase == Phase.OPEN


def test_who_has_opened_nothing_is_no_trace_and_nobody_else_is() -> None:
    play = in_phase(Phase.TRACE)
    silent = play.round().miners[0]
    play.trace(list(play.round().miners)[1:])
    expire(play)
    play.to(Phase.SELECT)
    for index, reason, says in (
        (0, Reason.OUTLIER, "did not open its trace"),
        (1, Reason.NO_TRACE, "one of the judgements"),
    ):
        chosen = play.selection()
        verdict = chosen.verdicts[index]
        verdict.reason, verdict.weight, verdict.share = reason, 0, 0
        assert says in refusal(play.select, chosen).sentence
    assert play.selection().verdicts[0].miner == silent


@pytest.mark.parametrize("reason", [Reason.OUTLIER, Reason.NOT_SELECTED])
def test_what_costs_standing_takes_the_work_of_a_round(reason: Reason) -> None:
    play = started(asked=recompute(pay_by_steps=True), rounds=3)
    suspect = play.miners[3]
    play.whole_round()
    assert work(play)[suspect] == 20
    play.steps = {suspect: 10}
    play.to(Phase.SELECT)
    play.select(judged(play, suspect, reason))
    play.whole_round()
    assert work(play)[suspect] == 0
    assert play.stake(suspect).slashed == 0
