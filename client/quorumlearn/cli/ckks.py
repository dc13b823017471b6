"""`quorumlearn ckks`: what a task's encryption promises and costs, before anything is published."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from quorumlearn.cli.terminal import EXIT_CODES, AsJson, print_json, print_table, print_text

app = typer.Typer(no_args_is_help=True, help="What the encryption of updates promises and costs.")

Size = Annotated[int, typer.Option("--size", min=1, help="Public parameters of the model.")]


@app.callback()
def _group() -> None:
    pass


@app.command(
    epilog="Example: quorumlearn ckks explain --preset paranoid --size 52138.  "
    f"Example: quorumlearn ckks explain --file task.yaml.  {EXIT_CODES}"
)
def explain(
    preset: Annotated[str, typer.Option(help="fast, default or paranoid.")] = "default",
    size: Size = 100_000,
    seats: Annotated[int, typer.Option(help="Seats of the committee.")] = 3,
    threshold: Annotated[int, typer.Option(help="Seats that open together.")] = 2,
    miners: Annotated[int, typer.Option(help="Miners at most: what the weights of a sum add up to.")] = 8,
    bound: Annotated[float, typer.Option(help="Values of an update are clipped to this.")] = 1.0,
    file: Annotated[Path | None, typer.Option(help="A task's file, in place of all the others.")] = None,
    as_json: AsJson = False,
) -> None:
    """Choose parameters as a task would, and say what they promise and what they cost."""
    from quorumlearn import ckks
    from quorumlearn.nodes import taskfile

    if file is None:
        p = ckks.Parameters.named(
            preset, size, seats=seats, threshold=threshold, bound=bound, max_weight_sum=miners
        )
    else:
        p = taskfile.parameters_of_file(taskfile.load(file))
    told = p.explain()
    if as_json:
        print_json({"parameters": asdict(p), "explanation": asdict(told)})
        return
    print_table(("parameter", "value"), [(name, value) for name, value in asdict(p).items()])
    print_text("")
    for line in told.lines:
        print_text(line)
