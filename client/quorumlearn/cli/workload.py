"""`quorumlearn workload`: what can be trained here, a trial of it on one's own data, and a package to begin with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from quorumlearn_network.profiles import write_whole

from quorumlearn.cli.terminal import (
    EXIT_CODES,
    AsJson,
    Exit,
    Failure,
    print_json,
    print_table,
    print_text,
    progress,
)
from quorumlearn.cli.workload_package import files

if TYPE_CHECKING:
    from quorumlearn.nodes.trial import Report

app = typer.Typer(no_args_is_help=True, help="Workloads: what is trained here, of one's own or installed.")

_MARKS = {"holds": "ok", "note": "look", "fails": "FAILS"}


@app.callback()
def _group() -> None:
    pass


@app.command("list", epilog=f"Example: quorumlearn workload list --file nodes/miners1.yaml.  {EXIT_CODES}")
def list_(
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A node's file, of which the workloads are listed too."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the workloads that there are here: version, metric, and from where."""
    from quorumlearn import learning
    from quorumlearn.nodes.config import load

    if file is not None:
        load(file)
    rows = []
    for name, origin in sorted(learning.origins().items()):
        row = {"name": name, "kind": origin.kind, "place": origin.place}
        try:
            version = learning.definition(name).version
            metric = learning.get_workload(name, {}).metric
        except learning.LearningError as error:
            rows.append({**row, "version": "", "metric": "", "problem": str(error)})
        else:
            less = " (less is better)" if metric.lower_is_better else ""
            rows.append({**row, "version": version, "metric": f"{metric.name}{less}", "problem": ""})
    if as_json:
        print_json({"workloads": rows})
        return
    columns = ("name", "version", "metric", "kind", "place")
    print_table(columns, [[row[column] for column in columns] for row in rows])
    for row in rows:
        if row["problem"]:
            print_text(row["problem"], style="yellow")


@app.command(
    "try",
    epilog="Example: quorumlearn workload try clinic --module clinic:CLINIC --data data/clinic.csv.  "
    f"Example: quorumlearn workload try mnist-mlp --data data/mnist --set epochs=2.  {EXIT_CODES}",
)
def try_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The workload's name.")],
    module: Annotated[
        str | None,
        typer.Option(metavar="MODULE:NAME", help="Where it is, from this folder, if no package brings it."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A node's file, which says where workload and data are."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="What a node's file would name under `data`.")
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="A miner's part of the data; again for another miner."),
    ] = None,
    test_part: Annotated[
        str, typer.Option(metavar="TEXT", help="The part whose test data score; by default the first.")
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of its configuration; again for others."),
    ] = None,
    public: Annotated[
        list[str] | None,
        typer.Option(metavar="BLOCK", help="A block that is public; again for others. By default all are."),
    ] = None,
    miners: Annotated[int, typer.Option(min=1, help="So many shards train, if no part is named.")] = 4,
    preset: Annotated[str, typer.Option(help="Of the encryption: fast, default or paranoid.")] = "default",
    as_json: AsJson = False,
) -> None:
    """Train two rounds on your own data as miners would, without a ledger, and say what a task of it would need.

    It tells what travels, the score by round, which bound and grid fit, and what encryption costs on this machine. It checks that trainings
    repeat, that tensors keep their shapes, and that what goes wrong costs a round and no more. A check that fails ends it with 1.
    """
    from quorumlearn import learning
    from quorumlearn.nodes.config import load
    from quorumlearn.nodes.trial import Settings, tried

    if file is not None:
        node = load(file)
        data = node.source_of(name) if data is None else data
    if module is not None:
        learning.register(name, module, Path.cwd())
    wanted = Settings(
        workload=name,
        config=dict(setting(one) for one in settings or ()),
        source=data,
        parts=tuple(part or ()),
        test_part=test_part,
        miners=miners,
        public=tuple(public or ("all",)),
        preset=preset,
    )
    with progress(f"trying {name}") as step:
        report = tried(wanted, step)
    if as_json:
        print_json({"proposed": _proposed(report), "failed": len(report.failed), **_plain(asdict(report))})
    else:
        _show(report)
    if report.failed:
        raise Failure(
            f"{name}: {len(report.failed)} of {len(report.findings)} checks failed: "
            + "; ".join(f"{one.check}: {one.said}" for one in report.failed)
        )


