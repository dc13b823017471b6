"""A network of Fabric nodes on this machine: bring it up, bring it down, say how it is.

In order, each step doing only what is not done yet:

    check         executables, or container engine and images; free ports; room on the disk
    identities    of every organisation, orderer, peer, user
    members       what the organisations of other machines make public is here
    settings      the genesis block (once), core.yaml, orderer.yaml, connection profiles
    nodes         orderers, peers, chaincode services
    join          orderers, then peers; orderers have a leader
    chaincode     installed and approved by each organisation, committed once
    confirm       what the caller asks of it, until it endorses

Rules: those of `up.py`, which also hold the devnet. A step that failed can be repeated.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from quorumlearn_network.agreement import agrees
from quorumlearn_network.fabric import lifecycle
from quorumlearn_network.fabric.access import admin, orderer_targets, target
from quorumlearn_network.fabric.containers import ContainerNodes
from quorumlearn_network.fabric.errors import (
    BehindError,
    DisagreementError,
    FabricError,
    RefusedError,
)
from quorumlearn_network.fabric.files import check_members, write_identities, write_settings
from quorumlearn_network.fabric.health import healthy, leader_of
from quorumlearn_network.fabric.layout import Layout, plan
from quorumlearn_network.fabric.membership import join_orderer, join_peer
from quorumlearn_network.fabric.native import NativeNodes
from quorumlearn_network.fabric.transactions import persist
from quorumlearn_network.folder import (
    Confirm,
    FolderError,
    NetworkStatus,
    ProcessStatus,
    UpError,
    check_room,
    read_network,
    step,
)
from quorumlearn_network.ports import choose_ports
from quorumlearn_network.profiles import write_whole
from quorumlearn_network.spec import NetworkSpec, dump_spec
from quorumlearn_network.upkeep import Upkeep

MIN_FREE_BYTES = 512 << 20


class _AwaitedError(FabricError):
    """Other organisations have yet to act."""


class Nodes(Protocol):
    """What a network's nodes run in: processes (`native.py`) or containers (`containers.py`)."""

    def check(self) -> None: ...
    def running(self) -> dict[str, int]: ...
    def stale(self) -> list[str]: ...
    def start(self, names: Sequence[str]) -> None: ...
    def stop(self, names: Sequence[str]) -> bool: ...
    def kill(self, name: str) -> None: ...
    def tail(self, name: str, lines: int) -> list[str]: ...
    def forget(self) -> None: ...
    def where(self, name: str) -> str: ...


def nodes_of(layout: Layout) -> Nodes:
    """The nodes of a layout, whatever they run in."""
    return ContainerNodes(layout) if layout.contained else NativeNodes(layout)


def bring_up(
    spec: NetworkSpec | None,
    folder: Path,
    confirm: Confirm,
    progress: Callable[[str], None],
    timeout_s: float,
) -> NetworkStatus:
    """Bring the network in `folder` up; the caller holds the folder's lock."""
    layout = _settled(spec, folder)
    nodes = nodes_of(layout)
    upkeep = Upkeep(nodes, layout.nodes(), progress, time.monotonic() + timeout_s)
    with step("check"):
        upkeep.begin("looking at what is here")
        check_room(folder, MIN_FREE_BYTES)
        nodes.check()
    with step("identities"):
        upkeep.begin("identities")
        write_identities(layout)
    write_whole(folder / "network.yaml", dump_spec(layout.spec))
    with step("members"):
        check_members(layout)
    with step("settings"):
        write_settings(layout)
    before = nodes.running()
    started = [name for name in layout.nodes() if name not in before]
    try:
        with step("nodes"):
            upkeep.begin(f"starting {len(started)} nodes")
            nodes.start(started)
        with upkeep:
            _make_serve(layout, nodes, upkeep)
            upkeep.begin("asking the ledger")
            confirm(layout.spec, folder, upkeep)
            await_all_healthy(layout, nodes, layout.nodes(), upkeep)
    except KeyboardInterrupt:
        nodes.stop(list(reversed(started)))
        raise
    return status(folder)


