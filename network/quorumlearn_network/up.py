"""A network on this machine: bring it up, bring it down, say how it is.

A network lives in one folder:

    network.yaml        its description, with the ports that were chosen
    devnet.json         what the devnet is started with
    organisations/      identities (identities.py) and a connection.json for each organisation
    ledger/             the devnet's ledger
    run/, logs/         process records and logs (processes.py)

Rules:
- `bring_up` is idempotent: what runs is left running, what is missing is started;
- it fails as a whole: what it started is stopped again, and the error names the step;
- a ledger is never removed but by `bring_down(wipe=True)`;
- one command at a time works on a folder.

A network whose description has a section `fabric` is one of real Fabric nodes: `fabric/` brings it up, with the
same rules. That room is imported only then, since it is slow to.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from quorumlearn_network.folder import (
    Confirm,
    FolderError,
    NetworkStatus,
    ProcessStatus,
    UpError,
    locked,
    read_network,
    step,
)
from quorumlearn_network.identities import (
    ROLE_ATTRIBUTE,
    ensure_orderer,
    ensure_peer,
    ensure_user,
    open_organisation,
)
from quorumlearn_network.package import package_id
from quorumlearn_network.ports import check_free, choose_ports
from quorumlearn_network.processes import Detached
from quorumlearn_network.profiles import render_connection, render_devnet, write_whole
from quorumlearn_network.spec import NetworkSpec, OrganisationSpec, dump_spec

DEVNET = "devnet"


def bring_up(
    spec: NetworkSpec | None,
    folder: Path,
    confirm: Confirm,
    progress: Callable[[str], None] = lambda step: None,
    timeout_s: float = 60.0,
) -> NetworkStatus:
    """Bring the network in `folder` up and return how it is.

    `spec` None takes the folder's own description. UpError, FolderError or another NetworkError if it fails;
    whatever `confirm` raises is passed on.
    """
    deadline = time.monotonic() + timeout_s
    folder = folder.resolve()
    with locked(folder):
        if (spec if spec is not None else read_network(folder)).fabric is not None:
            from quorumlearn_network import fabric

            return fabric.bring_up(spec, folder, confirm, progress, timeout_s)
        spec = _settled(spec, folder)
        progress("identities")
        write_identities(spec, folder)
        missing = [one for one in _processes(spec, folder) if one.process.pid() is None]
        started: list[Detached] = []
        try:
            with step("ports"):
                check_free(address for one in missing for address in one.listens)
            write_whole(folder / "devnet.json", render_devnet(spec))
            write_whole(folder / "network.yaml", dump_spec(spec))
            for one in missing:
                with step(one.process.name):
                    progress(f"starting {one.process.name}")
                    started.append(one.process)
                    one.process.start(one.command, one.environment)
            for one in missing:
                with step(one.process.name):
                    one.process.wait_until_ready(deadline)
            progress("asking the ledger")
            confirm(spec, folder, deadline)
        except BaseException:
            _stop_all(started)
            raise
        return _status(spec, folder)


def bring_down(folder: Path, wipe: bool = False) -> bool:
    """Stop the network's processes; with `wipe` remove its ledger, identities and description too.

    False if nothing ran. FolderError if there is no network.
    """
    folder = folder.resolve()
    spec = read_network(folder)
    with locked(folder):
        if spec.fabric is not None:
            from quorumlearn_network import fabric

            stopped = fabric.bring_down(folder, wipe)
        else:
            stopped = _stop_all([one.process for one in _processes(spec, folder)])
            if wipe:
                for name in ("ledger", "organisations", "logs"):
                    shutil.rmtree(folder / name, ignore_errors=True)
                for name in ("devnet.json", "network.yaml"):
                    (folder / name).unlink(missing_ok=True)
    if wipe:
        shutil.rmtree(folder / "run", ignore_errors=True)
        with contextlib.suppress(OSError):  # something of someone else's is in it
            folder.rmdir()
    return stopped


def restart_nodes(
    folder: Path,
    names: Sequence[str],
    confirm: Confirm,
    progress: Callable[[str], None] = lambda step: None,
    timeout_s: float = 60.0,
) -> NetworkStatus:
    """Stop the named processes or nodes (all without a name), start them again, and have it confirmed."""
    deadline = time.monotonic() + timeout_s
    folder = folder.resolve()
    spec = read_network(folder)
    known = [one.name for one in status(folder).processes]
    for name in names:
        if name not in known:
            raise FolderError(f"there is no node {name!r}; there are {', '.join(known)}")
    with locked(folder):
        if spec.fabric is not None:
            from quorumlearn_network import fabric

            fabric.restart(folder, names, progress, deadline)
        else:
            _stop_all(
                [one.process for one in _processes(spec, folder) if not names or one.process.name in names]
            )
    return bring_up(None, folder, confirm, progress, deadline - time.monotonic())


def renew_certificates(
    folder: Path,
    validity: timedelta,
    confirm: Confirm,
    progress: Callable[[str], None] = lambda step: None,
    timeout_s: float = 300.0,
) -> NetworkStatus:
    """Renew the certificates of a network's Fabric nodes, which keep their keys, and start them anew one by one."""
    deadline = time.monotonic() + timeout_s
    folder = folder.resolve()
    with locked(folder):
        if read_network(folder).fabric is None:
            raise FolderError(f"the devnet in {folder} renews what expires by itself, when it comes up")
        from quorumlearn_network import fabric

        fabric.renew(folder, validity, progress, deadline)
    return bring_up(None, folder, confirm, progress, deadline - time.monotonic())