@app.command(epilog=f"Example: quorumlearn workload new clinic.  {EXIT_CODES}")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The workload's name, such as clinic.")],
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Where it goes; by default a folder NAME.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a small package with a workload that runs: a module on a made-up table, a node's and a task's file, a test."""
    place = Path(name) if folder is None else folder
    texts = files(name)
    there = [one for one in texts if (place / one).exists()]
    if there and not force:
        raise Failure(
            f"{place / there[0]} is there already: nothing was written; --force overwrites it, or name another folder",
            Exit.USAGE,
        )
    for one, text in texts.items():
        (place / one).parent.mkdir(parents=True, exist_ok=True)
        write_whole(place / one, text)
    module = next(one for one in texts if one.endswith("_workload.py")).removesuffix(".py")
    steps = [
        f"cd {place}",
        f"quorumlearn workload try {name} --module {module}:WORKLOAD --data data/{name}.csv",
        "pip install -e .",
    ]
    if as_json:
        print_json({"folder": str(place), "files": list(texts), "next": steps})
        return
    print_text(f"wrote {', '.join(texts)} in {place.resolve()}; next:")
    for one in steps:
        print_text(f"  {one}")


def setting(text: str) -> tuple[str, str]:
    """A setting as --set gives it."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Failure(f"--set {text!r} is no KEY=VALUE, such as epochs=2", Exit.USAGE)
    return key, value


def _plain(value: object) -> dict[str, object]:
    """As JSON has it: a number that is not finite is null."""

    def plain(one: object) -> object:
        if isinstance(one, dict):
            return {key: plain(inner) for key, inner in one.items()}
        if isinstance(one, list | tuple):
            return [plain(inner) for inner in one]
        return None if isinstance(one, float) and not math.isfinite(one) else one

    found = plain(value)
    assert isinstance(found, dict)
    return found


def _proposed(report: Report) -> dict[str, float] | None:
    """What a task's file says under `encryption`."""
    fit = report.fit
    return None if fit is None else {"bound": fit.bound, "step_bits": fit.step_bits}


def _show(report: Report) -> None:
    better = "less" if report.lower_is_better else "more"
    print_text(f"{report.workload} {report.version}, scored by {report.metric} ({better} is better)", "bold")
    _show_travels(report)
    if report.rounds:
        print_text("")
        print_table(
            ("round", report.metric, "loss", "seconds of training"),
            [
                (one.number, f"{one.score:.4f}", f"{one.loss:.4f}", f"{one.seconds:.2f}")
                for one in report.rounds
            ],
        )
        print_text(f"{_counted(report.miners)} trained, {report.test} samples tested")
    _show_encryption(report)
    print_text("")
    print_table(("", "check", ""), [(_MARKS[one.verdict], one.check, one.said) for one in report.findings])


def _counted(miners: Sequence[int]) -> str:
    return (
        f"{len(miners)} miner{'s' * (len(miners) != 1)} with {', '.join(str(one) for one in miners)} samples"
    )


def _show_travels(report: Report) -> None:
    travels = report.travels
    if travels is None:
        return
    blocks = ", ".join(f"{block} ({count:,})" for block, count in travels.blocks.items())
    print_text(
        f"what travels: {travels.parameters:,} parameters in {len(travels.tensors)} tensors; blocks {blocks}"
    )
    print_table(
        ("tensor", "shape"),
        [(tensor, " x ".join(map(str, shape)) or "1") for tensor, shape in travels.tensors.items()],
    )
    if travels.stays:
        print_text(f"what stays: {', '.join(travels.stays)}")
    for what, digest in travels.fixed.items():
        print_text(f"what all must share: {what} {digest}")
    print_text(f"digest: {travels.digest}")


def _show_encryption(report: Report) -> None:
    fit, price = report.fit, report.price
    if fit is None:
        return
    print_text("")
    print_text(f"proposed: encryption: {{bound: {fit.bound:g}, step_bits: {fit.step_bits}}}", "bold")
    print_table(
        ("step_bits", "bytes an update", "rounding"),
        [(one.step_bits, f"{one.update_bytes:,}", f"{one.rounding:.3%}") for one in fit.grids],
    )
    if fit.free_bits > fit.step_bits:
        print_text(f"up to step_bits {fit.free_bits} an update takes at most 5 % more bytes")
    if report.encrypted is not None:
        print_text(
            f"rounded and clipped so, the last round scores {report.encrypted:.4f} in place of {report.rounds[-1].score:.4f}"
        )
    if price is None:
        return
    p = fit.parameters
    full, part = p.update_size >= p.poly_modulus_degree, price.measured != p.update_size
    each = f"{price.update_bytes / p.update_size:.1f} a parameter"
    print_text(
        f"an encrypted update takes {price.update_bytes:,} bytes, "
        + (each if full else f"as of any model up to {p.poly_modulus_degree:,} parameters")
    )
    print_text(
        f"a miner encrypts it in {price.encrypt:.3f} s, a verifier screens it in {price.screen:.3f} s, adds up {price.miners} in "
        f"{price.aggregate:.3f} s and opens the sum in {price.open:.3f} s"
        + (f" (measured on {price.measured:,} parameters, and scaled)" if part else "")
    )
