"""Ports: choosing free ones for the zeros of a spec, and telling early that one is taken."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Iterable

from quorumlearn_network.errors import NetworkError
from quorumlearn_network.spec import (
    FabricSpec,
    NetworkSpec,
    OrdererNodeSpec,
    OrganisationSpec,
    PeerSpec,
    join_address,
)

OWN_PORTS = range(
    20_000, 32_000
)  # Linux gives 32768 and above to outgoing connections, others 49152 and above
TRIES = 200


class PortError(NetworkError):
    """A port that cannot be listened on."""


def choose_ports(spec: NetworkSpec, before: NetworkSpec | None) -> NetworkSpec:
    """`spec` with no port 0 left: what `before` had for the same organisation or orderer, else free ones.

    Organisations of one host whose `chaincode_port` is 0 share one on the devnet; with Fabric each has its own.
    """
    known = {one.name: one.peer for one in before.organisations} if before is not None else {}
    with contextlib.ExitStack() as held:
        shared: dict[str, int] = {}

        def chosen(one: OrganisationSpec) -> PeerSpec:
            peer, old = one.peer, known.get(one.name)
            if old is None or old.host != peer.host:
                old = PeerSpec(host=peer.host)
            port = peer.port or old.port or _free_port(peer.host, held)
            operations = peer.operations_port or old.operations_port or _free_port(peer.host, held)
            chaincode_port = peer.chaincode_port or old.chaincode_port
            if not chaincode_port and spec.fabric is not None:
                chaincode_port = _free_port(peer.host, held)
            elif not chaincode_port:
                if peer.host not in shared:
                    shared[peer.host] = _free_port(peer.host, held)
                chaincode_port = shared[peer.host]
            return PeerSpec(
                host=peer.host, port=port, chaincode_port=chaincode_port, operations_port=operations
            )

        organisations = tuple(one.model_copy(update={"peer": chosen(one)}) for one in spec.organisations)
        fabric = _choose_orderers(spec, before, held)
    return spec.model_copy(update={"organisations": organisations, "fabric": fabric})


def _choose_orderers(
    spec: NetworkSpec, before: NetworkSpec | None, held: contextlib.ExitStack
) -> FabricSpec | None:
    if spec.fabric is None:
        return None
    old = before.fabric.orderers if before is not None and before.fabric is not None else ()

    def chosen(index: int, node: OrdererNodeSpec) -> OrdererNodeSpec:
        known = old[index] if index < len(old) and old[index].host == node.host else node
        return OrdererNodeSpec(
            host=node.host,
            port=node.port or known.port or _free_port(node.host, held),
            admin_port=node.admin_port or known.admin_port or _free_port(node.host, held),
            operations_port=node.operations_port or known.operations_port or _free_port(node.host, held),
        )

    orderers = tuple(chosen(index, node) for index, node in enumerate(spec.fabric.orderers))
    return spec.fabric.model_copy(update={"orderers": orderers})


def check_free(addresses: Iterable[tuple[str, int]]) -> None:
    """PortError for the first address that something listens on already, or that is not this machine's."""
    for host, port in sorted(set(addresses)):
        try:
            _bind(host, port).close()
        except OSError as error:
            raise PortError(
                f"{join_address(host, port)} cannot be listened on ({error.strerror or error}); "
                "stop what uses it or give another port in the network's description"
            ) from error


def _free_port(host: str, held: contextlib.ExitStack) -> int:
    """A port that nobody listens on, below those that the system gives to outgoing connections: one of these could
    take it between now and the start of what is to listen there.
    """
    failure: OSError | None = None
    for port in random.SystemRandom().sample(OWN_PORTS, TRIES):
        try:
            held.enter_context(_bind(host, port, reuse=False))
        except OSError as error:
            failure = error
        else:
            return port
    reason = failure.strerror if failure is not None else "all are taken"
    raise PortError(f"no free port on {host!r}: {reason}")


def _bind(host: str, port: int, reuse: bool = True) -> socket.socket:
    """A socket bound there. With `reuse` a port passes that another such socket holds but does not listen on."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
