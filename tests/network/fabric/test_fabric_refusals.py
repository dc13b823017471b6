"""What is not here is said in one sentence, before anything is half up."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from quorumlearn_network.fabric import lifecycle, native, transactions, up
from quorumlearn_network.fabric.errors import DisagreementError
from quorumlearn_network.fabric.layout import plan
from quorumlearn_network.folder import UpError, step
from quorumlearn_network.ports import choose_ports
from quorumlearn_network.spec import dump_spec, parse_spec
from quorumlearn_network.upkeep import Upkeep

from tests.network.fabric.fabric_net import DESCRIPTION, FabricNet

ORGANISATIONS = ("treasury", "owner", "verifier1", "verifier2", "verifier3")
STOPPED = """\
#!/bin/sh
echo 'Cannot connect to the Docker daemon. Is the docker daemon running?' >&2
case "$1" in
compose) exit 0;;
info) echo 'template: :1:2: executing "" at <.ServerVersion>: reflect: indirection through nil pointer' >&2;;
esac
exit 1
"""
"""Docker's client without its engine."""
SCRIPT = f"#!{sys.executable}\nimport time\ntime.sleep(600)\n"


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def refused(net: FabricNet) -> str:
    """The one sentence with which `up` fails; nothing is left of it but description and run folder."""
    net.file.write_text(net.description, encoding="utf-8")
    code, out, err = net.cli("network", "up", "--spec", str(net.file), "--timeout", "5")
    assert code == 1 and not out
    assert not (net.network / "ledger").exists() and not (net.network / "organisations").exists()
    last: str = err.strip().splitlines()[-1]
    assert last.startswith("error: check: ")
    return last


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FabricNet:
    """A network on a machine with none of what it needs."""
    monkeypatch.setenv(native.BINARIES, str(tmp_path / "bin"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    (tmp_path / "path").mkdir()
    return FabricNet(tmp_path, DESCRIPTION)


def test_missing_executables(net: FabricNet) -> None:
    assert "no executable 'peer' in" in refused(net)
    program(net.folder / "bin", "peer", SCRIPT)
    assert "no executable 'orderer'" in refused(net)


def test_a_taken_port(net: FabricNet) -> None:
    for name in ("peer", "orderer"):
        program(net.folder / "bin", name, SCRIPT)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        net.description = DESCRIPTION.replace("orderers: 3", f"orderers: [{{admin_port: {port}}}]")
        assert f"127.0.0.1:{port} cannot be listened on" in refused(net)


def test_no_docker_and_no_compose(net: FabricNet) -> None:
    net.description = DESCRIPTION.replace("native", "containers")
    assert "there is no `docker` here" in refused(net)
    program(net.folder / "path", "docker", "#!/bin/sh\nexit 1\n")
    assert "Docker is here without compose" in refused(net)
    program(net.folder / "path", "docker-compose", "#!/bin/sh\nexit 0\n")
    program(net.folder / "path", "docker", STOPPED)
    assert (
        "the Docker engine does not answer (Cannot connect to the Docker daemon. Is the docker daemon running?); "
        "start it, or use --native" in refused(net)
    )


def test_status_says_that_the_docker_engine_has_stopped(net: FabricNet) -> None:
    net.network.mkdir()
    spec = choose_ports(parse_spec(DESCRIPTION.replace("native", "containers"), "x"), None)
    (net.network / "network.yaml").write_text(dump_spec(spec), encoding="utf-8")
    code, _, err = net.cli("network", "status")
    assert (code, err) == (
        1,
        "error: there is no `docker` here; install Docker, or use --native with Fabric's executables\n",
    )
    program(net.folder / "path", "docker", STOPPED)
    code, _, err = net.cli("network", "status")
    assert code == 1 and "the Docker engine does not answer (Cannot connect" in err


def test_a_missing_image(net: FabricNet) -> None:
    net.description = DESCRIPTION.replace("native", "containers")
    says = '#!/bin/sh\ncase "$1" in\ncompose|ps) exit 0;;\n*) echo "no such host" >&2; exit 1;;\nesac\n'
    program(net.folder / "path", "docker", says)
    said = refused(net)
    assert "the image hyperledger/fabric-peer:3.1 is not here and cannot be pulled (no such host)" in said
    assert "docker pull hyperledger/fabric-peer:3.1" in said


def test_a_full_disk(net: FabricNet, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        total: int
        used: int
        free: int

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 40, 1 << 40, 3 << 20))
    assert "has 3 MiB left on its disk" in refused(net)


def test_a_disk_that_fills_up_on_the_way_is_named_with_its_step() -> None:
    with pytest.raises(UpError, match="settings: the disk is full"), step("settings"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(PermissionError), step("settings"):
        raise PermissionError


def test_a_node_that_ends_while_starting_is_named_with_its_last_words(net: FabricNet) -> None:
    program(net.folder / "bin", "orderer", "#!/bin/sh\necho 'panic: no genesis' >&2\nexit 2\n")
    program(net.folder / "bin", "peer", SCRIPT)
    net.file.write_text(DESCRIPTION, encoding="utf-8")
    code, _, err = net.cli("network", "up", "--spec", str(net.file), "--timeout", "30")
    assert code == 1
    assert "orderer0.orderer has ended 4 times" in err and "panic: no genesis" in err
    left = sorted(f"{kind}.{one}" for kind in ("peer0", "chaincode") for one in ORGANISATIONS)
    assert sorted(net.pids()) == left
    net.done("network", "down")
    assert net.pids() == {}


def test_peers_that_disagree_while_one_is_behind_are_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines that commit the chaincode at the same time: for a moment one peer knows more than another."""
    asked: list[str] = []

    def committed(*_: object) -> lifecycle.Definition:
        asked.append("committed")
        if len(asked) < 3:
            raise DisagreementError("peer0.b and peer0.a disagree")
        return lifecycle.Definition(layout.spec.chaincode.sequence, "", b"", ())

    layout = plan(choose_ports(parse_spec(DESCRIPTION, "x"), None), tmp_path)
    for name in ("install", "approve"):
        monkeypatch.setattr(lifecycle, name, lambda *_: True)
    monkeypatch.setattr(up, "admin", lambda *_: None)
    monkeypatch.setattr(lifecycle, "committed", committed)
    nodes = SimpleNamespace(stale=list, running=dict)
    upkeep = Upkeep(nodes, [], lambda _: None, time.monotonic() + 60)
    up.deploy(layout, nodes, upkeep)
    assert asked == ["committed"] * 4, "twice in vain, and then before and after its commit"


def test_endorsements_of_different_results_are_a_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    results = iter((b"one", b"other"))
    monkeypatch.setattr(
        transactions, "endorsed", lambda peer, proposal: SimpleNamespace(payload=next(results))
    )
    peers = [SimpleNamespace(name=f"peer{i}") for i in range(2)]
    with pytest.raises(DisagreementError, match="peer1 and peer0 disagree about CommitChaincodeDefinition"):
        transactions.transact(
            peers,  # type: ignore[arg-type]
            [],
            None,  # type: ignore[arg-type]
            SimpleNamespace(asked="CommitChaincodeDefinition"),  # type: ignore[arg-type]
        )
