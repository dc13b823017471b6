"""Teams of miners that do the same work: one counts in the sum, all are paid alike, and where nobody replays they confirm each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from quorumlearn_chaincode.contracts import Refusal
from quorumlearn_proto.block_pb2 import Outcome, Phase, Reason, Round, Selection, Verdict
from quorumlearn_proto.page_pb2 import ParticipationPage
from quorumlearn_proto.recompute import team_of
from quorumlearn_proto.task_pb2 import Exactness, TaskStatus

from tests.chaincode.contracts.market_actors import TASK, sha
from tests.chaincode.contracts.recompute_actors import RecomputePlay, recompute, recompute_spec

pytestmark = pytest.mark.usefixtures("views_are_whole")

SEALED: dict[str, object] = {"sealed": True, "replicas": 2}


def selecting(
    asked: dict[str, object], prepare: Callable[[RecomputePlay], object] = lambda _: None
) -> RecomputePlay:
    """Four miners in two teams of two, in SELECT."""
    play = RecomputePlay()
    play.start(recompute_spec(recompute(**asked), min_miners=4))
    play.to(Phase.COMMIT)
    prepare(play)
    play.to(Phase.SELECT)
    return play


def refused(play: RecomputePlay, chosen: Selection) -> str:
    with pytest.raises(Refusal) as caught:
        play.select(chosen)
    return caught.value.sentence


def replica(chosen: Selection) -> Verdict:
    return next(one for one in chosen.verdicts if one.reason == Reason.REPLICA)


def mate(play: RecomputePlay, miner: str) -> str:
    (other,) = (one for one in team_of(play.round(), miner)[1].miners if one != miner)
    return other


def without(play: RecomputePlay, miner: str) -> Selection:
    """The honest selection, but that one miner is passed over."""
    return play.selection({other: 1 for other in play.round().miners if other != miner})


def differ(play: RecomputePlay) -> None:
    """Miner 0 and its team mate have done other work."""
    play.roots = {play.miners[0]: sha("of its own")}


@pytest.mark.parametrize("asked", [{"replicas": 2}, SEALED, SEALED | {"pay_by_steps": True}], ids=str)
def test_one_of_a_team_counts_and_all_are_paid_and_have_worked_alike(asked: dict[str, object]) -> None:
    play = selecting(asked)
    chosen = play.selection()
    assert sorted(one.reason for one in chosen.verdicts) == [Reason.CONTRIBUTES] * 2 + [Reason.REPLICA] * 2
    play.whole_round()
    now = play.ask(Round, "blocks:Round", TASK, "1")
    assert now.outcome == Outcome.ACCEPTED
    (aggregate,) = (one for one in play.ask_authorisations() if one.weights)
    assert len(aggregate.updates) == 2
    bonus = {now.candidate.proposer: 100}
    assert {play.stake(miner).paid - bonus.get(miner, 0) for miner in play.miners} == {175}
    weighing = {one.miner for one in now.selection.verdicts if one.weight}
    assert set(now.proposers) == weighing
    page = play.ask(ParticipationPage, "tasks:Miners", TASK, "100", "")
    assert {entry.work for entry in page.participations} == {20}
    play.whole_round()
    assert play.state().status == TaskStatus.COMPLETED


def test_without_seats_that_read_there_is_nothing_to_open_and_nothing_to_replay() -> None:
    play = selecting(SEALED)
    entered = [one.phase for one in play.round().times]
    assert Phase.TRACE not in entered
    assert Phase.REPLAY not in entered
    assert len(play.view().authorisations[0].updates) == 4


def test_two_of_a_team_never_contribute() -> None:
    play = selecting({"replicas": 2})
    chosen = play.selection()
    one = replica(chosen)
    one.reason, one.weight, one.share = Reason.CONTRIBUTES, 1, 0
    assert "one of a team at most" in refused(play, chosen)


@pytest.mark.parametrize("share", [0, 2])
def test_a_replica_has_the_share_of_the_mate_that_contributes(share: int) -> None:
    play = selecting({"replicas": 2})
    chosen = play.selection()
    replica(chosen).share = share
    assert f"has a share of {share}: 1, as" in refused(play, chosen)


def test_a_replica_has_no_weight() -> None:
    play = selecting({"replicas": 2})
    chosen = play.selection()
    replica(chosen).weight = 1
    assert "above zero exactly when it CONTRIBUTES" in refused(play, chosen)


def test_who_has_other_work_than_its_mate_is_no_replica() -> None:
    play = selecting({"replicas": 2}, differ)
    chosen = play.selection()
    for miner in (play.miners[0], mate(play, play.miners[0])):
        verdict = next(one for one in chosen.verdicts if one.miner == miner)
        verdict.CopyFrom(Verdict(miner=miner, reason=Reason.REPLICA, share=1))
    assert "nobody of its team contributes with the same root and steps" in refused(play, chosen)


def test_a_root_with_other_steps_is_other_work() -> None:
    def shorter(play: RecomputePlay) -> None:
        play.steps = {play.miners[0]: 10}

    play = selecting(SEALED | {"pay_by_steps": True}, shorter)
    chosen = without(play, mate(play, play.miners[0]))
    assert "not more than half of its team" in refused(play, chosen)


def test_a_replica_needs_a_mate_of_its_own_team_that_contributes() -> None:
    play = selecting({"replicas": 2})
    chosen = play.selection()
    one = replica(chosen)
    first = next(verdict for verdict in chosen.verdicts if verdict.miner == mate(play, one.miner))
    first.CopyFrom(Verdict(miner=first.miner, reason=Reason.OUTLIER))
    assert "is a REPLICA, and nobody of its team" in refused(play, chosen)
    alone = RecomputePlay()
    alone.start(recompute_spec())
    alone.to(Phase.SELECT)
    claimed = alone.selection()
    claimed.verdicts[0].CopyFrom(Verdict(miner=claimed.verdicts[0].miner, reason=Reason.REPLICA, share=1))
    assert "is a REPLICA, and nobody of its team" in refused(alone, claimed)


def test_replicas_that_differ_are_unconfirmed_unpaid_and_keep_stake_and_work() -> None:
    play = RecomputePlay(miner_count=6)
    task = recompute_spec(recompute(**SEALED), max_miners=6, min_miners=6)
    play.start(task)
    play.to(Phase.COMMIT)
    differ(play)
    play.to(Phase.SELECT)
    odd = (play.miners[0], mate(play, play.miners[0]))
    chosen = without(play, odd[1])
    assert "not more than half of its team" in refused(play, chosen)
    for verdict in chosen.verdicts:
        if verdict.miner in odd:
            verdict.CopyFrom(Verdict(miner=verdict.miner, reason=Reason.UNCONFIRMED))
    play.select(chosen)
    play.whole_round()
    assert play.ask(Round, "blocks:Round", TASK, "1").outcome == Outcome.ACCEPTED
    for miner in odd:
        assert (play.stake(miner).paid, play.stake(miner).slashed, play.stake(miner).amount) == (0, 0, 100)


def test_a_team_that_agrees_is_not_unconfirmed() -> None:
    play = selecting(SEALED)
    chosen = play.selection()
    one = replica(chosen)
    one.CopyFrom(Verdict(miner=one.miner, reason=Reason.UNCONFIRMED))
    assert "of its team contributes with the same root and steps" in refused(play, chosen)


def test_a_team_of_one_root_is_unconfirmed_where_nobody_of_it_contributes() -> None:
    """One of it may have kept its update to itself, or sent another than its mate: which of two, nobody knows."""
    play = RecomputePlay(miner_count=6)
    play.start(recompute_spec(recompute(**SEALED), max_miners=6, min_miners=6))
    play.to(Phase.SELECT)
    odd = (play.miners[0], mate(play, play.miners[0]))
    chosen = without(play, odd[1])
    for verdict in chosen.verdicts:
        if verdict.miner in odd:
            verdict.CopyFrom(Verdict(miner=verdict.miner, reason=Reason.UNCONFIRMED))
    play.select(chosen)
    play.whole_round()
    assert play.ask(Round, "blocks:Round", TASK, "1").outcome == Outcome.ACCEPTED


def test_two_in_league_escape_no_replay_by_a_profile_that_no_seat_has() -> None:
    """Their roots are the same, and of nothing: where seats replay, replicas confirm nobody."""
    asked: dict[str, object] = {"replicas": 2, "exactness": Exactness.PROFILE}

    def odd(play: RecomputePlay) -> None:
        for one in (play.miners[0], mate(play, play.miners[0])):
            play.profiles[one] = sha("no machine's")

    play = selecting(asked, odd)
    assert "fewer than t seats have its numeric profile" in refused(play, play.selection())


def test_where_nobody_replays_nobodys_work_is_found_wrong() -> None:
    play = selecting(SEALED)
    chosen = play.selection()
    one = replica(chosen)
    one.CopyFrom(Verdict(miner=one.miner, reason=Reason.WRONG_WORK))
    one.proof.item = 1
    assert "nobody replays in this task" in refused(play, chosen)


@pytest.mark.parametrize("reason", [Reason.OUTLIER, Reason.MISSING_ARTIFACT])
def test_who_neither_contributes_nor_repeats_has_no_share(reason: Reason) -> None:
    play = selecting({"replicas": 2})
    chosen = play.selection()
    one = replica(chosen)
    one.CopyFrom(Verdict(miner=one.miner, reason=reason, share=1))
    assert "it neither contributes nor is a REPLICA" in refused(play, chosen)