def add_organisation(
    one: OrganisationSpec,
    folder: Path,
    confirm: Confirm,
    progress: Callable[[str], None] = lambda step: None,
    timeout_s: float = 300.0,
) -> NetworkStatus:
    """Have an organisation join the running channel of a network of Fabric nodes."""
    folder = folder.resolve()
    with locked(folder):
        if read_network(folder).fabric is None:
            raise FolderError(f"the members of the devnet in {folder} cannot change; Fabric's can")
        from quorumlearn_network import fabric

        return fabric.add_organisation(one, folder, confirm, progress, timeout_s)


def upgrade_chaincode(
    version: str,
    image: str,
    folder: Path,
    confirm: Confirm,
    progress: Callable[[str], None] = lambda step: None,
    timeout_s: float = 300.0,
) -> NetworkStatus:
    """Give the chaincode of a network of Fabric nodes another version, at the next sequence."""
    folder = folder.resolve()
    with locked(folder):
        if read_network(folder).fabric is None:
            raise FolderError(
                f"the devnet in {folder} takes another version from its description, at a higher sequence, "
                "when it comes up"
            )
        from quorumlearn_network import fabric

        return fabric.upgrade(version, image, folder, confirm, progress, timeout_s)


def node_log(folder: Path, name: str, lines: int) -> list[str]:
    """The last lines that a process or node of the network has written."""
    folder = folder.resolve()
    spec = read_network(folder)
    if spec.fabric is not None:
        from quorumlearn_network import fabric

        return fabric.nodes_of(fabric.plan(spec, folder)).tail(name, lines)
    return Detached(folder, name).tail(lines)


def status(folder: Path) -> NetworkStatus:
    """How the network in `folder` is; FolderError if there is none."""
    folder = folder.resolve()
    spec = read_network(folder)
    if spec.fabric is not None:
        from quorumlearn_network import fabric

        return fabric.status(folder)
    return _status(spec, folder)


def write_identities(spec: NetworkSpec, folder: Path) -> None:
    """Every identity of the network, and a connection profile an organisation; valid ones are kept."""
    orderer = open_organisation(folder, spec.orderer.name, spec.orderer.msp_id)
    ensure_orderer(orderer, ["localhost", "127.0.0.1"])
    for one in spec.organisations:
        organisation = open_organisation(folder, one.name, one.msp_id)
        ensure_peer(organisation, sorted({one.peer.host, "localhost", "127.0.0.1"}))
        for user in one.users:
            attributes = {ROLE_ATTRIBUTE: user.role.value} if user.role is not None else {}
            ensure_user(organisation, user.name, attributes, admin=user.admin)
        profile = render_connection(spec, one, organisation)
        write_whole(organisation.folder / "connection.json", profile)


