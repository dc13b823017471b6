"""`quorumlearn network`: bring a network up on this machine, bring it down, say how it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from quorumlearn_network.spec import FabricSpec, NetworkSpec, Runtime, SpecError, default_spec, load_spec
from quorumlearn_network.up import NetworkStatus, bring_down, bring_up, read_network
from quorumlearn_network.up import status as network_status

from quorumlearn.cli.access import DEFAULT_FOLDER, Folder, open_gateway
from quorumlearn.cli.confirm import confirm_ledger
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
from quorumlearn.gateway import GatewayError

app = typer.Typer(
    no_args_is_help=True, help="Bring a network up on this machine, bring it down, see how it is."
)

_UP_SECONDS, _FABRIC_UP_SECONDS = 60.0, 300.0


@app.command(epilog=f"Example: quorumlearn network up --verifiers 3 --miners 4.  {EXIT_CODES}")
def up(
    folder: Folder = DEFAULT_FOLDER,
    spec: Annotated[Path | None, typer.Option(help="A network description (YAML).", metavar="FILE")] = None,
    fabric: Annotated[
        Path | None,
        typer.Option(help="The same, for real Hyperledger Fabric nodes in containers.", metavar="FILE"),
    ] = None,
    native: Annotated[
        bool, typer.Option("--native", help="With --fabric: the executables peer and orderer, no containers.")
    ] = False,
    miner_organisations: Annotated[int, typer.Option(help="Miners' organisations, without --spec.")] = 2,
    miners: Annotated[int, typer.Option(help="Miners in each of them, without --spec.")] = 4,
    verifiers: Annotated[int, typer.Option(help="Verifiers' organisations, without --spec.")] = 3,
    base_port: Annotated[int, typer.Option(help="First of the ports; 0 takes free ones.")] = 0,
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
    if native and fabric is None:
        raise SpecError("--native goes with --fabric FILE")
    if fabric is not None:
        wanted: NetworkSpec | None = with_fabric(load_spec(fabric), native)
    elif spec is not None:
        wanted = load_spec(spec)
    elif (folder / "network.yaml").exists():
        wanted = None
    elif not 0 <= base_port <= 65535:
        raise SpecError(f"--base-port {base_port} is no port")
    else:
        wanted = default_spec(miner_organisations, miners, verifiers, base_port)
    with progress("bringing the network up") as step:
        seconds = timeout if timeout is not None else _patience(wanted, folder)
        result = bring_up(wanted, folder, confirm_ledger, step, seconds)
    _show(result, as_json, _height(result))


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
    """
    result = network_status(folder)
    height = _height(result) if result.running else None
    _show(result, as_json, height)
    if not result.running:
        raise Failure(
            f"not all of it runs; `quorumlearn network up --folder {folder}` starts it", Exit.UNREACHABLE
        )


def with_fabric(spec: NetworkSpec, native: bool) -> NetworkSpec:
    """The description with a section `fabric`, the usual one if it has none."""
    section = spec.fabric if spec.fabric is not None else FabricSpec()
    runtime = Runtime.NATIVE if native else section.runtime
    return spec.model_copy(update={"fabric": section.model_copy(update={"runtime": runtime})})


def _patience(spec: NetworkSpec | None, folder: Path) -> float:
    spec = spec if spec is not None else read_network(folder)
    return _UP_SECONDS if spec.fabric is None else _FABRIC_UP_SECONDS


def _height(result: NetworkStatus) -> int | None:
    try:
        with open_gateway(result.folder) as gateway:
            return int(gateway.network(result.spec.channel).chain_info().height)
    except GatewayError as error:
        if error.unreachable:
            return None
        raise


def _show(result: NetworkStatus, as_json: bool, height: int | None = None) -> None:
    spec = result.spec
    if as_json:
        print_json(
            {
                "name": spec.name,
                "folder": str(result.folder),
                "running": result.running,
                "height": height,
                "channel": spec.channel,
                "chaincode": spec.chaincode.name,
                "organisations": [
                    {
                        "name": one.name,
                        "msp_id": one.msp_id,
                        "roles": list(one.roles),
                        "peer": one.peer.address,
                        "users": [user.name for user in one.users],
                    }
                    for one in spec.organisations
                ],
                "processes": [
                    {"name": one.name, "pid": one.pid, "addresses": list(one.addresses), "log": str(one.log)}
                    for one in result.processes
                ],
            }
        )
        return
    print_table(
        ("organisation", "MSP", "roles", "peer", "users"),
        [
            (
                one.name,
                one.msp_id,
                ", ".join(one.roles),
                one.peer.address,
                ", ".join(user.name for user in one.users),
            )
            for one in spec.organisations
        ],
    )
    print_text("")
    print_table(
        ("process", "state", "log"),
        [(one.name, f"runs ({one.pid})" if one.pid else "stopped", one.log) for one in result.processes],
    )
    if height is not None:
        print_text(f"\nledger: {height} blocks")
