"""A task that pays by contribution: the ledger authorises a sum for each group, ballots say what each is worth, and their medians pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto.block_pb2 import Authorisation, Ballot, BallotReason, Outcome, Phase, Round
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION
from quorumlearn_proto.contribution import UNIT, sums_of
from quorumlearn_proto.derived import least_aggregate
from quorumlearn_proto.task_pb2 import TaskSpec

from tests.chaincode.contracts.audited import found
from tests.chaincode.contracts.market_actors import TASK, TIMEOUT_S, Play, js, spec

pytestmark = pytest.mark.usefixtures("views_are_whole")

MINERS = 6
MINERS_PART = 700
GOOD, FELL, GONE = BallotReason.GOOD, BallotReason.SCORE_FELL, BallotReason.UNAVAILABLE
GAIN = UNIT * 20_000
"""Of the ballots that `Play` casts as GOOD, whose accuracy rises from 88 to 90 %."""


def task(rounds: int = 2, **changes: object) -> TaskSpec:
    """Six miners, of whom two groups of three can be made."""
    made = spec(min_aggregate=3, **changes)
    made.rounds, made.min_miners, made.max_miners, made.ckks.max_weight_sum = rounds, 3, MINERS, 4 * MINERS
    made.reward.by_contribution = True
    return made


def at(phase: Phase, asked: TaskSpec | None = None, seats: int = 3) -> Play:
    play = Play(seats=seats, miner_count=MINERS)
    play.start(asked or task())
    play.to(phase)
    return play


def vote(play: Play, told: Mapping[int, int], unsure: Sequence[int] = ()) -> None:
    """Seats' ballots: GOOD, by what each says that the first of two groups contributes, or UNAVAILABLE."""
    for seat in play.round().seats:
        play.cast(seat, play.ballot(GONE) if seat in unsure else play.ballot(told=[told[seat]]))
    play.show(1)


def paid(play: Play, number: int = 1) -> list[int]:
    """What each of the round's groups was paid in all, but for its proposer's part."""
    round_ = play.ask(Round, "blocks:Round", TASK, str(number))
    proposer = round_.candidate.proposer if round_.outcome == Outcome.ACCEPTED else ""
    return [
        sum(play.stake(miner).paid - 100 * (miner == proposer) for miner in group)
        for group in sums_of(round_)
    ]


def authorised(play: Play) -> Authorisation:
    return next(one for one in play.view().authorisations if one.purpose == AGGREGATE_DECRYPTION)


def test_the_ledger_authorises_one_sum_for_each_group_and_says_whom_they_weigh_alike() -> None:
    play = at(Phase.OPEN)
    view, given = play.view(), authorised(play)
    assert given.openings == 2
    assert sorted(given.groups) == [1, 1, 1, 2, 2, 2]
    assert list(given.groups) == list(view.round.groups), "the miners' order, and all have weight"
    groups = sorted(sorted(group) for group in sums_of(view.round))
    assert [list(one.miners) for one in view.opened.groups] == groups
    assert not given.alike, "the first on its base"


def test_with_one_group_everything_is_as_by_weight() -> None:
    play = at(Phase.SELECT)
    play.select(play.selection(dict.fromkeys(play.round().miners[:5], 1)))
    assert (authorised(play).openings, list(authorised(play).groups), list(play.round().groups)) == (
        1,
        [],
        [],
    )
    play.whole_round()
    assert paid(play) == [MINERS_PART]
    assert found(play.peer, TASK) == []


