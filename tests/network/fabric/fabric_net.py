"""A network of Fabric nodes for tests, driven by the command line's functions as a user drives it."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quorumlearn.cli import run
from quorumlearn_network.fabric import nodes_of, plan
from quorumlearn_network.up import read_network

DESCRIPTION = """\
name: tested
chaincode: {quorum: 2}
fabric: {runtime: native, orderers: 3}
organisations:
- name: treasury
  msp_id: TreasuryMSP
  roles: [treasury]
  users: [{name: admin, admin: true}, {name: treasury, role: treasury}]
- {name: owner, msp_id: OwnerMSP, roles: [owner], users: [{name: owner, role: owner}]}
- {name: verifier1, msp_id: Verifier1MSP, roles: [verifier], users: [{name: verifier, role: verifier}]}
- {name: verifier2, msp_id: Verifier2MSP, roles: [verifier], users: [{name: verifier, role: verifier}]}
- {name: verifier3, msp_id: Verifier3MSP, roles: [verifier], users: [{name: verifier, role: verifier}]}
"""


@dataclass
class FabricNet:
    """One network in one folder."""

    folder: Path
    description: str

    @property
    def network(self) -> Path:
        return self.folder / "network"

    @property
    def file(self) -> Path:
        return self.folder / "description.yaml"

    def cli(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command on this network."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([*arguments, "--folder", str(self.network)])
        return code, out.getvalue(), err.getvalue()

    def done(self, *arguments: str) -> dict[str, Any]:
        """The JSON object of a command that must succeed."""
        code, out, err = self.cli(*arguments, "--json")
        assert code == 0, err
        fields = json.loads(out)
        assert isinstance(fields, dict)
        return fields

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """A command on this network in a process of its own, its standard error to be read."""
        command = [sys.executable, "-m", "quorumlearn.cli", *arguments, "--folder", str(self.network)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def up_arguments(self) -> tuple[str, ...]:
        """What brings it up from its description."""
        self.file.write_text(self.description, encoding="utf-8")
        return "network", "up", "--spec", str(self.file)

    def up(self) -> dict[str, Any]:
        return self.done(*self.up_arguments())

    def orderers(self) -> dict[str, dict[str, Any]]:
        """What status says of each orderer."""
        nodes = self.done("network", "status")["fabric"]["nodes"]
        return {one["name"]: one for one in nodes if one["leader"] is not None}

    def leaders(self) -> list[str]:
        return [name for name, one in self.orderers().items() if one["leader"]]

    def kill(self, name: str) -> None:
        """kill -9."""
        nodes_of(plan(read_network(self.network), self.network)).kill(name)

    def pids(self) -> dict[str, int]:
        return nodes_of(plan(read_network(self.network), self.network)).running()

    def close(self) -> None:
        code, _, err = self.cli("network", "down", "--wipe")
        assert code == 0, err
