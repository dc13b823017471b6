"""What a task gives comes by receipts: no transfer by anybody holds up a settlement, and receipts are spent like any token."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from quorumlearn_chaincode.contracts import Code, Refusal
from quorumlearn_proto.block_pb2 import BallotReason, Phase
from quorumlearn_proto.page_pb2 import AccountPage, AccountStatement
from quorumlearn_proto.reward_pb2 import MovementKind
from quorumlearn_proto.task_pb2 import TaskStatus

from tests.chaincode.contracts.ledger_stub import identity
from tests.chaincode.contracts.market_actors import FUNDS, OWNER, TASK, TREASURY, Play, js, sha, spec
from tests.chaincode.contracts.market_invariants import rows, tokens_are_conserved

OUTSIDER = "M1MSP/outsider"


def last_vote(play: Play, reason: BallotReason) -> tuple[str, ...]:
    play.to(Phase.VALIDATE)
    seats = list(play.round().seats)
    for seat in seats:
        play.cast(seat, play.ballot(reason))
    return play.seats[seats[-1]], *play.shown_words(seats)


def last_selection(play: Play, _: BallotReason) -> tuple[str, ...]:
    """One miner is slashed."""
    play.to(Phase.SELECT)
    chosen = play.selection(dict.fromkeys(play.miners[1:], 1))
    *others, last = play.round().seats
    play.select(chosen, others[:1])
    return play.seats[last], "blocks:VoteSelection", TASK, "1", js(chosen), sha("basis")


def cancel(play: Play, _: BallotReason) -> tuple[str, ...]:
    return OWNER, "tasks:Cancel", TASK


SETTLEMENTS: dict[str, tuple[Callable[[Play, BallotReason], tuple[str, ...]], BallotReason]] = {
    "a block is accepted, the task ends": (last_vote, BallotReason.GOOD),
    "a block is rejected, the task ends": (last_vote, BallotReason.SCORE_FELL),
    "a miner is slashed": (last_selection, BallotReason.GOOD),
}


@pytest.mark.parametrize("what", SETTLEMENTS)
def test_no_transfer_to_anybody_holds_up_a_settlement(what: str) -> None:
    play = Play()
    play.send(TREASURY, "rewards:Mint", OUTSIDER, "1000")
    play.start(spec(rounds=1))
    step, reason = SETTLEMENTS[what]
    who, *words = step(play, reason)
    settling = play.peer.endorse(identity(who), *words)
    for account in (OWNER, TREASURY, *play.miners, *play.seats.values()):
        play.send(OUTSIDER, "rewards:Transfer", account, "1")
        play.send(TREASURY, "rewards:Mint", account, "1")
    play.peer.commit(settling)
    assert not any(key.startswith("\\x00account\\x00") for key in settling.reads), (
        "nothing of anybody's was read"
    )
    tokens_are_conserved(play.peer)
    play.check_tokens()


def test_a_task_that_is_cancelled_gives_back_in_spite_of_transfers() -> None:
    play = Play()
    play.publish(spec())
    play.take_seats()
    play.join()
    settling = play.peer.endorse(identity(OWNER), *cancel(play, BallotReason.GOOD)[1:])
    for account in (OWNER, *play.miners[1:]):
        play.send(play.miners[0], "rewards:Transfer", account, "1")
    play.peer.commit(settling)
    assert play.state().status == TaskStatus.CANCELLED
    assert [play.balance(one) for one in (OWNER, *play.miners[1:])] == [FUNDS + 1] * len(play.miners)


def test_receipts_are_spent_as_far_as_it_takes_them_and_once() -> None:
    play = Play()
    play.start(spec(rounds=2))
    play.whole_round()
    play.whole_round()
    miner, other = play.miners[:2]
    assert play.state().status == TaskStatus.COMPLETED
    whole = play.balance(miner)
    mine = [row for row in rows(play.peer, "receipt") if row["account_id"] == miner]
    assert len(mine) == 2, "a round's pay, and with the last one's the stake"
    with pytest.raises(Refusal) as refused:
        play.send(miner, "rewards:Transfer", other, str(whole + 1))
    assert refused.value.code == Code.OVERSPENDING
    assert str(whole) in str(refused.value)
    own = next(int(row["balance"]) for row in rows(play.peer, "account") if row["account_id"] == miner)
    play.send(miner, "rewards:Transfer", other, str(own))
    assert play.balance(miner) == whole - own
    assert [row for row in rows(play.peer, "receipt") if row["account_id"] == miner] == mine
    play.send(miner, "rewards:Transfer", other, "1")
    assert len([row for row in rows(play.peer, "receipt") if row["account_id"] == miner]) == 1
    play.send(miner, "rewards:Transfer", other, str(whole - own - 1))
    assert play.balance(miner) == 0
    assert not [row for row in rows(play.peer, "receipt") if row["account_id"] == miner]
    tokens_are_conserved(play.peer)
    play.check_tokens()


def test_a_statement_and_the_list_show_what_has_not_been_collected() -> None:
    play = Play()
    play.start(spec(rounds=1))
    play.whole_round()
    for collect in (False, True):
        miner = play.miners[0]
        if collect:
            play.send(miner, "rewards:Transfer", play.miners[1], str(play.balance(miner)))
        entries = play.ask(AccountStatement, "rewards:Statement", miner).entries
        kinds = [
            move.kind for entry in reversed(entries) for move in (*entry.account.earlier, entry.account.last)
        ]
        assert kinds.count(MovementKind.PAYOUT) >= 1
        assert kinds.count(MovementKind.STAKE_RETURN) == 1
        assert entries[0].account.balance == play.balance(miner)
        listed = play.ask(AccountPage, "rewards:Accounts", "100", "").accounts
        assert {one.account_id: one.balance for one in listed}[miner] == play.balance(miner)
