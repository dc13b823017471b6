"""Detached processes and ports: found by more than a number, stopped for certain, taken ports told early."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from quorumlearn_network.package import chaincode_package, package_id
from quorumlearn_network.ports import PortError, check_free, choose_ports
from quorumlearn_network.processes import Detached, ProcessError, last_word, last_words
from quorumlearn_network.spec import ChaincodeSpec, PeerSpec, default_spec

READY = "import time, sys; print('ready', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Detached]:
    made = Detached(tmp_path, "p")
    yield made
    made.stop(1.0)


def start(process: Detached, code: str) -> int:
    process.start((sys.executable, "-c", code), {})
    deadline = time.monotonic() + 20
    while not process.ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pid = process.pid()
    assert pid is not None
    return pid


@pytest.mark.parametrize("code", [READY, STUBBORN])
def test_what_was_started_is_found_and_stopped(tmp_path: Path, process: Detached, code: str) -> None:
    pid = start(process, code)
    assert Detached(tmp_path, "p").pid() == pid
    assert os.getsid(pid) == pid
    assert process.stop(grace_s=0.2 if code == STUBBORN else 10)
    assert process.pid() is None
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert not process.stop()


def test_two_of_one_name_are_refused(process: Detached) -> None:
    start(process, READY)
    with pytest.raises(ProcessError, match="runs already"):
        start(process, READY)


def test_the_number_of_another_program_is_never_signalled(tmp_path: Path, process: Detached) -> None:
    with subprocess.Popen([sys.executable, "-c", f"{READY}  # other"], stdout=subprocess.DEVNULL) as other:
        try:
            start(process, READY)
            record = tmp_path / "run" / "p.json"
            fields = json.loads(record.read_text())
            process.stop()
            created = psutil.Process(other.pid).create_time()
            for lie in (
                {"pid": other.pid},
                {"pid": other.pid, "started": created},
                {"pid": other.pid, "command": other.args, "started": created - 100},
            ):
                record.write_text(json.dumps({**fields, **lie}))
                assert process.pid() is None
                assert not process.stop()
            assert other.poll() is None
        finally:
            other.kill()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "null"])
def test_a_damaged_record_is_no_process(tmp_path: Path, process: Detached, text: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "p.json").write_text(text)
    assert process.pid() is None


UNREAPED = """
import sys, time
from pathlib import Path
from quorumlearn_network.processes import Detached
Detached(Path(sys.argv[1]), "p").start((sys.executable, "-c", sys.argv[2]), {})
print("started", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("code", [READY, STUBBORN])
def test_a_zombie_that_nobody_reaps_has_ended(process: Detached, code: str) -> None:
    """As below a process 1 that does not reap: its parent here never looks at it."""
    command = [sys.executable, "-c", UNREAPED, str(process.folder), code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        try:
            assert parent.stdout is not None and parent.stdout.readline() == "started\n"
            pid = process.pid()
            assert pid is not None
            began = time.monotonic()
            assert process.stop(grace_s=0.5 if code == STUBBORN else 30)
            assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
            assert time.monotonic() - began < 20
            assert process.pid() is None and not process.stop()
        finally:
            parent.kill()


def test_the_last_words_are_the_panic_and_not_its_trace() -> None:
    log = [
        "\x1b[34morderer started\x1b[0m",
        "\x1b[31m2026 PANI [orderer] Could not append block: no space left on device\x1b[0m",
        "panic: Could not append block: no space left on device",
        *(f"goroutine {number} [running]:" for number in range(50)),
    ]
    assert last_words(log)[0] == "panic: Could not append block: no space left on device"
    assert last_words(log[:2]) == ["2026 PANI [orderer] Could not append block: no space left on device"]
    assert last_words(["one", "\x1b[1mtwo\x1b[0m"]) == ["one", "two"]
    assert last_words([]) == []
    assert last_words([*log, "2026-11-30 12:00:00 INFO [orderer] started again"])[-1].endswith(
        "started again"
    )
    assert last_word(log) == last_words(log)[0]
    assert (last_word(["one", "two"]), last_word([])) == ("two", "")


def test_a_command_that_does_not_exist_is_an_error(tmp_path: Path, process: Detached) -> None:
    with pytest.raises(ProcessError, match="cannot be started"):
        process.start((str(tmp_path / "none"),), {})
    assert process.pid() is None


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=rf"127\.0\.0\.1:{port} cannot be listened on"):
            check_free([("127.0.0.1", port)])
    check_free([("127.0.0.1", port)])


def test_zeros_become_free_ports_and_are_kept() -> None:
    first = choose_ports(default_spec(), None)
    ports = [one.peer.port for one in first.organisations]
    shared = {one.peer.chaincode_port for one in first.organisations}
    assert len(shared) == 1
    assert len({*ports, *shared}) == len(ports) + 1
    assert 0 not in {*ports, *shared}
    assert choose_ports(default_spec(), first) == first
    assert choose_ports(first, None) == first


def test_an_own_chaincode_port_stays_its_own() -> None:
    spec = default_spec()
    changed = spec.organisations[0].model_copy(update={"peer": PeerSpec(chaincode_port=9)})
    chosen = choose_ports(spec.model_copy(update={"organisations": (changed, *spec.organisations[1:])}), None)
    assert chosen.organisations[0].peer.chaincode_port == 9
    assert len({one.peer.chaincode_port for one in chosen.organisations}) == 2


def test_the_package_is_the_same_wherever_it_is_made() -> None:
    chaincode = ChaincodeSpec(quorum=2)
    assert chaincode_package(chaincode) == chaincode_package(chaincode)
    label, _, digest = package_id(chaincode).partition(":")
    assert label == "quorumlearn_1.0"
    assert len(digest) == 64
    assert package_id(ChaincodeSpec(quorum=2, version="1.1")) != package_id(chaincode)


def test_who_is_interrupted_while_it_starts_a_process_still_knows_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = subprocess.Popen

    def interrupted(*arguments: object, **settings: object) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = begin(*arguments, **settings)  # type: ignore[call-overload]
        signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    process = Detached(tmp_path, "known")
    with pytest.raises(KeyboardInterrupt):
        process.start([sys.executable, "-c", "import time; time.sleep(600)"], {})
    assert process.pid() is not None
    assert process.stop()
