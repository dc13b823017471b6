"""Fabric's nodes as containers: one compose file, written so that a person can read it, and the engine that runs it.

Rules:
- `docker compose` is used, or `docker-compose` where there is only that;
- containers run as the user who starts them, so that ledgers and keys stay that user's; a rootless engine maps its
  own root to that user;
- nothing but ledgers is written by containers; keys and settings are mounted read-only;
- ports of one machine's network are published on that machine only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import yaml

from quorumlearn_network.agreement import CONFIG_DIGEST, config_digest
from quorumlearn_network.ccaas_builder import ENVIRONMENT
from quorumlearn_network.fabric.errors import FabricError, MissingError
from quorumlearn_network.fabric.layout import (
    ADMIN_PORT,
    CHAINCODE_PORT,
    OPERATIONS_PORT,
    ORDERER_PORT,
    PEER_PORT,
    Layout,
    OrdererNode,
    PeerNode,
    is_loopback,
    split,
)
from quorumlearn_network.fabric.settings import DIRECT, log_form
from quorumlearn_network.package import package_id
from quorumlearn_network.ports import check_free
from quorumlearn_network.profiles import write_whole

_HEADER = """\
# Written by `quorumlearn network up` from network.yaml; a change made here is lost.
# {name}: {orderers} orderers ({consensus}), {peers} organisations with a peer and a chaincode service each.
# By hand: {engine} -p {project} -f compose.yaml ps
"""
_DOCKERFILE = Path(__file__).resolve().parents[3] / "chaincode" / "Dockerfile"


class ContainerNodes:
    """The nodes of a layout as containers of one compose project."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def check(self) -> None:
        """MissingError for an engine or image, PortError for a port, before anything is started.

        Official images that are not here are pulled; the chaincode's is built if this is a checkout.
        """
        _compose()
        _listed("status=running")
        images = self._layout.fabric.images
        for image in (images.peer, images.orderer):
            if not _has(image):
                pulled = _run(["docker", "pull", "--quiet", image])
                if pulled.returncode:
                    raise MissingError(
                        f"the image {image} is not here and cannot be pulled ({_last(pulled.stderr)}); "
                        f"`docker pull {image}`, or name another in fabric.images"
                    )
        if not _has(images.chaincode):
            self._build(images.chaincode)
        running = self.running()
        check_free(
            (host or "0.0.0.0", port)
            for name in self._layout.nodes()
            if name not in running
            for host, port, _ in self._published(name)
        )

    def running(self) -> dict[str, int]:
        """The process id, on the engine's machine, of each node that runs."""
        return {name: pid for name, (pid, _) in self._containers().items()}

    def stale(self) -> list[str]:
        """The chaincode services that run an earlier version."""
        wanted = f"CHAINCODE_ID={package_id(self._layout.spec.chaincode)}"
        services = {peer.service for peer in self._layout.our_peers}
        found = self._containers().items()
        return [name for name, (_, given) in found if name in services and wanted not in given]

    def _containers(self) -> dict[str, tuple[int, list[str]]]:
        """Process id and environment of each container of this network that runs, by node."""
        identifiers = _listed(f"label=com.docker.compose.project={self._layout.project}")
        if not identifiers:
            return {}
        inspected = _run(["docker", "inspect", *identifiers])
        found: dict[str, tuple[int, list[str]]] = {}
        for one in json.loads(inspected.stdout or "[]"):
            name = one["Config"]["Labels"].get("com.docker.compose.service", "")
            if one["State"]["Running"] and name in self._layout.nodes():
                found[name] = (int(one["State"]["Pid"]), one["Config"]["Env"] or [])
        return found

    def start(self, names: Sequence[str]) -> None:
        """Start these nodes; FabricError with what the engine said."""
        write_whole(self._layout.compose, render_compose(self._layout))
        if names:
            self._engine("up", "--detach", "--no-build", "--no-recreate", *names)

    def stop(self, names: Sequence[str]) -> bool:
        """Stop and remove these nodes' containers; False if none ran."""
        if not self._layout.compose.exists() or not names:
            return False
        ran = bool(set(names) & set(self.running()))
        if set(names) == set(self._layout.nodes()):
            self._engine("down", "--timeout", "10", "--remove-orphans")
        else:
            self._engine("rm", "--force", "--stop", *names)
        return ran

    def kill(self, name: str) -> None:
        """kill -9."""
        self._engine("kill", "--signal", "SIGKILL", name)

    def tail(self, name: str, lines: int) -> list[str]:
        """The last lines a node has written."""
        done = _run([*self._command(), "logs", "--no-color", "--tail", str(lines), name])
        return done.stdout.splitlines()[-lines:]

    def forget(self) -> None:
        """Nothing is left but what was mounted."""

    def where(self, name: str) -> str:
        return f"{' '.join(self._command())} logs {name}"

    def _engine(self, *arguments: str) -> None:
        done = _run([*self._command(), *arguments])
        if done.returncode:
            raise FabricError(f"{' '.join(_compose())} {arguments[0]} failed: {_last(done.stderr)}")

    def _command(self) -> list[str]:
        return [*_compose(), "-p", self._layout.project, "-f", str(self._layout.compose)]

    def _build(self, image: str) -> None:
        command = f"docker build -f chaincode/Dockerfile -t {image} ."
        if not _DOCKERFILE.exists():
            raise MissingError(f"the image {image} is not here; `{command}` in a checkout makes it")
        root = _DOCKERFILE.parent.parent
        built = _run(["docker", "build", "--quiet", "-f", str(_DOCKERFILE), "-t", image, str(root)])
        if built.returncode:
            raise MissingError(f"the image {image} cannot be built ({_last(built.stderr)}): `{command}`")

    def _published(self, name: str) -> list[tuple[str, int, int]]:
        """(host, port there, port inside) of what a node publishes; host `""` is every address."""
        for node in self._layout.our_orderers:
            if node.name == name:
                return _orderer_ports(node)
        for peer in self._layout.our_peers:
            if peer.name == name:
                return _peer_ports(peer)
        return []