def _make_serve(layout: Layout, nodes: Nodes, upkeep: Upkeep) -> None:
    """Have nodes that were started serve the channel, with its chaincode."""
    await_all_healthy(layout, nodes, layout.nodes(), upkeep)
    with step("join"):
        upkeep.begin("joining the channel")
        genesis = layout.genesis.read_bytes()
        channel = layout.spec.channel
        for orderer in layout.our_orderers:
            persist(partial(join_orderer, orderer, channel, genesis), upkeep)
        for peer in layout.our_peers:
            peers_admin = admin(layout, peer)
            persist(partial(join_peer, target(layout, peer), peers_admin, channel, genesis), upkeep)
        await_leader(layout, upkeep)
    with step("chaincode"):
        deploy(layout, nodes, upkeep)


def bring_down(folder: Path, wipe: bool) -> bool:
    """Stop all nodes; with `wipe` remove all that `bring_up` made. The caller holds the folder's lock."""
    layout = plan(read_network(folder), folder)
    nodes = nodes_of(layout)
    stopped = nodes.stop(list(reversed(layout.nodes())))
    if wipe:
        for name in ("ledger", "organisations", "nodes"):
            shutil.rmtree(folder / name, ignore_errors=True)
        nodes.forget()
        for path in (layout.genesis, layout.compose, folder / "network.yaml"):
            path.unlink(missing_ok=True)
    return stopped


def status(folder: Path) -> NetworkStatus:
    """Which nodes of the network in `folder` run."""
    layout = plan(read_network(folder), folder)
    nodes = nodes_of(layout)
    running = nodes.running()
    addresses = {one.name: (one.published,) for one in layout.our_orderers}
    addresses |= {one.name: (one.published,) for one in layout.our_peers}
    addresses |= {one.service: (one.chaincode_reached,) for one in layout.our_peers}
    processes = tuple(
        ProcessStatus(name, addresses[name], running.get(name), Path(nodes.where(name)))
        for name in layout.nodes()
    )
    return NetworkStatus(layout.spec, folder, processes)


def deploy(layout: Layout, nodes: Nodes, upkeep: Upkeep) -> None:
    """Install, approve and commit the chaincode of the description, as far as that is not done.

    Where other organisations must approve it on machines of their own, wait for them; until then services of an earlier version serve on.
    """
    spec, orderers = layout.spec, orderer_targets(layout)
    for peer in layout.our_peers:
        upkeep.begin(f"installing the chaincode on {peer.name}")
        persist(partial(lifecycle.install, target(layout, peer), admin(layout, peer), spec), upkeep)
    for peer in layout.our_peers:
        upkeep.begin(f"approving the chaincode for {peer.organisation.name}")
        approve = partial(lifecycle.approve, target(layout, peer), orderers, admin(layout, peer), spec)
        persist(approve, upkeep, also=(BehindError,))
    also = (_AwaitedError, RefusedError, DisagreementError)
    if layout.our_peers:
        upkeep.begin("awaiting that enough organisations approve the chaincode")
        persist(partial(_approved, layout), upkeep, also)
    stale = nodes.stale()
    if stale:
        upkeep.begin("starting the chaincode's new version")
        with upkeep.suspended():
            nodes.stop(stale)
            nodes.start(stale)
    if layout.our_peers:
        upkeep.begin("committing the chaincode")
        persist(partial(_commit, layout), upkeep, also)


def _approved(layout: Layout) -> set[str] | None:
    """The MSP ids of those who have approved the definition, None once it is committed; _AwaitedError while they are too few."""
    spec, first = layout.spec, layout.our_peers[0]
    ours, signer = target(layout, first), admin(layout, first)
    known = lifecycle.committed(ours, signer, spec)
    if known is not None and known.sequence >= spec.chaincode.sequence:
        return None
    approved = {msp_id for msp_id, agreed in lifecycle.ready(ours, signer, spec).items() if agreed}
    awaited = [one.organisation.name for one in layout.peers if one.organisation.msp_id not in approved]
    if not agrees(spec, spec.policies.lifecycle, approved):
        raise _AwaitedError(f"the chaincode awaits the approval of {', '.join(awaited)}")
    return approved


