"""`quorumlearn token`: mint and transfer, and the sums that must agree."""

from __future__ import annotations

import re
from typing import Annotated

import typer
from quorumlearn_network.spec import Role
from quorumlearn_proto.derived import conserved

from quorumlearn.api.access import open_market
from quorumlearn.cli.access import DEFAULT_FOLDER, As, Folder
from quorumlearn.cli.signing import Signer, signer
from quorumlearn.cli.terminal import EXIT_CODES, AsJson, Exit, Failure, print_json, print_text, progress

app = typer.Typer(no_args_is_help=True, help="Mint and transfer tokens; check that none is lost.")


@app.command(
    epilog=f"Example: quorumlearn token mint OwnerMSP/owner=1000 --as treasury/treasury.  {EXIT_CODES}"
)
def mint(
    amounts: Annotated[list[str], typer.Argument(metavar="MSP/NAME=AMOUNT...", help="Accounts and amounts.")],
    folder: Folder = DEFAULT_FOLDER,
    who: Signer = "",
    as_json: AsJson = False,
) -> None:
    """Create tokens in accounts. Only the treasury may."""
    wanted = [_amount(text) for text in amounts]
    with open_market(folder, signer(folder, who, Role.TREASURY)) as market, progress("minting") as step:
        for account, amount in wanted:
            step(f"minting {amount} for {account}")
            market.mint(account, amount)
        balances = {account: market.account(account).balance for account, _ in wanted}
    _show(balances, as_json)


@app.command(
    epilog=f"Example: quorumlearn token transfer Miners1MSP/miner1 50 --as owner/owner.  {EXIT_CODES}"
)
def transfer(
    account: Annotated[str, typer.Argument(metavar="MSP/NAME", help="Who receives.")],
    amount: Annotated[int, typer.Argument(help="Tokens.")],
    folder: Folder = DEFAULT_FOLDER,
    who: Signer = "",
    as_json: AsJson = False,
) -> None:
    """Give tokens from the account of --as to another."""
    with open_market(folder, signer(folder, who, *Role)) as market:
        market.transfer(account, amount)
        balance = market.account(account).balance
    _show({account: balance}, as_json)


@app.command(epilog=f"Example: quorumlearn token totals --json.  {EXIT_CODES}")
def totals(folder: Folder = DEFAULT_FOLDER, who: As = "", as_json: AsJson = False) -> None:
    """The token invariant: minted = balances + escrows + stakes + burnt. Exit code 1 if it does not hold."""
    with open_market(folder, who) as market:
        sums = market.totals()
    whole = conserved(sums)
    fields = {
        "minted": sums.minted,
        "balances": sums.balances,
        "escrows": sums.escrows,
        "stakes": sums.stakes,
        "burnt": sums.burnt,
        "conserved": whole,
    }
    if as_json:
        print_json(fields)
    else:
        sign = "=" if whole else "!="
        print_text(
            f"minted {sums.minted} {sign} balances {sums.balances} + escrows {sums.escrows} + stakes {sums.stakes} "
            f"+ burnt {sums.burnt}"
        )
    if not whole:
        raise Failure("the tokens do not add up", Exit.FAILED)


def _amount(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"([^=]+)=([0-9]{1,16})", text)
    if match is None:
        raise Failure(f"{text!r} is no MSP/NAME=AMOUNT, such as OwnerMSP/owner=1000", Exit.USAGE)
    return match[1], int(match[2])


def _show(balances: dict[str, int], as_json: bool) -> None:
    if as_json:
        print_json({"balances": balances})
        return
    for account, balance in balances.items():
        print_text(f"{account} has {balance}")
