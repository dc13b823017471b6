"""How a network is, for people and as JSON."""

from __future__ import annotations

import re
from dataclasses import asdict

from quorumlearn_network.fabric.report import FabricReport, report
from quorumlearn_network.folder import NetworkStatus
from quorumlearn_network.processes import last_word
from quorumlearn_network.spec import OrganisationSpec
from quorumlearn_network.up import node_log
from quorumlearn_network.upkeep import LOG_LINES
from rich.console import Console
from rich.text import Text

from quorumlearn.cli.access import open_gateway
from quorumlearn.cli.terminal import Exit, Failure, print_json, print_table, print_text, printable
from quorumlearn.gateway import GatewayError

_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")


def show(result: NetworkStatus, as_json: bool) -> None:
    """Print it; Failure if not all of it runs."""
    height = _height(result) if result.running else None
    nodes = report(result.folder) if result.spec.fabric is not None else None
    if as_json:
        print_json(_fields(result, height, nodes))
    else:
        _tables(result, height, nodes)
    if not result.running:
        raise Failure(
            f"not all of it runs; {_stopped(result)}; `quorumlearn network up --folder {result.folder}` starts it",
            Exit.UNREACHABLE,
        )


def print_coloured(line: str) -> None:
    """A line of a log for people, in its own colours on a terminal and without them elsewhere."""
    parts = _COLOUR.split(line)
    safe = "".join(part if _COLOUR.fullmatch(part) else printable(part) for part in parts)
    Console(highlight=False).print(Text.from_ansi(safe), soft_wrap=True)


def _stopped(result: NetworkStatus) -> str:
    """What the first process that does not run has said last."""
    name = next(one.name for one in result.processes if one.pid is None)
    said = last_word(node_log(result.folder, name, LOG_LINES)) or "nothing"
    return f"{name} is stopped, and last said: {said}"


def _fields(result: NetworkStatus, height: int | None, nodes: FabricReport | None) -> dict[str, object]:
    spec = result.spec
    fields: dict[str, object] = {
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
                "metrics": _metrics(one),
                "users": [user.name for user in one.users],
            }
            for one in spec.organisations
        ],
        "processes": [
            {"name": one.name, "pid": one.pid, "addresses": list(one.addresses), "log": str(one.log)}
            for one in result.processes
        ],
    }
    if nodes is not None and spec.fabric is not None:
        fields["fabric"] = {
            "runtime": spec.fabric.runtime,
            "consensus": spec.fabric.consensus,
            "nodes": [asdict(one) for one in nodes.nodes],
            "definition": asdict(nodes.chaincode) if nodes.chaincode is not None else None,
        }
    return fields


def _tables(result: NetworkStatus, height: int | None, nodes: FabricReport | None) -> None:
    spec = result.spec
    print_table(
        ("organisation", "MSP", "roles", "peer", "metrics", "users"),
        [
            (
                one.name,
                one.msp_id,
                ", ".join(one.roles),
                one.peer.address,
                _metrics(one) or "-",
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
    if nodes is None:
        return
    print_text("")
    print_table(
        ("node", "height", "", "version", "metrics"),
        [
            (
                one.name,
                "-" if one.height is None else one.height,
                "leader" if one.leader else "",
                one.version or "-",
                one.metrics,
            )
            for one in nodes.nodes
        ],
    )
    orderers = [one for one in nodes.nodes if one.leader is not None]
    if orderers and not any(one.leader for one in orderers):
        print_text("\nthe orderers have not agreed on a leader yet")
    if nodes.chaincode is not None:
        known = nodes.chaincode
        print_text(
            f"\nchaincode {known.name} {known.version}, sequence {known.sequence}, endorsed by {known.policy}; "
            f"approved by {', '.join(known.approvals)}"
        )


def _metrics(one: OrganisationSpec) -> str | None:
    """Where its peer's metrics are, if that is known: with several hosts only their own know."""
    return f"http://{one.peer.operations_address}/metrics" if one.peer.operations_port else None


def _height(result: NetworkStatus) -> int | None:
    if not result.spec.ours:
        return None
    try:
        with open_gateway(result.folder) as gateway:
            return int(gateway.network(result.spec.channel).chain_info().height)
    except GatewayError as error:
        if error.unreachable:
            return None
        raise
