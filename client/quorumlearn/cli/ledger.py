"""`quorumlearn ledger`: blocks, transactions, accounts and events, as the gateway peer tells them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from quorumlearn_network.spec import Role
from quorumlearn_proto import canonical
from quorumlearn_proto.reward_pb2 import Account

from quorumlearn.api.access import market_contract, open_gateway, place_of
from quorumlearn.cli.access import DEFAULT_FOLDER, As, Folder
from quorumlearn.cli.configuration import read_configuration
from quorumlearn.cli.signing import Signer, signer
from quorumlearn.cli.terminal import EXIT_CODES, AsJson, Exit, Failure, print_json, print_table, print_text
from quorumlearn.gateway import (
    BlockRecord,
    Contract,
    EvaluateError,
    Network,
    TransactionRecord,
    read_block,
    read_transaction,
)

app = typer.Typer(
    no_args_is_help=True,
    help="Read the ledger: blocks, transactions, accounts, events, queries. Call its functions.",
)

_SHORT = 12
_MISSING = ("not found", "no such", "does not exist")


@app.command(epilog=f"Example: quorumlearn ledger blocks --last 5.  {EXIT_CODES}")
def blocks(
    last: Annotated[int, typer.Option(min=1, max=10_000, help="How many, counted from the end.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new blocks, until Ctrl-C.")] = False,
    folder: Folder = DEFAULT_FOLDER,
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """The newest blocks, oldest of them first. With --follow and --json, one JSON object a line."""
    with _opened(folder, who) as (network, _):
        height = int(network.chain_info().height)
        first = max(0, height - last)
        if follow:
            with network.block_events(start=first) as stream:
                for block in stream:
                    record = read_block(block)
                    if as_json:
                        print_json(_block_fields(record))
                    else:
                        print_text("  ".join(str(cell) for cell in _block_row(record)))
            return
        records = [read_block(network.block(number)) for number in range(first, height)]
    if as_json:
        print_json({"height": height, "blocks": [_block_fields(record) for record in records]})
    else:
        rows = [_block_row(record) for record in records]
        print_table(("block", "hash", "time", "transactions", "invalid"), rows)


@app.command(epilog=f"Example: quorumlearn ledger block 3.  {EXIT_CODES}")
def block(
    number: Annotated[int, typer.Argument(min=0, help="The block's number; 0 is the genesis block.")],
    folder: Folder = DEFAULT_FOLDER,
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """One block and its transactions."""
    with _opened(folder, who) as (network, _):
        height = int(network.chain_info().height)
        if number >= height:
            raise Failure(f"there is no block {number}; the last is {height - 1}", Exit.USAGE)
        record = read_block(network.block(number))
    if as_json:
        print_json(_block_fields(record))
        return
    print_text(f"block {record.number}\n  hash      {record.hash.hex()}")
    print_text(f"  previous  {record.previous_hash.hex() or '(none)'}\n")
    print_table(
        ("transaction", "function", "creator", "validation", "event"),
        [
            (one.transaction_id or one.kind, one.function or one.kind, one.creator, one.code, one.event_name)
            for one in record.transactions
        ],
    )


@app.command(epilog=f"Example: quorumlearn ledger tx 5f1c...c4.  {EXIT_CODES}")
def tx(
    transaction_id: Annotated[str, typer.Argument(help="64 hex digits.")],
    folder: Folder = DEFAULT_FOLDER,
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """One transaction: who, what, endorsed by whom, in which block, valid or why not."""
    if len(transaction_id) != 64 or set(transaction_id) - set("0123456789abcdef"):
        raise Failure(f"{transaction_id!r} is no transaction id (64 lower-case hex digits)", Exit.USAGE)
    with _opened(folder, who) as (network, _):
        try:
            record = read_transaction(network.transaction(transaction_id))
            number, index = network.position(transaction_id)
        except EvaluateError as error:
            if error.unreachable or not any(words in str(error).lower() for words in _MISSING):
                raise
            raise Failure(f"no transaction {transaction_id} on the ledger", Exit.FAILED) from error
    fields = {**_transaction_fields(record), "block": number, "index": index}
    if as_json:
        print_json(fields)
    else:
        print_table(("", ""), [(name, _cell(value)) for name, value in fields.items()])


@app.command(epilog=f"Example: quorumlearn ledger account OwnerMSP/owner.  {EXIT_CODES}")
def account(
    name: Annotated[
        str, typer.Argument(metavar="MSP/NAME", help="The account, as `identity list` shows it.")
    ],
    folder: Folder = DEFAULT_FOLDER,
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """An account's balance."""
    with _opened(folder, who) as (_, contract):
        data = contract.evaluate("rewards:Account", name)
    held = canonical.from_json(Account, data)
    if as_json:
        print_json({"account": name, "balance": held.balance})
    else:
        print_table(("account", "balance"), [(name, held.balance)])


