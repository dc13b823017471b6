"""Commands that start processes, told to end or killed: nothing that they started stays."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from quorumlearn.cli import run
from quorumlearn.cli.demo import MARK, cleaned
from quorumlearn.cli.processes import Nodes, interruptible
from quorumlearn_network.processes import Detached, undisturbed

CLI = [sys.executable, "-m", "quorumlearn.cli"]
SECONDS = 90.0
STARTS = """
import sys, time
from pathlib import Path
from quorumlearn_network.processes import Detached, undisturbed
Detached(Path(sys.argv[1]), "bound").start((sys.executable, "-c", sys.argv[2]), {}, bound=True)
print("started", flush=True)
time.sleep(600)
"""
LASTS = "import time; print('ready', flush=True); time.sleep(600)"


def until(holds: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def of(folder: Path) -> list[psutil.Process]:
    """The processes that run whose command line names something in the folder, or whose working folder is in it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        named = [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(str(folder) in part for part in named):
            found.append(process)
    return found


@contextlib.contextmanager
def hangups_heard() -> Iterator[None]:
    """What the block starts or does hears a hangup, although the suite itself may run below nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.fixture
def played(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Begins a command, whose output goes to `said` in the test's folder, in a session of its own; at the end nothing runs."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: str) -> subprocess.Popen[bytes]:
        with (tmp_path / "said").open("wb") as output, hangups_heard():
            begun.append(
                subprocess.Popen(
                    [*CLI, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            )
        return begun[-1]

    yield begin
    for one in of(tmp_path):
        one.kill()
    for process in begun:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_network_up_that_is_told_to_end_stops_what_it_had_started(
    played: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, number: int
) -> None:
    net = tmp_path / "net"
    up = played("network", "up", "--folder", str(net))
    until(lambda: "starting devnet" in (tmp_path / "said").read_text(), (tmp_path / "said").read_text)
    up.send_signal(number)
    assert up.wait(SECONDS) == 130
    assert (tmp_path / "said").read_text().endswith("error: interrupted\n")
    assert not of(net)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "number"),
    [
        (("demo", "--rounds", "1"), signal.SIGTERM),
        (("demo", "--rounds", "1"), signal.SIGKILL),
        (("attack", "noise", "--rounds", "1"), signal.SIGHUP),
    ],
)
def test_of_a_market_that_is_told_to_end_or_killed_nothing_stays(
    played: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
    mnist_folder: Path,
    command: tuple[str, ...],
    number: int,
) -> None:
    folder = tmp_path / "market"
    demo = played(*command, "--folder", str(folder), "--data", str(mnist_folder))
    said = tmp_path / "said"
    until(lambda: "$ quorumlearn task publish" in said.read_text(), said.read_text)
    nodes = [one for one in of(folder) if "run" in one.cmdline()]
    assert nodes
    demo.send_signal(number)
    if number == signal.SIGKILL:
        until(lambda: not any(one in nodes for one in of(folder)), lambda: of(folder))
        assert run(["network", "down", "--folder", str(folder / "network")]) == 0
    else:
        assert demo.wait(SECONDS) == 130, said.read_text()
        assert "Traceback" not in said.read_text()
    until(lambda: not of(folder), lambda: of(folder))


def test_the_next_demo_ends_what_a_killed_one_left(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / MARK).touch()
    left = Detached(tmp_path, "miners1")
    left.start((sys.executable, "-c", LASTS), {})
    pid = left.pid()
    assert cleaned(tmp_path) == tmp_path
    assert pid is not None and left.pid() is None
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_what_is_bound_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTS, str(tmp_path), LASTS]
    bound = Detached(tmp_path, "bound")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"started\n"
        until(bound.ready, lambda: bound.tail(9))
        parent.kill()
    until(lambda: bound.pid() is None, bound.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_must_not_be_done_by_half_is_done_first(number: int) -> None:
    done = []
    with hangups_heard(), pytest.raises(KeyboardInterrupt), interruptible():
        with undisturbed():
            os.kill(os.getpid(), number)
            done.append("whole")
        done.append("more")
    assert done == ["whole"]


def test_below_nohup_a_hangup_is_still_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible(), undisturbed():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_node_finds_its_file_in_a_folder_that_is_named_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("market/nodes/owner.yaml")
    file.parent.mkdir(parents=True)
    file.write_text("organisation: nowhere\n")
    with Nodes(Path("market")) as nodes:
        nodes.start(file)
        log = tmp_path / "market" / "logs" / "owner.log"
        until(lambda: "owner.yaml: store: Field required" in log.read_text(), log.read_text)
