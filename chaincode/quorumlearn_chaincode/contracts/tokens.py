"""Tokens: every movement between accounts, escrows and stakes, so that minted = balances + escrows + stakes + burnt.

Whole tokens only. A movement of nothing leaves no trace. What a challenger deposits counts among the
stakes and is kept in the Challenge record.

What is slashed is burnt: no party gains by another's slash, nor the treasury. What was burnt stands where it was locked, in the Stake,
the Challenge or the Escrow, so that slashes in different tasks do not meet in one key.

What a task gives, it gives by a Receipt under a key of the transaction's own, and reads no account: anybody may transfer to an
account at any time, and a transaction that had read it would lose that race, and with it a round's settlement. Receipts are the account's
tokens; whoever spends more than the account itself holds collects them.
"""

from __future__ import annotations

from collections.abc import Iterable

from quorumlearn_proto.reward_pb2 import Account, Escrow, Movement, MovementKind, Receipt, Stake

from .call import Call
from .errors import Code, Refusal
from .tables import ACCOUNTS, ESCROWS, RECEIPTS, STAKES


def credit(call: Call, account_id: str, movement: Movement) -> None:
    """Give an account `movement.amount` tokens by this transaction's receipt; it begins to exist with its first tokens."""
    if movement.amount <= 0:
        return
    place = account_id, call.transaction_id
    before = call.ledger.get(RECEIPTS, *place) if call.ledger.written(RECEIPTS, *place) else None
    receipt = before or Receipt(account_id=account_id, tx_id=call.transaction_id, at_ms=call.now_ms)
    receipt.movements.append(movement)
    call.ledger.create(RECEIPTS, receipt, *place)


def deposit(call: Call, account_id: str, movement: Movement) -> None:
    """Add `movement.amount` tokens to the account itself, for movements outside any task."""
    _move(call, call.ledger.get(ACCOUNTS, account_id) or Account(account_id=account_id), movement)


def debit(call: Call, account_id: str, movement: Movement) -> None:
    """Take `movement.amount` tokens from an account, collecting its receipts if it takes them. Refused if it holds less."""
    if movement.amount <= 0:
        return
    account = call.ledger.get(ACCOUNTS, account_id) or Account(account_id=account_id)
    if account.balance < movement.amount:
        account = _collected(call, account, movement.amount)
    if account.balance < movement.amount:
        raise Refusal(
            Code.OVERSPENDING,
            f"{account_id} holds {account.balance} tokens and this takes {movement.amount}",
        )
    movement.amount = -movement.amount
    _move(call, account, movement)


def held(receipts: Iterable[Receipt]) -> int:
    """The tokens in receipts."""
    return sum(movement.amount for receipt in receipts for movement in receipt.movements)


def lock_escrow(call: Call, task_id: str, owner: str, amount: int) -> None:
    debit(call, owner, Movement(kind=MovementKind.ESCROW, amount=amount, task_id=task_id))
    call.ledger.put(ESCROWS, Escrow(task_id=task_id, owner=owner, amount=amount), task_id)


def pay(call: Call, task_id: str, round_number: int, account_id: str, amount: int) -> None:
    """Pay a participant from the task's escrow."""
    if amount == 0:
        return
    escrow = _escrow(call, task_id)
    if escrow.amount < amount:
        raise RuntimeError(f"the escrow of {task_id} holds less than a payout")
    escrow.amount -= amount
    escrow.paid += amount
    call.ledger.put(ESCROWS, escrow, task_id)
    credit(
        call,
        account_id,
        Movement(
            kind=MovementKind.PAYOUT,
            amount=amount,
            task_id=task_id,
            round=round_number,
            counterparty=escrow.owner,
        ),
    )
    stake = stake_of(call, task_id, account_id)
    stake.paid += amount
    call.ledger.put(STAKES, stake, task_id, account_id)


def carried(call: Call, task_id: str) -> int:
    """What the task's escrow holds for the contributors of its next accepted round."""
    return _escrow(call, task_id).carried


def carry(call: Call, task_id: str, amount: int) -> None:
    """Set a part of the escrow aside for the contributors of the next accepted round: the owner has it back no more."""
    if amount:
        escrow = _escrow(call, task_id)
        escrow.carried += amount
        call.ledger.put(ESCROWS, escrow, task_id)


def pay_carried(call: Call, task_id: str, round_number: int, account_id: str, amount: int) -> None:
    """Pay a contributor from what is carried."""
    if amount:
        escrow = _escrow(call, task_id)
        escrow.carried -= amount
        call.ledger.put(ESCROWS, escrow, task_id)
        pay(call, task_id, round_number, account_id, amount)


def end_escrow(call: Call, task_id: str) -> None:
    """Burn what is carried, and give what else is left of the escrow back to the task's owner."""
    escrow = _escrow(call, task_id)
    burnt, amount = escrow.carried, escrow.amount - escrow.carried
    credit(call, escrow.owner, Movement(kind=MovementKind.REFUND, amount=amount, task_id=task_id))
    escrow.amount = escrow.carried = 0
    escrow.refunded += amount
    escrow.burnt += burnt
    call.ledger.put(ESCROWS, escrow, task_id)


def stake_of(call: Call, task_id: str, account_id: str) -> Stake:
    return call.ledger.get(STAKES, task_id, account_id) or Stake(task_id=task_id, account_id=account_id)


def lock_stake(call: Call, task_id: str, account_id: str, amount: int) -> None:
    debit(call, account_id, Movement(kind=MovementKind.STAKE, amount=amount, task_id=task_id))
    stake = stake_of(call, task_id, account_id)
    stake.amount += amount
    call.ledger.put(STAKES, stake, task_id, account_id)


def return_stake(call: Call, stake: Stake) -> None:
    """Give what is left of a stake back."""
    if stake.amount:
        credit(
            call,
            stake.account_id,
            Movement(kind=MovementKind.STAKE_RETURN, amount=stake.amount, task_id=stake.task_id),
        )
        stake.amount = 0
        call.ledger.put(STAKES, stake, stake.task_id, stake.account_id)


def slash(call: Call, task_id: str, account_id: str, amount: int) -> int:
    """Burn at most `amount` of a participant's stake; what was burnt."""
    stake = stake_of(call, task_id, account_id)
    taken = min(amount, stake.amount)
    if taken:
        stake.amount -= taken
        stake.slashed += taken
        call.ledger.put(STAKES, stake, task_id, account_id)
    return taken


def _escrow(call: Call, task_id: str) -> Escrow:
    escrow = call.ledger.get(ESCROWS, task_id)
    if escrow is None:
        raise RuntimeError(f"task {task_id} has no escrow record")
    return escrow


def _collected(call: Call, account: Account, wanted: int) -> Account:
    """The account once it has so many tokens, of as few receipts as it takes, or all that there are."""
    receipts = call.ledger.scan(RECEIPTS, account.account_id)
    for receipt in sorted(receipts, key=lambda one: (-held([one]), one.tx_id)):
        if account.balance < wanted:
            for movement in receipt.movements:
                account = _move(call, account, movement)
            call.ledger.delete(RECEIPTS, account.account_id, receipt.tx_id)
    return account


def _move(call: Call, account: Account, movement: Movement) -> Account:
    if call.ledger.written(ACCOUNTS, account.account_id):
        account.earlier.append(account.last)
    else:
        del account.earlier[:]
    account.balance += movement.amount
    account.last.CopyFrom(movement)
    call.ledger.put(ACCOUNTS, account, account.account_id)
    return account
