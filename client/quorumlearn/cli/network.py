"""`quorumlearn network`: bring a network up on this machine, bring it down, say how it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from quorumlearn_network.spec import (
    FabricSpec,
    Logs,
    NetworkSpec,
    Runtime,
    SpecError,
    default_spec,
    dump_spec,
    example_text,
    load_organisation,
    load_spec,
    parse_spec,
)
from quorumlearn_network.up import (
    add_organisation,
    bring_down,
    bring_up,
    node_log,
    read_network,
    renew_certificates,
    restart_nodes,
    upgrade_chaincode,
)
from quorumlearn_network.up import status as network_status

from quorumlearn.cli.access import DEFAULT_FOLDER, Folder
from quorumlearn.cli.confirm import confirm_ledger
from quorumlearn.cli.connect import connect
from quorumlearn.cli.network_show import print_coloured, show
from quorumlearn.cli.processes import interruptible
from quorumlearn.cli.terminal import (
    EXIT_CODES,
    AsJson,
    Exit,
    Failure,
    print_json,
    print_text,
    progress,
)

app = typer.Typer(
    no_args_is_help=True, help="Bring a network up on this machine, bring it down, see how it is."
)
app.command(
    epilog=f"Example: quorumlearn network connect org1.yaml --profile connection-org1.json --msp users/User1/msp.  {EXIT_CODES}"
)(connect)

_UP_SECONDS, _FABRIC_UP_SECONDS = 60.0, 300.0


@app.callback()
def _interruptible(context: typer.Context) -> None:
    context.with_resource(interruptible())


@app.command(epilog=f"Example: quorumlearn network up --verifiers 3 --miners 4.  {EXIT_CODES}")
def up(
    folder: Folder = DEFAULT_FOLDER,
    spec: Annotated[Path | None, typer.Option(help="A network description (YAML).", metavar="FILE")] = None,
    fabric: Annotated[
        Path | None,
        typer.Option(
            help="The same, for Fabric nodes in containers; `network example` prints one.", metavar="FILE"
        ),
    ] = None,
    native: Annotated[
        bool, typer.Option("--native", help="With --fabric: the executables peer and orderer, no containers.")
    ] = False,
    here: Annotated[
        list[str] | None,
        typer.Option(help="With --fabric: an organisation whose nodes run on this machine; all without."),
    ] = None,
    miner_organisations: Annotated[int, typer.Option(help="Miners' organisations, without --spec.")] = 2,
    miners: Annotated[int, typer.Option(help="Miners in each of them, without --spec.")] = 4,
    verifiers: Annotated[int, typer.Option(help="Verifiers' organisations, without --spec.")] = 3,
    base_port: Annotated[int, typer.Option(help="First of the ports; 0 takes free ones.")] = 0,
    log_json: Annotated[
        bool,
        typer.Option(
            "--log-json", help="What is started logs JSON, from now on: `logs: json` in network.yaml."
        ),
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds to wait until it serves: 60, with Fabric 300.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring up the network in a folder, made from --spec or from the numbers if it is not there yet.

    Organisations with their identities, a peer for each, an orderer, the chaincode, and the initialised
    ledger. A network that is up is left as it is; a folder's own description wins over the numbers.
    """
    if fabric is not None and spec is not None:
        raise SpecError("--spec and --fabric each name a description; give one")
    if (native or here) and fabric is None:
        raise SpecError("--native and --here go with --fabric FILE")
    if fabric is not None:
        wanted: NetworkSpec | None = with_fabric(load_spec(fabric), native, here or (), fabric)
    elif spec is not None:
        wanted = load_spec(spec)
    elif (folder / "network.yaml").exists():
        wanted = None
    elif not 0 <= base_port <= 65535:
        raise SpecError(f"--base-port {base_port} is no port")
    else:
        wanted = default_spec(miner_organisations, miners, verifiers, base_port)
    if log_json:
        described = wanted if wanted is not None else read_network(folder)
        wanted = described.model_copy(update={"logs": Logs.JSON})
    with progress("bringing the network up") as step:
        seconds = timeout if timeout is not None else _patience(wanted, folder)
        result = bring_up(wanted, folder, confirm_ledger, step, seconds)
    show(result, as_json)