@dataclass(frozen=True)
class _Planned:
    process: Detached
    command: tuple[str, ...]
    environment: dict[str, str]
    listens: tuple[tuple[str, int], ...]


def _processes(spec: NetworkSpec, folder: Path) -> list[_Planned]:
    """The processes in the order they are started: chaincode services, one an address, then the devnet."""
    services: dict[tuple[str, int], str] = {}
    for one in spec.organisations:
        services.setdefault((one.peer.host, one.peer.chaincode_port), one.name)
    planned = []
    for (host, port), name in services.items():
        address = next(
            one.peer.chaincode_address
            for one in spec.organisations
            if (one.peer.host, one.peer.chaincode_port) == (host, port)
        )
        planned.append(
            _Planned(
                Detached(folder, "chaincode" if len(services) == 1 else f"chaincode-{name}"),
                (sys.executable, "-m", spec.chaincode.module),
                {"CHAINCODE_SERVER_ADDRESS": address, "CHAINCODE_ID": package_id(spec.chaincode)},
                ((host, port),),
            )
        )
    planned.append(
        _Planned(
            Detached(folder, DEVNET),
            (sys.executable, "-m", "quorumlearn_network.devnet", "--config", str(folder / "devnet.json")),
            {},
            tuple(
                (one.peer.host, port)
                for one in spec.organisations
                for port in (one.peer.port, one.peer.operations_port or 0)
            ),
        )
    )
    return planned


def _stop_all(processes: list[Detached]) -> bool:
    for process in processes:
        process.ask_to_stop()
    stopped = [process.stop() for process in processes]
    return any(stopped)


def _settled(spec: NetworkSpec | None, folder: Path) -> NetworkSpec:
    """The description to go by, ports chosen, once it fits what the folder already holds."""
    before = read_network(folder) if spec is None or (folder / "network.yaml").exists() else None
    if before is not None and before.fabric is not None:
        raise FolderError(
            f"{folder} holds a network of Fabric nodes; "
            f"`quorumlearn network down --wipe --folder {folder}` removes it first"
        )
    spec = choose_ports(spec if spec is not None else read_network(folder), before)
    if before is None or spec == before:
        return spec
    wipe = f"`quorumlearn network down --wipe --folder {folder}` removes it first"
    if (folder / "ledger").exists() and _founded(spec) != _founded(before):
        raise FolderError(
            f"{folder} holds a ledger of a network with other organisations or another channel; {wipe}"
        )
    running = any(one.process.pid() is not None for one in _processes(before, folder))
    if running and _without_users(spec) != _without_users(before):
        raise FolderError(
            f"the network in {folder} runs with another description; "
            f"`quorumlearn network down --folder {folder}` stops it first"
        )
    return spec


def _founded(spec: NetworkSpec) -> object:
    return (
        spec.channel,
        spec.chaincode.name,
        spec.orderer,
        [(one.name, one.msp_id, one.roles) for one in spec.organisations],
    )


def _without_users(spec: NetworkSpec) -> NetworkSpec:
    organisations = tuple(one.model_copy(update={"users": ()}) for one in spec.organisations)
    return spec.model_copy(update={"organisations": organisations})


def _status(spec: NetworkSpec, folder: Path) -> NetworkStatus:
    processes = tuple(
        ProcessStatus(
            one.process.name,
            tuple(f"{host}:{port}" for host, port in one.listens),
            one.process.pid(),
            one.process.log,
        )
        for one in _processes(spec, folder)
    )
    return NetworkStatus(spec, folder, processes)


__all__ = [
    "Confirm",
    "FolderError",
    "NetworkStatus",
    "ProcessStatus",
    "UpError",
    "add_organisation",
    "bring_down",
    "bring_up",
    "node_log",
    "read_network",
    "renew_certificates",
    "restart_nodes",
    "status",
    "upgrade_chaincode",
    "write_identities",
]
