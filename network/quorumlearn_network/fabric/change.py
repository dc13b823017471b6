"""Changes of a network that runs: nodes started anew, an organisation more, another version of the chaincode.

Each can be repeated after a failure. The caller holds the folder's lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from quorumlearn_network.fabric.access import admin, orderer_targets, target
from quorumlearn_network.fabric.channel import agreements, member_group
from quorumlearn_network.fabric.config_update import addition, await_member, channel_config, members, submit
from quorumlearn_network.fabric.errors import FabricError
from quorumlearn_network.fabric.files import renew_certificates, write_identities
from quorumlearn_network.fabric.layout import Layout, plan
from quorumlearn_network.fabric.transactions import persist
from quorumlearn_network.fabric.up import await_all_healthy, bring_up, nodes_of
from quorumlearn_network.folder import Confirm, NetworkStatus, read_network, step
from quorumlearn_network.ports import choose_ports
from quorumlearn_network.profiles import write_whole
from quorumlearn_network.spec import NetworkSpec, OrganisationSpec, Role, SpecError, dump_spec, parse_spec
from quorumlearn_network.upkeep import Upkeep

Progress = Callable[[str], None]


def restart(folder: Path, names: Sequence[str], progress: Progress, deadline: float) -> None:
    """Stop and start the named nodes, all of them if none is named, and wait until they are well."""
    layout = plan(read_network(folder), folder)
    chosen = check_names(layout, names)
    nodes = nodes_of(layout)
    upkeep = Upkeep(nodes, chosen, progress, deadline)
    with step("restart"):
        upkeep.begin(f"stopping {_listed(chosen)}")
        nodes.stop(list(reversed(chosen)))
        upkeep.begin(f"starting {_listed(chosen)}")
        nodes.start(chosen)
        with upkeep:
            await_all_healthy(layout, nodes, chosen, upkeep)


def renew(folder: Path, validity: timedelta, progress: Progress, deadline: float) -> None:
    """Renew the nodes' certificates and start them anew, one at a time, so that the network goes on serving."""
    layout = plan(read_network(folder), folder)
    with step("certificates"):
        progress("certificates")
        renew_certificates(layout, validity)
    names = [one.name for one in layout.our_orderers] + [one.name for one in layout.our_peers]
    for name in names:
        restart(folder, [name], progress, deadline)


def add_organisation(
    one: OrganisationSpec, folder: Path, confirm: Confirm, progress: Progress, timeout_s: float
) -> NetworkStatus:
    """Make an organisation a member of the running channel, with a peer and a chaincode service of its own."""
    deadline = time.monotonic() + timeout_s
    spec = read_network(folder)
    if set(one.roles) & {Role.TREASURY, Role.VERIFIER}:
        raise SpecError(
            f"{one.name!r} is to be {', '.join(one.roles)}; an organisation added later is an owner's or "
            "miners', since the verifiers' quorum is fixed when the ledger is initialised"
        )
    if one.name not in {known.name for known in spec.organisations}:
        wanted = with_organisation(spec, one)
        before = plan(spec, folder)
        layout = plan(choose_ports(wanted, spec), folder)
        nodes_of(layout).check()
        with step("identities"):
            progress("identities")
            write_identities(layout)
        with step("channel"):
            progress("asking the members")
            with Upkeep(nodes_of(before), before.nodes(), progress, deadline) as upkeep:
                _admit(before, layout, one, upkeep)
        write_whole(folder / "network.yaml", dump_spec(layout.spec))
    return bring_up(None, folder, confirm, progress, deadline - time.monotonic())


def with_organisation(spec: NetworkSpec, one: OrganisationSpec) -> NetworkSpec:
    """The description with one organisation more, checked as a whole."""
    larger = spec.model_copy(update={"organisations": (*spec.organisations, one)})
    return parse_spec(dump_spec(larger), f"the network with {one.name!r}")


def upgrade(
    version: str, image: str, folder: Path, confirm: Confirm, progress: Progress, timeout_s: float
) -> NetworkStatus:
    """Give the chaincode another version (and image, unless it is empty), at the next sequence."""
    spec = read_network(folder)
    if spec.fabric is None:
        raise FabricError(f"the network in {folder} has no Fabric nodes")
    images = spec.fabric.images.model_copy(update={"chaincode": image} if image else {})
    chaincode = spec.chaincode.model_copy(
        update={"version": version, "sequence": spec.chaincode.sequence + 1}
    )
    fabric = spec.fabric.model_copy(update={"images": images})
    wanted = spec.model_copy(update={"chaincode": chaincode, "fabric": fabric})
    return bring_up(wanted, folder, confirm, progress, timeout_s)


def check_names(layout: Layout, names: Sequence[str]) -> list[str]:
    """The nodes of these names in the order they are started; all of them if none is named."""
    for name in names:
        if name not in layout.nodes():
            raise FabricError(f"there is no node {name!r}; there are {', '.join(layout.nodes())}")
    return [name for name in layout.nodes() if not names or name in names]


def _admit(before: Layout, after: Layout, one: OrganisationSpec, upkeep: Upkeep) -> None:
    """Add the organisation to the channel, unless it is a member already."""
    channel = before.spec.channel
    first = before.our_peers[0]

    def ask() -> None:
        config = channel_config(target(before, first), admin(before, first), channel)
        if one.msp_id not in members(config):
            group = member_group(after, after.peer_of(one.name))
            update = addition(config, channel, one.msp_id, group, agreements(after))
            submit(update, [admin(before, peer) for peer in before.our_peers], orderer_targets(before))

    persist(ask, upkeep)
    known = {peer.name: (target(before, peer), admin(before, peer)) for peer in before.our_peers}
    await_member(known, channel, one.msp_id, upkeep)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} nodes"
