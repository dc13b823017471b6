"""`quorumlearn store`: look after what an organisation keeps in the artifact store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from quorumlearn.cli.terminal import EXIT_CODES, AsJson, print_json, print_text

app = typer.Typer(no_args_is_help=True, help="Look after an organisation's part of the artifact store.")


@app.callback()
def _group() -> None:
    """Keeps the group a group while it has one command."""


@app.command(epilog=f"Example: quorumlearn store prune miners1.yaml.  {EXIT_CODES}")
def prune(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A node's file (YAML), of any of its nodes.")],
    keep: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DATA", help="What `data publish` wrote of a data set that stays; again for others."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove the organisation's own artifacts that the ledger needs no more from the store.

    Kept are those of tasks under way, of tasks of which a block can still be challenged, every task's last model, and what is
    younger than a day; data sets that tasks under way train on, that --keep names, or whose keys are under data_keys.
    `quorumlearn task audit` finds no more of a task than is left.
    """
    from quorumlearn.nodes.config import load
    from quorumlearn.nodes.organisation import Organisation
    from quorumlearn.nodes.pruning import prune as pruned
    from quorumlearn.nodes.recomputing import load_data
    from quorumlearn.nodes.work import datakeys

    kept = [load_data(one).ref for one in keep or ()]
    organisation = Organisation(load(file))
    try:
        market = organisation.market(organisation.config.identities[0].user)
        kept += [datakeys.load(one).manifest for one in organisation.config.data_keys]
        gone = pruned(market, organisation.store, time.time(), kept)
    finally:
        organisation.close()
    if as_json:
        print_json({"store": organisation.store.shown, "removed": gone})
    else:
        print_text(f"removed {len(gone)} artifacts of {organisation.store.organisation}")
