"""The contract `rewards`: the configuration, accounts, and what is locked where."""

from __future__ import annotations

from collections.abc import Iterator

from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import Challenge, ChallengeStatus
from quorumlearn_proto.common_pb2 import ChaincodeVersion, Config, OrganisationRoles
from quorumlearn_proto.page_pb2 import AccountEntry, AccountPage, AccountStatement, StakePage
from quorumlearn_proto.reward_pb2 import (
    Account,
    Escrow,
    Movement,
    MovementKind,
    Receipt,
    Stake,
    Supply,
    Totals,
)
from quorumlearn_proto.version import VERSION

from quorumlearn_chaincode.runtime import ClientIdentity

from .arguments import MAX_PAGE, MAX_SUPPLY, amount, bad, identity, page, record, shown, task_id
from .call import Call, no_such_task
from .configuration import (
    CONFIG_DIGEST,
    MINER,
    OWNER,
    TREASURY,
    check_config,
    organisation_roles,
    roles_of,
)
from .errors import Code, Refusal
from .tables import ACCOUNTS, CHALLENGES, CONFIG, ESCROWS, RECEIPTS, STAKES, SUPPLY, M_co, Table
from .tokens import debit, deposit, held

ADMIN_OU = "admin"
MAX_STATEMENT = 1000


def read_config(text: str, client: ClientIdentity, agreed: str) -> Config:
    """The Config that rewards:Initialise is called with. Refused unless an admin of its treasury calls, and unless it has the digest
    that this organisation `agreed` to: so nobody chooses it by being first.
    """
    config = record(Config, text)
    check_config(config)
    if client.msp_id != config.treasury_msp:
        raise Refusal(
            Code.WRONG_ORGANISATION, f"only {config.treasury_msp}, the treasury named, may initialise"
        )
    if ADMIN_OU not in client.organisational_units or TREASURY not in roles_of(config, client):
        raise Refusal(
            Code.WRONG_ROLE,
            "initialising takes an admin's certificate (organisational unit 'admin') that is not of another role",
        )
    if canonical.digest(config) != agreed:
        raise Refusal(
            Code.CONFIG_NOT_AGREED,
            f"the Config has the digest {canonical.digest(config)}, and this organisation's chaincode was started "
            + (f"for {agreed}" if agreed else f"without {CONFIG_DIGEST}")
            + ": all organisations start theirs from one description of the network",
        )
    return config


def initialise(call: Call, _config: str) -> None:
    call.ledger.put(CONFIG, call.config)
    call.ledger.put(SUPPLY, Supply())


def admit(call: Call, organisation: str) -> None:
    """Give an organisation that joined the channel later its roles; treasury and verifiers stay who they are."""
    added = record(OrganisationRoles, organisation)
    if organisation_roles(call.config, added.msp_id) is not None:
        raise bad(f"organisation names {shown(added.msp_id)}, which the Config knows already")
    if not added.roles or not set(added.roles) <= {OWNER, MINER}:
        raise bad(
            f"organisation gives {shown(added.msp_id)} the roles {shown(', '.join(added.roles))}: "
            f"one admitted later has {OWNER}, {MINER} or both"
        )
    config = Config()
    config.CopyFrom(call.config)
    config.organisations.append(added)
    check_config(config)
    call.ledger.put(CONFIG, config)


def mint(call: Call, account: str, tokens: str) -> None:
    if call.msp_id != call.config.treasury_msp:
        raise Refusal(Code.WRONG_ORGANISATION, f"only {call.config.treasury_msp} mints")
    receiver, added = _known_account(call, account), amount(tokens)
    supply = call.ledger.get(SUPPLY) or Supply()
    if supply.minted + added > MAX_SUPPLY:
        raise Refusal(Code.BAD_AMOUNT, f"{supply.minted} tokens are minted: at most {MAX_SUPPLY} ever")
    supply.minted += added
    call.ledger.put(SUPPLY, supply)
    deposit(call, receiver, Movement(kind=MovementKind.MINT, amount=added, counterparty=call.actor))


def transfer(call: Call, account: str, tokens: str) -> None:
    receiver, moved = _known_account(call, account), amount(tokens)
    if receiver == call.actor:
        raise bad("account is the submitter's own: name another")
    debit(call, call.actor, Movement(kind=MovementKind.TRANSFER, amount=moved, counterparty=receiver))
    deposit(call, receiver, Movement(kind=MovementKind.TRANSFER, amount=moved, counterparty=call.actor))