def _commit(layout: Layout) -> None:
    """Commit the definition, unless it is; errors as in `_approved`."""
    approved = _approved(layout)
    if approved is None:
        return
    first = layout.our_peers[0]
    others = [one for one in layout.peers if one is not first and one.organisation.msp_id in approved]
    targets = [target(layout, one) for one in (first, *others)]
    lifecycle.commit(targets, orderer_targets(layout), admin(layout, first), layout.spec)


def await_all_healthy(layout: Layout, nodes: Nodes, names: Sequence[str], upkeep: Upkeep) -> None:
    """Return when each of these nodes runs and says that it is well."""
    addresses = {one.name: one.operations for one in layout.our_orderers}
    addresses |= {one.name: one.operations for one in layout.our_peers}

    def well(name: str) -> bool:
        return name in nodes.running() and (name not in addresses or healthy(addresses[name]))

    with step("nodes"):
        for name in names:
            upkeep.until(partial(well, name), name)


def await_leader(layout: Layout, upkeep: Upkeep) -> None:
    """Return when one of this machine's orderers leads; UpError if none does in time."""
    while layout.our_orderers and leader_of(layout) is None:
        if upkeep.late:
            raise UpError(
                "orderers", "none has become leader in time; `quorumlearn network logs` shows theirs"
            )
        upkeep.pause(f"none of {', '.join(one.name for one in layout.our_orderers)} leads the others yet")


def _settled(spec: NetworkSpec | None, folder: Path) -> Layout:
    """The layout to go by, ports chosen, once it fits what the folder already holds."""
    before = read_network(folder) if spec is None or (folder / "network.yaml").exists() else None
    spec = choose_ports(spec if spec is not None else read_network(folder), before)
    layout = plan(spec, folder)
    if before is None or spec == before:
        return layout
    down = f"`quorumlearn network down --folder {folder}` stops it first"
    wipe = f"`quorumlearn network down --wipe --folder {folder}` removes it first"
    if before.fabric is None or _founded(layout) != _founded(plan(before, folder)):
        raise FolderError(
            f"{folder} holds a network of other organisations, orderers or addresses, or another channel; {wipe} "
            "(`network add-org` adds an organisation)"
        )
    older, newer = before.chaincode, spec.chaincode
    if newer != older and newer.sequence <= older.sequence:
        raise FolderError(
            f"the chaincode changed, so its sequence must be above {older.sequence}; "
            "`quorumlearn network upgrade` takes the next"
        )
    running = nodes_of(plan(before, folder)).running()
    if running and _outside(spec) != _outside(before):
        raise FolderError(f"the network in {folder} runs with another description; {down}")
    return layout


def _founded(layout: Layout) -> object:
    """What the channel's genesis block and the initialised ledger hold."""
    spec = layout.spec
    return (
        spec.channel,
        (spec.chaincode.name, spec.chaincode.quorum),
        spec.orderer,
        spec.batch,
        layout.fabric.consensus,
        layout.fabric.policies,
        [one.reached for one in layout.orderers],
        [
            (one.organisation.name, one.organisation.msp_id, one.organisation.roles, one.reached)
            for one in layout.peers
        ],
    )


def _outside(spec: NetworkSpec) -> NetworkSpec:
    """What running nodes would have to be started anew for: all but users and the chaincode's version."""
    organisations = tuple(one.model_copy(update={"users": ()}) for one in spec.organisations)
    chaincode = spec.chaincode.model_copy(update={"version": "", "sequence": 1})
    fabric = spec.fabric
    if fabric is not None:
        images = fabric.images.model_copy(update={"chaincode": ""})
        fabric = fabric.model_copy(update={"images": images})
    return spec.model_copy(update={"organisations": organisations, "chaincode": chaincode, "fabric": fabric})
