"""Options by which a command says on which network it works, and as whom. How one gets there, `api.access` knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quorumlearn.api.access import (
    account_named,
    choose_identity,
    market_contract,
    open_feed,
    open_gateway,
    open_market,
    split_identity,
)

__all__ = [
    "DEFAULT_FOLDER",
    "As",
    "DigitsFolder",
    "Folder",
    "account_named",
    "choose_identity",
    "market_contract",
    "open_feed",
    "open_gateway",
    "open_market",
    "split_identity",
]

DEFAULT_FOLDER = Path("quorumlearn-network")

Folder = Annotated[
    Path,
    typer.Option(
        "--folder",
        "--network",
        envvar="QUORUMLEARN_NETWORK",
        help="The network's folder, or the file of a connection to a Fabric network that exists (docs/fabric.md).",
        metavar="FOLDER|FILE",
    ),
]
As = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="ORG/USER",
        help="Who signs: a user's folder, or its name on the ledger; by default the first user of the network. With a connection's "
        "file: one of its identities, by name or account.",
    ),
]
DigitsFolder = Annotated[
    Path | None,
    typer.Option(
        help="Folder with MNIST's four IDX files, or where `mnist` is.",
        envvar="QUORUMLEARN_DATA",
        metavar="FOLDER",
    ),
]