@app.command(epilog=f"Example: quorumlearn ledger events --from 0.  {EXIT_CODES}")
def events(
    first: Annotated[int, typer.Option("--from", min=0, help="The block to begin with.")] = 0,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with new events, until Ctrl-C.")] = False,
    folder: Folder = DEFAULT_FOLDER,
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """Events of the market's chaincode. With --follow and --json, one JSON object a line."""
    with _opened(folder, who) as (network, contract):
        if follow:
            with network.chaincode_events(contract.chaincode, start=first) as stream:
                for event in stream:
                    row = (event.block, event.transaction_id, event.name, _text(event.payload))
                    if as_json:
                        print_json(_event_fields(*row))
                    else:
                        print_text("  ".join((str(row[0]), row[1][:_SHORT], *row[2:])))
            return
        rows = [
            (number, one.transaction_id, one.event_name, _text(one.event_payload))
            for number in range(first, int(network.chain_info().height))
            for one in read_block(network.block(number)).transactions
            if one.valid and one.event_name and one.chaincode == contract.chaincode
        ]
    if as_json:
        print_json({"events": [_event_fields(*row) for row in rows]})
    else:
        shown = [(number, transaction[:_SHORT], name, text) for number, transaction, name, text in rows]
        print_table(("block", "transaction", "event", "payload"), shown)


@app.command(epilog=f"Example: quorumlearn ledger query rewards:Account OwnerMSP/owner.  {EXIT_CODES}")
def query(
    function: Annotated[str, typer.Argument(metavar="CONTRACT:FUNCTION", help="What to evaluate.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="Its arguments.")] = None,
    folder: Folder = DEFAULT_FOLDER,
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """Evaluate any function of the market's chaincode and print its result. Nothing is changed."""
    with _opened(folder, who) as (_, contract):
        data = contract.evaluate(function, *(arguments or []))
    _show(data, as_json)


@app.command(
    epilog=f"Example: quorumlearn ledger submit rewards:Transfer OwnerMSP/owner 5 --as miners1/miner1.  {EXIT_CODES}"
)
def submit(
    function: Annotated[str, typer.Argument(metavar="CONTRACT:FUNCTION", help="What to call.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="Its arguments.")] = None,
    folder: Folder = DEFAULT_FOLDER,
    who: Signer = "",
    as_json: AsJson = False,
) -> None:
    """Call any function of the market's chaincode in a transaction, and print its event once it is committed."""
    with _opened(folder, signer(folder, who, *Role)) as (_, contract):
        event = contract.submit(function, *(arguments or []))
    _show(event, as_json)


@app.command(epilog=f"Example: quorumlearn ledger initialise market.yaml --as treasury/admin.  {EXIT_CODES}")
def initialise(
    config: Annotated[
        Path,
        typer.Argument(metavar="CONFIG", help="The market's configuration, or a network's description."),
    ],
    folder: Folder = DEFAULT_FOLDER,
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """Initialise the ledger with the market's configuration, once. It takes an administrator of the treasury.

    Every organisation's chaincode endorses only the configuration whose digest it was started with (`quorumlearn chaincode policy`).
    `network up` has done this for a network that it made.
    """
    wanted = read_configuration(config)
    with _opened(folder, who) as (_, contract):
        contract.submit("rewards:Initialise", canonical.to_json(wanted))
    if as_json:
        print_json({"initialised": True, "digest": canonical.digest(wanted)})
    else:
        print_text(f"the ledger is initialised; its configuration has the digest {canonical.digest(wanted)}")


def _show(data: bytes, as_json: bool) -> None:
    """What a function answered."""
    try:
        result: object = json.loads(data)
    except ValueError:
        result = _text(data)
    if as_json:
        print_json({"result": result})
    elif isinstance(result, str):
        print_text(result)
    else:
        print_text(json.dumps(result, indent=2, ensure_ascii=False))


@contextmanager
def _opened(folder: Path, who: str) -> Iterator[tuple[Network, Contract]]:
    place = place_of(folder)
    with open_gateway(folder, who) as gateway:
        yield gateway.network(place.channel), market_contract(gateway, place)


def _block_row(record: BlockRecord) -> tuple[object, ...]:
    invalid = sum(not one.valid for one in record.transactions)
    stamp = record.transactions[0].timestamp_ms if record.transactions else 0
    return (record.number, record.hash.hex()[:_SHORT], _time(stamp), len(record.transactions), invalid)


def _block_fields(record: BlockRecord) -> dict[str, object]:
    return {
        "block": record.number,
        "hash": record.hash.hex(),
        "previous_hash": record.previous_hash.hex(),
        "transactions": [_transaction_fields(one) for one in record.transactions],
    }


def _transaction_fields(one: TransactionRecord) -> dict[str, object]:
    return {
        "transaction": one.transaction_id,
        "kind": one.kind,
        "chaincode": one.chaincode,
        "function": one.function,
        "arguments": [_text(argument) for argument in one.arguments[1:]],
        "creator": one.creator,
        "endorsers": list(one.endorsers),
        "validation": one.code,
        "event": one.event_name,
        "time": _time(one.timestamp_ms),
    }


def _event_fields(number: int, transaction: str, name: str, payload: str) -> dict[str, object]:
    return {"block": number, "transaction": transaction, "event": name, "payload": payload}


def _time(stamp_ms: int) -> str:
    return datetime.fromtimestamp(stamp_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _cell(value: object) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"0x{data.hex()}"
