"""`quorumlearn task model`: the model comes home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from quorumlearn_network.up import read_network

from quorumlearn.cli.access import DEFAULT_FOLDER, As, Folder, market_contract, open_gateway
from quorumlearn.cli.task_show import TaskId
from quorumlearn.cli.terminal import AsJson, print_json, print_text
from quorumlearn.nodes.market import Market


def model(
    task: TaskId,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")],
    store: Annotated[
        str, typer.Option(help="Folder or URL of the artifact store.", envvar="QUORUMLEARN_STORE")
    ],
    block: Annotated[
        int | None,
        typer.Option(min=0, help="The block's height, 0 for the initial model; by default the last."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    folder: Folder = DEFAULT_FOLDER,
    who: As = "",
    as_json: AsJson = False,
) -> None:
    """Write a block's public model as safetensors, checked against the ledger.

    Its metadata says where it is from: task, block, digests of block, model and specification, workload, channel and its genesis.
    """
    from dataclasses import asdict

    from quorumlearn.api.model import bring_home, check_free
    from quorumlearn.artifacts import ArtifactStore

    check_free(output, overwrite=force)
    with open_gateway(folder, who) as gateway:
        spec = read_network(folder)
        found = bring_home(
            Market(market_contract(gateway, spec)),
            ArtifactStore(store if "://" in store else Path(store).resolve().as_uri()),
            task,
            channel=spec.channel,
            genesis=gateway.network(spec.channel).genesis_hash().hex(),
            height=block,
        )
    found.save(output, overwrite=force)
    origin = found.provenance
    if as_json:
        print_json(
            {
                "file": str(output),
                **asdict(origin),
                "tensors": {k: list(v.shape) for k, v in found.tensors.items()},
            }
        )
        return
    numbers = sum(tensor.size for tensor in found.tensors.values())
    print_text(
        f"{output}: {numbers} parameters in {len(found.tensors)} tensors, {task}, block {origin.height}, {origin.block[:12]}"
    )
