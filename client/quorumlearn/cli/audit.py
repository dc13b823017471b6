"""`quorumlearn task audit`: a task replayed from the ledger and the store, by anybody."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quorumlearn.cli.access import DEFAULT_FOLDER, As, Folder, open_market
from quorumlearn.cli.terminal import AsJson, print_json, print_table, print_text, progress


def audit(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")],
    store: Annotated[
        str, typer.Option(help="Folder or URL of the artifact store.", envvar="QUORUMLEARN_STORE")
    ],
    replay: Annotated[
        int,
        typer.Option(
            "--replay",
            min=0,
            help="Where training is replayed: do so with this many drawn items of work that stands, of each round.",
        ),
    ] = 0,
    folder: Folder = DEFAULT_FOLDER,
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """Replay a task: was only decrypted what was authorised, is every block what it says, does every fault hold, and is every slash and
    payment due?

    Exit code 1 if anything was violated. A fault is what a verifier did wrong and the ledger has punished; unknown is what
    only the committee could see, or what the store does not hold any more. Work that cost stake is replayed from the store, wherever
    the data are public.
    """
    from quorumlearn.artifacts import ArtifactStore
    from quorumlearn.nodes.audit.checks import Result
    from quorumlearn.nodes.audit.records import read
    from quorumlearn.nodes.audit.replay import audit as audited

    with progress("reading the ledger") as step:
        with open_market(folder, who) as market:
            record = read(market, task)
        step("replaying")
        artifacts = ArtifactStore(store if "://" in store else Path(store).resolve().as_uri())
        checks = audited(record, artifacts, replay)
    violated = sum(one.result is Result.VIOLATION for one in checks)
    if as_json:
        print_json(
            {
                "task": task,
                "violations": violated,
                "checks": [
                    {"round": one.round, "what": one.what, "result": one.result.value, "detail": one.detail}
                    for one in checks
                ],
            }
        )
    else:
        print_table(
            ("round", "what", "result", ""),
            [(one.round, one.what, one.result.value, one.detail) for one in checks],
        )
        faults = sum(one.result is Result.FAULT for one in checks)
        unknown = sum(one.result is Result.UNKNOWN for one in checks)
        print_text(
            f"{task}: {len(checks)} checks, {violated} violations, {faults} punished faults, {unknown} unknown"
        )
    if violated:
        raise typer.Exit(1)