@app.command(epilog=f"Example: quorumlearn network down.  {EXIT_CODES}")
def down(
    folder: Folder = DEFAULT_FOLDER,
    wipe: Annotated[
        bool, typer.Option("--wipe", help="Remove ledger, identities and description too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Stop the network's processes. Its ledger and identities stay, unless --wipe."""
    with progress("bringing the network down"):
        stopped = bring_down(folder, wipe)
    if as_json:
        print_json({"folder": str(folder), "stopped": stopped, "wiped": wipe})
    else:
        print_text(("stopped" if stopped else "nothing was running") + (", and wiped" if wipe else ""))


@app.command(epilog=f"Example: quorumlearn network status --json.  {EXIT_CODES}")
def status(folder: Folder = DEFAULT_FOLDER, as_json: AsJson = False) -> None:
    """Which processes run, where peers answer, and how high the ledger is. Exit code 3 if it is not all
    up.

    Of Fabric nodes also each one's height and version, the orderers' leader, and the chaincode's definition.
    """
    show(network_status(folder), as_json)


@app.command(epilog=f"Example: quorumlearn network logs peer0.owner --lines 100.  {EXIT_CODES}")
def logs(
    names: Annotated[
        list[str] | None, typer.Argument(help="Nodes; all without any.", metavar="[NODE]...")
    ] = None,
    folder: Folder = DEFAULT_FOLDER,
    lines: Annotated[int, typer.Option(min=1, max=100_000, help="Of each.")] = 20,
) -> None:
    """The last lines that nodes have written."""
    known = {one.name: one for one in network_status(folder).processes}
    for name in names or ():
        if name not in known:
            raise Failure(f"there is no node {name!r}; there are {', '.join(known)}", Exit.USAGE)
    for name in names or known:
        print_text(f"==> {name}", "bold")
        for line in node_log(folder, name, lines):
            print_coloured(line)


@app.command(epilog=f"Example: quorumlearn network restart peer0.owner.  {EXIT_CODES}")
def restart(
    names: Annotated[
        list[str] | None, typer.Argument(help="Nodes; all without any.", metavar="[NODE]...")
    ] = None,
    folder: Folder = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Stop nodes and start them again, and wait until the network serves."""
    with progress("restarting") as step:
        result = restart_nodes(folder, names or (), confirm_ledger, step, _patience(None, folder))
    show(result, as_json)


@app.command(epilog=f"Example: quorumlearn network renew --days 365.  {EXIT_CODES}")
def renew(
    folder: Folder = DEFAULT_FOLDER,
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days that the certificates are valid.")] = 365,
    as_json: AsJson = False,
) -> None:
    """Renew the certificates of Fabric nodes, for the keys that they have, and restart the nodes one at a time.

    Users' are renewed by `quorumlearn identity renew`.
    """
    with progress("renewing certificates") as step:
        validity = timedelta(days=days)
        result = renew_certificates(folder, validity, confirm_ledger, step, _FABRIC_UP_SECONDS)
    show(result, as_json)


@app.command(epilog=f"Example: quorumlearn network example > market.yaml.  {EXIT_CODES}")
def example() -> None:
    """Print a description to begin with: a market of seven organisations on Fabric, for `network up --fabric`."""
    sys.stdout.write(example_text())


@app.command("add-org", epilog=f"Example: quorumlearn network add-org miners3.yaml.  {EXIT_CODES}")
def add_org(
    file: Annotated[Path, typer.Argument(help="One organisation, as in the network's description (YAML).")],
    folder: Folder = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Have another organisation join a running channel of Fabric nodes: an owner's, or miners'.

    The administrators of the members whose keys are here sign the change; then its peer joins.
    """
    with progress("adding an organisation") as step:
        one = load_organisation(file)
        result = add_organisation(one, folder, confirm_ledger, step, _FABRIC_UP_SECONDS)
    show(result, as_json)


@app.command(epilog=f"Example: quorumlearn network upgrade 1.1.  {EXIT_CODES}")
def upgrade(
    version: Annotated[str, typer.Argument(help="The chaincode's new version.")],
    image: Annotated[str, typer.Option(help="Its image, with containers, if it has another name.")] = "",
    folder: Folder = DEFAULT_FOLDER,
    as_json: AsJson = False,
) -> None:
    """Give the chaincode another version, at the next sequence; an earlier version rolls an upgrade back.

    Installed, approved and committed by every organisation; calls fail for the moment in which services change. Tasks go on.
    """
    with progress("upgrading the chaincode") as step:
        result = upgrade_chaincode(version, image, folder, confirm_ledger, step, _FABRIC_UP_SECONDS)
    show(result, as_json)


def with_fabric(spec: NetworkSpec, native: bool, here: Sequence[str], source: Path) -> NetworkSpec:
    """The description with a section `fabric`, the usual one if it has none, checked as a whole."""
    section = spec.fabric if spec.fabric is not None else FabricSpec()
    changes: dict[str, object] = {"here": tuple(here) or section.here}
    if native:
        changes["runtime"] = Runtime.NATIVE
    wanted = spec.model_copy(update={"fabric": section.model_copy(update=changes)})
    return parse_spec(dump_spec(wanted), str(source))


def _patience(spec: NetworkSpec | None, folder: Path) -> float:
    spec = spec if spec is not None else read_network(folder)
    return _UP_SECONDS if spec.fabric is None else _FABRIC_UP_SECONDS
