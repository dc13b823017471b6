"""One network on several machines, each with a folder of its own and only its organisations' keys."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from quorumlearn_network.ports import choose_ports
from quorumlearn_network.spec import dump_spec, parse_spec

from tests.network.fabric.fabric_net import DESCRIPTION, FabricNet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HOSTS = {
    "ordering": ("orderer",),
    "first": ("treasury", "owner", "verifier1"),
    "second": ("verifier2", "verifier3"),
}


def command(net: FabricNet, hosted: tuple[str, ...]) -> list[str]:
    """`network up` of one machine, native."""
    here = [word for name in hosted for word in ("--here", name)]
    program = [
        sys.executable,
        "-m",
        "quorumlearn.cli",
        "network",
        "up",
        "--fabric",
        str(net.file),
        "--native",
    ]
    return [*program, *here, "--folder", str(net.network), "--json", "--timeout", "120"]


def hand_over(what: str, source: FabricNet, to: FabricNet) -> None:
    """Copy a file or folder of a network, as one administrator sends it to another."""
    if (source.network / what).is_dir():
        shutil.copytree(source.network / what, to.network / what)
    else:
        shutil.copy(source.network / what, to.network / what)


def test_each_machine_brings_up_its_own_and_waits_for_the_others(executables: None, tmp_path: Path) -> None:
    spec = choose_ports(parse_spec(DESCRIPTION, "x"), None)  # one description with every port named
    nets = {name: FabricNet(tmp_path / name, dump_spec(spec)) for name in HOSTS}
    try:
        for name, net in nets.items():
            net.folder.mkdir()
            net.file.write_text(net.description, encoding="utf-8")
            first = subprocess.run(command(net, HOSTS[name]), capture_output=True, text=True, check=False)
            assert first.returncode == 1
            assert "members: " in first.stderr and "copy it here, and repeat" in first.stderr
            assert net.pids() == {}
        for name, net in nets.items():
            for other, source in nets.items():
                for organisation in HOSTS[other] if other != name else ():
                    hand_over(f"organisations/{organisation}/msp", source, net)
        waits = subprocess.run(
            command(nets["first"], HOSTS["first"]), capture_output=True, text=True, check=False
        )
        assert waits.returncode == 1 and "the orderers' host makes it" in waits.stderr
        up = subprocess.run(
            command(nets["ordering"], HOSTS["ordering"]), capture_output=True, text=True, check=False
        )
        assert up.returncode == 0, up.stderr
        for name in ("first", "second"):
            hand_over("channel.block", nets["ordering"], nets[name])
        running = {
            name: subprocess.Popen(
                command(nets[name], HOSTS[name]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for name in ("first", "second")
        }
        said = {name: process.communicate(timeout=200) for name, process in running.items()}
        errors = {name: said[name][1] for name, process in running.items() if process.returncode}
        assert not errors, "\n".join(f"{name}: {error}" for name, error in errors.items())
        for name, (out, _) in said.items():
            fields = json.loads(out)
            assert {one["name"] for one in fields["processes"]} == {
                kind.format(organisation)
                for organisation in HOSTS[name]
                for kind in ("peer0.{}", "chaincode.{}")
            }
            assert len(fields["fabric"]["definition"]["approvals"]) > len(spec.organisations) // 2
        for name, net in nets.items():
            others = {one for other in HOSTS if other != name for one in HOSTS[other]}
            for organisation in others:
                assert not list((net.network / "organisations" / organisation).rglob("*key*"))
        nets["first"].done("token", "mint", "OwnerMSP/owner=5", "--as", "treasury/treasury")
        seen = nets["second"].done("ledger", "account", "OwnerMSP/owner", "--as", "verifier2/verifier")
        assert seen["balance"] == 5
    finally:
        for net in reversed(nets.values()):
            if (net.network / "network.yaml").exists():
                net.close()