def get_config(call: Call) -> Config:
    return call.config


def version(_call: Call) -> ChaincodeVersion:
    """Of the chaincode that is asked: during an upgrade organisations' may differ."""
    return ChaincodeVersion(version=VERSION)


def get_account(call: Call, account: str) -> Account:
    found = call.ledger.get(ACCOUNTS, identity("account", account))
    receipts = _receipts(call, account)
    if found is None and not receipts:
        raise Refusal(Code.NO_SUCH_ACCOUNT, f"nothing was ever paid to {account}")
    return _with(found or Account(account_id=account, last=receipts[-1].movements[-1]), receipts)


def statement(call: Call, account: str) -> AccountStatement:
    """The newest entries; the balance of one that is a receipt is the account's own with the receipts so far."""
    whole = get_account(call, account)
    receipts = _receipts(call, account)
    balance, entries = whole.balance - held(receipts), []
    for one in receipts:
        balance += held([one])
        *earlier, last = one.movements
        after = Account(account_id=account, balance=balance, last=last, earlier=earlier)
        entries.append(AccountEntry(tx_id=one.tx_id, at_ms=one.at_ms, account=after))
    entries = [*reversed(entries), *call.ledger.history(account, MAX_STATEMENT)]
    entries.sort(key=lambda entry: entry.at_ms, reverse=True)
    return AccountStatement(entries=entries[:MAX_STATEMENT])


def accounts(call: Call, page_size: str, bookmark: str) -> AccountPage:
    rows, following = call.ledger.page(ACCOUNTS, *page(page_size, bookmark))
    whole = [_with(row, _receipts(call, row.account_id)) for row in rows]
    return AccountPage(accounts=whole, bookmark=following)


def get_escrow(call: Call, task: str) -> Escrow:
    escrow = call.ledger.get(ESCROWS, task_id(task))
    if escrow is None:
        raise no_such_task(task)
    return escrow


def get_stake(call: Call, task: str, account: str) -> Stake:
    stake = call.ledger.get(STAKES, task_id(task), identity("account", account))
    if stake is None:
        raise Refusal(Code.NO_SUCH_STAKE, f"{account} never had a stake in task {task}")
    return stake


def stakes(call: Call, task: str, page_size: str, bookmark: str) -> StakePage:
    call.task(task_id(task))
    rows, following = call.ledger.page(STAKES, *page(page_size, bookmark), task)
    return StakePage(stakes=rows, bookmark=following)


def totals(call: Call) -> Totals:
    """Adds up every account, escrow, stake and deposit."""
    supply = call.ledger.get(SUPPLY) or Supply()
    found = Totals(
        minted=supply.minted,
        balances=sum(account.balance for account in _all(call, ACCOUNTS)) + held(_all(call, RECEIPTS)),
    )
    for escrow in _all(call, ESCROWS):
        found.escrows += escrow.amount
        found.burnt += escrow.burnt
    for stake in _all(call, STAKES):
        found.stakes += stake.amount
        found.burnt += stake.slashed
    for challenge in _all(call, CHALLENGES):
        found.stakes += _locked(challenge)
        found.burnt += challenge.burnt
    return found


def _receipts(call: Call, account: str) -> list[Receipt]:
    """What the account has not collected, in the order of time."""
    return sorted(call.ledger.scan(RECEIPTS, account), key=lambda one: (one.at_ms, one.tx_id))


def _with(account: Account, receipts: list[Receipt]) -> Account:
    account.balance += held(receipts)
    return account


def _locked(challenge: Challenge) -> int:
    return challenge.deposit if challenge.status == ChallengeStatus.UNDECIDED else 0


def _all(call: Call, table: Table[M_co]) -> Iterator[M_co]:
    bookmark = ""
    while True:
        rows, bookmark = call.ledger.page(table, *page(str(MAX_PAGE), bookmark))
        yield from rows
        if not bookmark:
            return


def _known_account(call: Call, account: str) -> str:
    msp_id = identity("account", account).partition("/")[0]
    if organisation_roles(call.config, msp_id) is None:
        raise Refusal(Code.WRONG_ORGANISATION, f"the Config knows no organisation {msp_id}")
    return account
