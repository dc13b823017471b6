"""`quorumlearn data`: data sets of tasks whose training is replayed, in chunks in the store; sealed ones, and their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quorumlearn.cli.access import DEFAULT_FOLDER, Folder
from quorumlearn.cli.data_keys import revoke, rotate
from quorumlearn.cli.data_places import Described, Keys, Store, keys_of, opened, told_by, url_of
from quorumlearn.cli.signing import Signer
from quorumlearn.cli.terminal import (
    EXIT_CODES,
    AsJson,
    Exit,
    Failure,
    print_json,
    print_text,
    progress,
)
from quorumlearn.cli.workload import setting

app = typer.Typer(no_args_is_help=True, help="Data sets of tasks whose training is replayed, in chunks.")


@app.command(
    epilog="Example: quorumlearn data publish data/mnist --workload mnist-cnn --chunks 60 --store artifacts -o mnist-data.yaml.  "
    f"{EXIT_CODES}"
)
def publish(
    workload: Annotated[
        str, typer.Option(metavar="NAME", help="The workload that reads them and is trained.")
    ],
    store: Store,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="What a task's file names under recompute.data."),
    ],
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="What a node's file would name under `data`: a folder, a file; left out, what the workload finds without.",
        ),
    ] = None,
    chunks: Annotated[int | None, typer.Option(min=1, help="Cut into so many chunks.")] = None,
    chunk_samples: Annotated[
        int | None,
        typer.Option(min=1, help="Into chunks of so many samples; with --chunks into so many of them."),
    ] = None,
    part: Annotated[
        str, typer.Option(metavar="TEXT", help="A part of the data, in the workload's words.")
    ] = "",
    module: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:NAME", help="Where the workload is, from this folder, if no package brings it."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of its configuration; again for others."),
    ] = None,
    keep_order: Annotated[
        bool,
        typer.Option(
            "--keep-order",
            help="Cut the data as they lie. By default they are shuffled, so that chunks are alike.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="What they are shuffled by; everybody may know it.")] = 0,
    sealed: Annotated[
        bool, typer.Option("--sealed", help="Encrypt each chunk; its key goes to FILE.keys, for you alone.")
    ] = False,
    keys: Keys = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE; never a file of keys.")] = False,
    folder: Folder = DEFAULT_FOLDER,
    who: Signer = "",
    as_json: AsJson = False,
) -> None:
    """Cut a data set into chunks and put them into the store, for tasks of mode recompute.

    Samples are read by the workload itself, the part for training, and shuffled. All chunks have as many; the rest is left out. Whoever
    reads the store reads chunks that are not sealed. A task's file then says `recompute: {data: FILE}`.
    """
    from quorumlearn import learning
    from quorumlearn.api import data

    if chunks is None and chunk_samples is None:
        raise Failure("give --chunks, --chunk-samples, or both", Exit.USAGE)
    if keys is not None and not sealed:
        raise Failure("--keys is of sealed data: give --sealed too", Exit.USAGE)
    if output.exists() and not force:
        raise Failure(f"{output} is there already: --force overwrites it, or name another file", Exit.USAGE)
    where = opened(store, folder, who)
    if module is not None:
        learning.register(workload, module, Path.cwd())
    with progress(f"reading {source or workload}") as step:
        made = data.cut(
            workload,
            source,
            config=dict(setting(one) for one in settings or ()),
            part=part,
            chunks=chunks,
            chunk_samples=chunk_samples,
            seed=None if keep_order else seed,
        )
        held = data.publish(
            made,
            where,
            (keys or keys_of(output)) if sealed else None,
            told_by(step),
        )
        data.write(output, held)
    if as_json:
        print_json(
            {
                **held.model_dump(),
                "left_out": made.left_out,
                "shuffled_by": None if keep_order else seed,
                "file": str(output),
                "keys": str(keys or keys_of(output)) if sealed else None,
                "store": where.shown,
            }
        )
        return
    print_text(f"{data.sentence_of(held)}, {_order(keep_order, seed)}")
    if made.left_out:
        print_text(f"{made.left_out} samples are in no chunk", style="yellow")
    print_text(f"list of chunks: {held.digest}, {held.size} bytes, in {where.shown}")
    if sealed:
        print_text(
            f"content keys: {keys or keys_of(output)}; without it nobody reads the chunks, so keep a copy"
        )
        print_text("name it in the owner's node's file: data_keys: [FILE]")
    print_text(f"next, in the task's file: mode: recompute, and recompute: {{data: {output}}}")


@app.command(epilog=f"Example: quorumlearn data show mnist-data.yaml --store artifacts.  {EXIT_CODES}")
def show(
    file: Described,
    store: Store,
    keys: Keys = None,
    as_json: AsJson = False,
) -> None:
    """Say what a data set holds, and whether all of its chunks are in the store.

    With the file of its keys it looks at the latest version. A chunk that is missing ends it with 1.
    """
    from quorumlearn.api import data
    from quorumlearn.artifacts import ArtifactStore
    from quorumlearn.nodes.recomputing import load_data
    from quorumlearn.nodes.work import datakeys

    described = load_data(file)
    path = keys or (keys_of(file) if described.sealed and keys_of(file).exists() else None)
    held = None if path is None else datakeys.load(path)
    with progress("looking for the chunks") as step:
        found = data.show(
            described,
            ArtifactStore(url_of(store)),
            None if held is None else held.manifest,
            told_by(step),
        )
    readers = sorted({one.partition(" ")[2] for key in held.chunks for one in key.readers}) if held else []
    if as_json:
        print_json(
            {
                **described.model_dump(),
                "version": found.version,
                "bytes": found.bytes,
                "missing": list(found.missing),
                "readers": readers,
                "revoked": sorted(held.revoked) if held else [],
            }
        )
    else:
        print_text(data.sentence_of(described))
        print_text(
            f"version {found.version}, {found.bytes:,} bytes; list of chunks: {(held.manifest if held else described).digest}"
        )
        if held is not None:
            print_text(
                f"given keys of it: {', '.join(readers) or 'nobody'}; revoked: {', '.join(sorted(held.revoked)) or 'nobody'}"
            )
    if found.missing:
        raise Failure(
            f"{len(found.missing)} of {described.chunks} chunks are not in {ArtifactStore(url_of(store)).shown}, the first is chunk "
            f"{found.missing[0]}: publish the data set again"
        )


app.command(epilog=f"Example: quorumlearn data rotate clinic-data.yaml --store artifacts.  {EXIT_CODES}")(
    rotate
)
app.command(
    epilog=f"Example: quorumlearn data revoke clinic-data.yaml Miners2MSP/miner1 --store artifacts.  {EXIT_CODES}"
)(revoke)


@app.command(epilog=f"Example: quorumlearn data locality --chunks 40 --chunks-per-miner 4.  {EXIT_CODES}")
def locality(
    chunks: Annotated[int, typer.Option(min=1, help="Chunks of the data set.")],
    chunks_per_miner: Annotated[
        int | None, typer.Option(min=1, help="Assigned to a miner in a round; by default all are assigned.")
    ] = None,
    miners: Annotated[int, typer.Option(min=1, max=256, help="Miners, each in every round.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Rounds of the task.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Compute what of its chunks a miner need not fetch, since it had them in an earlier round.

    Rounds are drawn as the ledger draws them, without one. A miner's own log says for each round how many bytes it fetched, and how many
    it had.
    """
    from quorumlearn.nodes.work.locality import simulated

    each = chunks_per_miner or max(1, chunks // miners)
    if each > chunks:
        raise Failure(f"--chunks-per-miner is {each}, and there are {chunks} chunks", Exit.USAGE)
    found = simulated(miners, chunks, each, rounds)
    if as_json:
        print_json({"not_fetched": found.drawn, "not_fetched_by_lot": found.by_lot, "chunks_per_miner": each})
        return
    print_text(
        f"{miners} miners, {rounds} rounds, {each} of {chunks} chunks each: {found.drawn:.0%} of their bytes are not fetched, for they are "
        f"on the miner's disk; {found.by_lot:.0%} if lots alone decided"
    )


def _order(keep_order: bool, seed: int) -> str:
    return (
        "in the order of the data" if keep_order else f"shuffled by the seed {seed} so that chunks are alike"
    )
