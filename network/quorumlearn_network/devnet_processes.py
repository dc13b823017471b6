"""The processes of a devnet: a chaincode service for each address that organisations name, then the devnet itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quorumlearn_network.agreement import CONFIG_DIGEST, config_digest
from quorumlearn_network.folder import ProcessStatus
from quorumlearn_network.package import package_id
from quorumlearn_network.processes import Detached, stop_all
from quorumlearn_network.spec import LOG_FORM, NetworkSpec

DEVNET = "devnet"


@dataclass(frozen=True)
class _Planned:
    process: Detached
    command: tuple[str, ...]
    environment: dict[str, str]
    listens: tuple[tuple[str, int], ...]


class DevnetProcesses:
    """Those of one network's folder, by name, in the order they are started."""

    def __init__(self, spec: NetworkSpec, folder: Path) -> None:
        self._planned = {one.process.name: one for one in _plan(spec, folder)}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._planned)

    def running(self) -> dict[str, int]:
        """The process id of each that runs."""
        found = {name: one.process.pid() for name, one in self._planned.items()}
        return {name: pid for name, pid in found.items() if pid is not None}

    def start(self, names: Sequence[str]) -> None:
        """Start these."""
        for name in names:
            one = self._planned[name]
            one.process.start(one.command, one.environment)

    def ready(self, name: str) -> bool:
        """Whether it runs and serves."""
        return self._planned[name].process.ready()

    def stop(self, names: Sequence[str]) -> bool:
        """Stop these; False if none ran."""
        return stop_all([self._planned[name].process for name in names])

    def listens(self, name: str) -> tuple[tuple[str, int], ...]:
        """The addresses (host, port) at which it serves."""
        return self._planned[name].listens

    def tail(self, name: str, lines: int) -> list[str]:
        """The last lines it has written."""
        return self._planned[name].process.tail(lines)

    def where(self, name: str) -> str:
        """Where its log is."""
        return str(self._planned[name].process.log)

    def statuses(self) -> tuple[ProcessStatus, ...]:
        """How each is."""
        return tuple(
            ProcessStatus(
                name,
                tuple(f"{host}:{port}" for host, port in one.listens),
                one.process.pid(),
                one.process.log,
            )
            for name, one in self._planned.items()
        )


def _plan(spec: NetworkSpec, folder: Path) -> list[_Planned]:
    services: dict[tuple[str, int], str] = {}
    form = {LOG_FORM: spec.logs.value}
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
                {
                    "CHAINCODE_SERVER_ADDRESS": address,
                    "CHAINCODE_ID": package_id(spec.chaincode),
                    CONFIG_DIGEST: config_digest(spec),
                    **form,
                },
                ((host, port),),
            )
        )
    planned.append(
        _Planned(
            Detached(folder, DEVNET),
            (sys.executable, "-m", "quorumlearn_network.devnet", "--config", str(folder / "devnet.json")),
            form,
            tuple(
                (one.peer.host, port)
                for one in spec.organisations
                for port in (one.peer.port, one.peer.operations_port or 0)
            ),
        )
    )
    return planned