def render_compose(layout: Layout) -> str:
    """The compose file of a layout's nodes."""
    user, form = _user(), log_form(layout.spec)
    services: dict[str, object] = {}
    for node in layout.our_orderers:
        services[node.name] = {
            **_common(layout, node.name, layout.fabric.images.orderer, user),
            "command": ["orderer", "start"],
            "environment": {"FABRIC_CFG_PATH": "/etc/hyperledger/fabric", **DIRECT, **form},
            "volumes": _volumes(layout, node.name, node.identity),
            "ports": _ports(_orderer_ports(node)),
        }
    for peer in layout.our_peers:
        services[peer.name] = {
            **_common(layout, peer.name, layout.fabric.images.peer, user),
            "command": ["peer", "node", "start"],
            "environment": {
                "FABRIC_CFG_PATH": "/etc/hyperledger/fabric",
                **DIRECT,
                **form,
                ENVIRONMENT: json.dumps({"ccaddr": peer.chaincode_reached}),
            },
            "volumes": _volumes(layout, peer.name, peer.identity),
            "ports": _ports(_peer_ports(peer)),
        }
    for peer in layout.our_peers:
        services[peer.service] = {
            **_common(layout, peer.service, layout.fabric.images.chaincode, user),
            "environment": {
                "CHAINCODE_ID": package_id(layout.spec.chaincode),
                CONFIG_DIGEST: config_digest(layout.spec),
                **form,
                "CHAINCODE_SERVER_ADDRESS": f"0.0.0.0:{CHAINCODE_PORT}",
            },
        }
    header = _HEADER.format(
        name=layout.spec.name,
        orderers=len(layout.our_orderers),
        consensus=layout.fabric.consensus,
        peers=len(layout.our_peers),
        engine="docker compose",
        project=layout.project,
    )
    return header + yaml.safe_dump({"services": services}, sort_keys=False, width=200)


def _common(layout: Layout, name: str, image: str, user: str) -> dict[str, object]:
    return {"image": image, "hostname": name, "user": user, "restart": "unless-stopped"}


def _volumes(layout: Layout, name: str, identity: Path) -> list[str]:
    files = layout.files(name, identity)
    here = layout.folder
    return [
        f"./{layout.settings(name).relative_to(here)}:/etc/hyperledger/fabric:ro",
        f"./{identity.relative_to(here)}:{files.identity}:ro",
        f"./{layout.ledger(name).relative_to(here)}:{files.ledger}",
    ]


def _orderer_ports(node: OrdererNode) -> list[tuple[str, int, int]]:
    host, port = split(node.published)
    return [
        (host if is_loopback(host) else "", port, ORDERER_PORT),
        (*split(node.admin), ADMIN_PORT),
        (*split(node.operations), OPERATIONS_PORT),
    ]


def _peer_ports(peer: PeerNode) -> list[tuple[str, int, int]]:
    host, port = split(peer.published)
    return [
        (host if is_loopback(host) else "", port, PEER_PORT),
        (*split(peer.operations), OPERATIONS_PORT),
    ]


def _ports(published: list[tuple[str, int, int]]) -> list[str]:
    return [f"{host}:{port}:{inside}" if host else f"{port}:{inside}" for host, port, inside in published]


def _user() -> str:
    options = _run(["docker", "info", "--format", "{{.SecurityOptions}}"]).stdout
    return "0:0" if "rootless" in options else f"{os.getuid()}:{os.getgid()}"


def _listed(which: str) -> list[str]:
    """The ids of the running containers that pass a filter; MissingError if there is no engine to ask."""
    _check_docker()
    listed = _run(["docker", "ps", "--quiet", "--no-trunc", "--filter", which])
    if listed.returncode:
        raise MissingError(
            f"the Docker engine does not answer ({_last(listed.stderr)}); start it, or use --native"
        )
    return listed.stdout.split()


def _check_docker() -> None:
    if shutil.which("docker") is None:
        raise MissingError(
            "there is no `docker` here; install Docker, or use --native with Fabric's executables"
        )


def _compose() -> list[str]:
    """The command that runs compose files here."""
    _check_docker()
    if _run(["docker", "compose", "version"]).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose") is not None:
        return ["docker-compose"]
    raise MissingError("Docker is here without compose; install its compose plugin or `docker-compose`")


def _has(image: str) -> bool:
    return _run(["docker", "image", "inspect", image]).returncode == 0


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