@pytest.mark.parametrize(
    ("told", "parts"),
    [
        ({1: GAIN // 2, 2: GAIN // 2, 3: GAIN // 2}, [350, 350]),
        ({1: 3 * GAIN // 4, 2: GAIN // 2, 3: GAIN}, [525, 175]),
        ({1: -GAIN, 2: -5, 3: GAIN // 2}, [0, 700]),
        ({1: 0, 2: 0, 3: GAIN}, [0, 700]),
    ],
)
def test_groups_share_by_the_lower_medians_of_what_ballots_say(
    told: dict[int, int], parts: list[int]
) -> None:
    play = at(Phase.VALIDATE)
    vote(play, told)
    assert all(part - 3 < one <= part for one, part in zip(paid(play), parts, strict=True))
    for group in sums_of(play.ask(Round, "blocks:Round", TASK, "1")):
        proposer = play.ask(Round, "blocks:Round", TASK, "1").candidate.proposer
        assert len({play.stake(miner).paid - 100 * (miner == proposer) for miner in group}) == 1
    assert found(play.peer, TASK) == []
    play.check_tokens()


@pytest.mark.parametrize("lie", [GAIN * 50, -GAIN * 38, 0])
@pytest.mark.parametrize("liar", [1, 2, 3])
def test_a_seat_that_lies_about_contributions_moves_no_pay_beyond_what_honest_seats_say(
    liar: int, lie: int
) -> None:
    """Two honest seats find 60 and 70 % of the gain with the first group: what its miners get lies between, whoever lies how."""
    honest = iter((6 * GAIN // 10, 7 * GAIN // 10))
    play = at(Phase.VALIDATE)
    vote(play, {seat: lie if seat == liar else next(honest) for seat in (1, 2, 3)})
    first, second = paid(play)
    # by medians of 60 to 70 % and of 30 to 40 %: at worst 60 : 40 and at best 70 : 30
    assert 0.6 * MINERS_PART - 3 <= first <= 0.7 * MINERS_PART
    assert 0.3 * MINERS_PART - 3 <= second <= 0.4 * MINERS_PART
    assert found(play.peer, TASK) == []


@pytest.mark.parametrize("third", ["unsure", "away"])
def test_where_too_few_ballots_tell_it_pay_is_by_weight(third: str) -> None:
    """With two of three a liar would be half of them, and could take a group's pay."""
    play = at(Phase.VALIDATE)
    if third == "unsure":
        vote(play, {1: GAIN, 2: GAIN}, unsure=[3])
    else:
        for seat in (1, 2):
            play.cast(seat, play.ballot(told=[GAIN]))
        play.wait(TIMEOUT_S / 2 + 1)
        play.show(1)
        play.wait(TIMEOUT_S)
        play.advance()
    assert play.ask(Round, "blocks:Round", TASK, "1").outcome == Outcome.ACCEPTED
    assert paid(play) == [348, 348], "700 / 6, rounded down"
    assert found(play.peer, TASK) == []


def test_where_no_group_contributes_pay_is_by_weight() -> None:
    play = at(Phase.VALIDATE)
    for seat in play.seats:
        ballot = play.ballot()
        ballot.score, ballot.contributions[:] = ballot.base_score, [0, 0]
        play.cast(seat, ballot)
    play.show(1)
    assert paid(play) == [348, 348]
    assert found(play.peer, TASK) == []


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ([], "0 contributions are given: 2"),
        ([GAIN], "1 contributions are given: 2"),
        ([GAIN, 0, 0], "3 contributions are given: 2"),
        ([GAIN, 1], f"add up to {GAIN + 1}: {GAIN}"),
        ([13 * 10**6, GAIN - 13 * 10**6], "a contribution is 13000000"),
    ],
)
def test_a_ballot_whose_contributions_contradict_its_scores_is_refused(told: list[int], says: str) -> None:
    play = at(Phase.VALIDATE)
    lying = play.ballot()
    lying.contributions[:] = told
    for seat in (1, 2, 3):
        play.cast(seat, lying if seat == 3 else play.ballot())
    with pytest.raises(Refusal, match=says) as caught:
        play.show(3, of=[3])
    assert caught.value.code == Code.BAD_ARGUMENT
    play.show(1, of=[1, 2])


def test_ballots_of_other_tasks_and_on_challenges_tell_no_contributions() -> None:
    plain = Play()
    plain.start()
    plain.to(Phase.VALIDATE)
    for seat in (1, 2, 3):
        lying = plain.ballot()
        lying.contributions.append(GAIN)
        plain.cast(seat, lying)
    with pytest.raises(Refusal, match="1 contributions are given: 0"):
        plain.show(1)
    play = at(Phase.VALIDATE)
    play.vote()
    play.send(play.miners[0], "blocks:Challenge", TASK, "1", "why")
    told = Ballot()
    told.CopyFrom(play.block(1).ballots[0])
    assert len(told.contributions) == 2, "the block keeps what its ballots say"
    kept = Ballot(model=told.model, reason=GOOD, score=told.score, base_score=told.base_score)
    kept.chance, kept.total = told.chance, told.total
    kept.contributions.extend(told.contributions)
    with pytest.raises(Refusal, match="2 contributions are given: 0"):
        play.send(play.seats[1], "blocks:VoteChallenge", TASK, "1", js(kept))


def test_what_is_carried_goes_by_contribution_too_and_an_undecided_round_by_weight() -> None:
    play = at(Phase.VALIDATE, task(rounds=2))
    vote(play, {3: GAIN}, unsure=[1, 2])
    assert paid(play) == [348, 348], "opened, and nobody says for what"
    before = {miner: play.stake(miner).paid for miner in play.miners}
    carried = play.escrow().carried
    assert carried == 100
    play.to(Phase.VALIDATE)
    groups = sums_of(play.round())
    proposer = play.round().candidate.proposer
    vote(play, {1: GAIN, 2: GAIN, 3: GAIN})
    got = [
        sum(play.stake(miner).paid - before[miner] - 100 * (miner == proposer) for miner in group)
        for group in groups
    ]
    assert got[1] == 0
    assert MINERS_PART + carried - 6 < got[0] <= MINERS_PART + carried
    assert found(play.peer, TASK) == []


def test_a_second_round_on_a_base_leaves_its_groups_together() -> None:
    """A block is voted down and one miner stays away: the others of its group get no weight, or it would show."""
    play = at(Phase.VALIDATE, task(rounds=3))
    first = sums_of(play.round())
    play.vote(dict.fromkeys(play.seats, FELL))
    play.to(Phase.SELECT)
    alone = next(iter(first[0]))
    others = [miner for miner in play.round().miners if miner != alone]
    with pytest.raises(Refusal, match="miners are weighed like"):
        play.select(play.selection(dict.fromkeys(others, 1)))
    play.select()
    assert sorted(map(sorted, sums_of(play.round()))) == sorted(map(sorted, first))
    assert sorted(list(one.miners) for one in authorised(play).alike) == sorted(map(sorted, first))
    least = least_aggregate(task())
    assert all(len(one.miners) >= least for one in play.view().opened.groups)


def test_levels_of_weight_stay_shared_within_groups() -> None:
    play = at(Phase.SELECT)
    miners: Sequence[str] = play.round().miners
    play.select(play.selection(dict(zip(miners, (2, 1, 2, 1, 2, 1), strict=True))))
    assert sorted(sorted(group.values()) for group in sums_of(play.round())) == [[1, 1, 1], [2, 2, 2]]
    play.to(Phase.VALIDATE)
    vote(play, dict.fromkeys((1, 2, 3), GAIN // 2))
    assert paid(play) == [348, 348], "a group's part does not go by weight"
