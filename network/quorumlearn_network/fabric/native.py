"""Fabric's nodes as processes of this machine: the executables `peer` and `orderer`, and Python for the chaincode.

The executables are looked for in the folder QUORUMLEARN_FABRIC_BIN, then on the PATH. What a node says goes to
`logs/<node>.log`.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from quorumlearn_network import ccaas_builder
from quorumlearn_network.agreement import CONFIG_DIGEST, config_digest
from quorumlearn_network.ccaas_builder import ENVIRONMENT
from quorumlearn_network.fabric.errors import FabricError, MissingError
from quorumlearn_network.fabric.layout import Layout, split
from quorumlearn_network.fabric.settings import DIRECT, log_form
from quorumlearn_network.folder import UpError
from quorumlearn_network.package import package_id
from quorumlearn_network.ports import check_free
from quorumlearn_network.processes import Detached, stop_all
from quorumlearn_network.profiles import write_whole

BINARIES = "QUORUMLEARN_FABRIC_BIN"
_BUILDS = "externalbuilder"


def find_executable(name: str) -> Path | None:
    """The executable `peer` or `orderer` of this machine, or None."""
    folder = os.environ.get(BINARIES, "")
    found = shutil.which(name, path=folder) if folder else shutil.which(name)
    return Path(found).resolve() if found else None


def write_builder(folder: Path) -> None:
    """Write the chaincode builder's programs `bin/detect`, `bin/build` and `bin/release` below `folder`.

    Those that are right are left alone, for peers that run may be starting them: Linux starts no file that is open for writing,
    and a peer remembers that a build failed.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    python, module = (
        str(path).replace("'", "'\\''") for path in (sys.executable, Path(ccaas_builder.__file__).resolve())
    )
    for name in ("detect", "build", "release"):
        text = f"#!/bin/sh\nexec '{python}' -I '{module}' {name} \"$@\"\n"
        write_whole(programs / name, text, stat.S_IRWXU)


class NativeNodes:
    """The nodes of a layout as detached processes."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._peers = {one.name: one for one in layout.our_peers}
        self._services = {one.service: one for one in layout.our_peers}
        self._orderers = {one.name: one for one in layout.our_orderers}

    def check(self) -> None:
        """MissingError, or PortError for a port of a node that does not run, before anything is started."""
        for name in ("peer", "orderer"):
            _executable(name)
        running = self.running()
        check_free(
            split(address)
            for node in self._layout.nodes()
            if node not in running
            for address in self._listens(node)
        )

    def running(self) -> dict[str, int]:
        """The process id of each node that runs."""
        found = {name: self._process(name).pid() for name in self._layout.nodes()}
        return {name: pid for name, pid in found.items() if pid is not None}

    def stale(self) -> list[str]:
        """The chaincode services that run an earlier version."""
        wanted = package_id(self._layout.spec.chaincode)
        found = {name: pid for name, pid in self.running().items() if name in self._services}
        return [name for name, pid in found.items() if _environment(pid).get("CHAINCODE_ID") != wanted]

    def start(self, names: Sequence[str]) -> None:
        """Start these nodes; the first that cannot be is an UpError that names it."""
        if any(name in self._peers for name in names):
            write_builder(self._layout.settings("ccaas"))
        for name in names:
            try:
                command, environment = self._command(name)
                self._process(name).start(command, environment)
            except FabricError as error:
                raise UpError(name, str(error)) from error

    def stop(self, names: Sequence[str]) -> bool:
        """Stop these nodes; False if none ran."""
        return stop_all([self._process(name) for name in names])

    def kill(self, name: str) -> None:
        """kill -9."""
        self._process(name).kill()

    def tail(self, name: str, lines: int) -> list[str]:
        """The last lines a node has written."""
        return self._process(name).tail(lines)

    def forget(self) -> None:
        """Remove what only processes leave."""
        for name in ("run", "logs"):
            shutil.rmtree(self._layout.folder / name, ignore_errors=True)

    def where(self, name: str) -> str:
        return str(self._process(name).log)

    def _process(self, name: str) -> Detached:
        return Detached(self._layout.folder, name)

    def _listens(self, name: str) -> tuple[str, ...]:
        if name in self._orderers:
            node = self._orderers[name]
            return node.listens, node.admin_listens, node.operations_listens
        if name in self._peers:
            peer = self._peers[name]
            return peer.listens, peer.operations_listens
        return (self._services[name].chaincode_listens,)

    def _command(self, name: str) -> tuple[list[str], Mapping[str, str]]:
        settings = {
            "FABRIC_CFG_PATH": str(self._layout.settings(name)),
            **DIRECT,
            **log_form(self._layout.spec),
        }
        if name in self._orderers:
            return [str(_executable("orderer")), "start"], settings
        if name in self._peers:
            # Built packages hold the service's address as it was; the peer builds them again when it starts.
            shutil.rmtree(self._layout.ledger(name) / _BUILDS, ignore_errors=True)
            address = self._peers[name].chaincode_reached
            return [str(_executable("peer")), "node", "start"], {
                **settings,
                ENVIRONMENT: json.dumps({"ccaddr": address}),
            }
        chaincode = self._layout.spec.chaincode
        return [sys.executable, "-m", chaincode.module], {
            "CHAINCODE_SERVER_ADDRESS": self._services[name].chaincode_listens,
            "CHAINCODE_ID": package_id(chaincode),
            CONFIG_DIGEST: config_digest(self._layout.spec),
            **log_form(self._layout.spec),
        }


def _executable(name: str) -> Path:
    found = find_executable(name)
    if found is None:
        where = os.environ.get(BINARIES, "")
        raise MissingError(
            f"no executable {name!r} {f'in {where} ({BINARIES})' if where else 'on the PATH'}; install "
            "Hyperledger Fabric 3.1, or leave --native out to use containers"
        )
    return found


def _environment(pid: int) -> Mapping[str, str]:
    try:
        return psutil.Process(pid).environ()
    except psutil.Error:
        return {}
