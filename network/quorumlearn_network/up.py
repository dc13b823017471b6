"""A network on this machine: bring it up, bring it down, say how it is.

A network lives in one folder:

    network.yaml        its description, with the ports that were chosen
    devnet.json         what the devnet is started with
    organisations/      identities (identities.py) and a connection.json for each organisation
    ledger/             the devnet's ledger
    run/, logs/         process records and logs (processes.py)

Rules:
- `bring_up` is idempotent: what runs is left running, what is missing is started;
- what ends while it waits is started again, a few times (upkeep.py);
- it fails with an error that names the step, and leaves running what runs, so that it can be repeated; interrupted,
  it stops what it had started;
- a ledger is never removed but by `bring_down(wipe=True)`;
- one command at a time works on a folder.

A network whose description has a section `fabric` is one of real Fabric nodes: `fabric/` brings it up, with the
same rules. That room is imported only then, since it is slow to.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

from quorumlearn_network.devnet_processes import DevnetProcesses
from quorumlearn_network.folder import (
    Confirm,
    FolderError,
    NetworkStatus,
    ProcessStatus,
    UpError,
    check_room,
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
from quorumlearn_network.ports import check_free, choose_ports
from quorumlearn_network.processes import Detached
from quorumlearn_network.profiles import render_connection, render_devnet, write_whole
from quorumlearn_network.spec import NetworkSpec, OrganisationSpec, dump_spec, parse_spec
from quorumlearn_network.upkeep import Upkeep

MIN_FREE_BYTES = 64 << 20


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
    folder = folder.resolve()
    with locked(folder):
        if (spec if spec is not None else read_network(folder)).fabric is not None:
            from quorumlearn_network import fabric

            return fabric.bring_up(spec, folder, confirm, progress, timeout_s)
        spec = _settled(spec, folder)
        processes = DevnetProcesses(spec, folder)
        upkeep = Upkeep(processes, processes.names, progress, time.monotonic() + timeout_s)
        with step("check"):
            check_room(folder, MIN_FREE_BYTES)
        upkeep.begin("identities")
        write_identities(spec, folder)

        def await_ready() -> None:
            for name in processes.names:
                with step(name):
                    upkeep.until(partial(processes.ready, name), name)

        running = processes.running()
        missing = [name for name in processes.names if name not in running]
        with step("ports"):
            check_free(address for name in missing for address in processes.listens(name))
        write_whole(folder / "devnet.json", render_devnet(spec))
        write_whole(folder / "network.yaml", dump_spec(spec))
        try:
            for name in missing:
                with step(name):
                    upkeep.begin(f"starting {name}")
                    processes.start([name])
            with upkeep:
                await_ready()
                upkeep.begin("asking the ledger")
                confirm(spec, folder, upkeep)
                await_ready()
        except KeyboardInterrupt:
            processes.stop(missing)
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
            processes = DevnetProcesses(spec, folder)
            stopped = processes.stop(processes.names)
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
            DevnetProcesses(spec, folder).stop(names or known)
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
    """Give the chaincode another version, at the next sequence: an earlier one as well as a new one.

    Fabric's nodes go on running; a devnet is stopped, and comes up with it.
    """
    folder = folder.resolve()
    with locked(folder):
        spec = read_network(folder)
        if spec.fabric is not None:
            from quorumlearn_network import fabric

            return fabric.upgrade(version, image, folder, confirm, progress, timeout_s)
        if image:
            raise FolderError(f"the devnet in {folder} runs no images: leave --image out")
        chaincode = spec.chaincode.model_copy(
            update={"version": version, "sequence": spec.chaincode.sequence + 1}
        )
        wanted = parse_spec(dump_spec(spec.model_copy(update={"chaincode": chaincode})), version)
        processes = DevnetProcesses(spec, folder)
        with step("stop"):
            processes.stop(processes.names)
    return bring_up(wanted, folder, confirm, progress, timeout_s)


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
    if DevnetProcesses(before, folder).running() and _without_users(spec) != _without_users(before):
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
    return NetworkStatus(spec, folder, DevnetProcesses(spec, folder).statuses())


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
