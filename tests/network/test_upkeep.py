"""While a command waits: what ends is started again, the wait says for whom, and the lock says who waits."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from quorumlearn_network import upkeep as timing
from quorumlearn_network.folder import FolderError, locked
from quorumlearn_network.processes import Detached, ProcessError, stop_all
from quorumlearn_network.upkeep import RESTARTS, Upkeep

LASTS = "import time; print('ready', flush=True); time.sleep(600)"
FAILS = "import sys; sys.exit('no disk')"
HOLDS = """
import sys, time
from pathlib import Path
from quorumlearn_network.folder import locked
folder = Path(sys.argv[1])
sys.argv[1:] = ["network", "restart", "peer0.owner"]
with locked(folder):
    print("held", flush=True)
    time.sleep(600)
"""


class Programs:
    """Processes of Python programs by name."""

    def __init__(self, folder: Path, programs: dict[str, str]) -> None:
        self.programs = programs
        self.processes = {name: Detached(folder, name) for name in programs}

    def running(self) -> dict[str, int]:
        return {name: pid for name, one in self.processes.items() if (pid := one.pid()) is not None}

    def start(self, names: Sequence[str]) -> None:
        for name in names:
            self.processes[name].start((sys.executable, "-c", self.programs[name]), {})

    def tail(self, name: str, lines: int) -> list[str]:
        return self.processes[name].tail(lines)

    def where(self, name: str) -> str:
        return str(self.processes[name].log)


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    made = Programs(tmp_path, {"lasts": LASTS, "other": LASTS, "fails": FAILS})
    yield made
    stop_all(list(made.processes.values()))


def soon() -> float:
    return time.monotonic() + 60


def test_what_ends_while_something_else_is_waited_for_is_started_again(programs: Programs) -> None:
    said: list[str] = []
    programs.start(["lasts", "other"])
    before = programs.running()
    with Upkeep(programs, ["lasts", "other"], said.append, soon()) as upkeep:
        programs.processes["lasts"].kill()
        upkeep.until(lambda: "lasts" in programs.running(), "other")
    after = programs.running()
    assert after["lasts"] != before["lasts"] and after["other"] == before["other"]
    assert "lasts has ended; starting it again" in said


def test_what_goes_on_ending_is_an_error_with_its_reason_and_the_others_stay(programs: Programs) -> None:
    programs.start(["lasts", "fails"])
    before = programs.running()["lasts"]
    with (
        pytest.raises(
            ProcessError, match=rf"fails has ended {RESTARTS + 1} times; .*fails.log ends with:\n  no disk"
        ),
        Upkeep(programs, ["lasts", "fails"], lambda _: None, soon()) as upkeep,
    ):
        upkeep.until(lambda: False, "lasts")
    assert programs.running() == {"lasts": before}


def test_a_wait_says_for_whom_and_ends_at_the_deadline(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "TOLD_AFTER_S", 0.0)
    said: list[str] = []
    programs.start(["lasts"])
    with Upkeep(programs, ["lasts"], said.append, time.monotonic() + 1.5) as upkeep:
        upkeep.begin("starting lasts")
        with pytest.raises(ProcessError, match="lasts is not ready in time"):
            upkeep.until(lambda: False, "lasts")
    assert said[0] == "starting lasts"
    assert len(said) == 2 and re.fullmatch(r"waiting for \d s: lasts is not ready yet", said[1])


def test_what_is_stopped_on_purpose_is_left_alone(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "LOOK_S", 0.0)
    said: list[str] = []
    programs.start(["lasts"])
    with Upkeep(programs, ["lasts"], said.append, soon()) as upkeep:
        with upkeep.suspended():
            programs.processes["lasts"].kill()
            programs.start(["lasts"])
        upkeep.until(programs.processes["lasts"].ready, "lasts")
    assert said == []


def test_the_lock_says_who_has_it_since_when(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            with pytest.raises(FolderError, match="wait for it") as caught, locked(tmp_path):
                pytest.fail("it is held")
            assert "network restart peer0.owner`" in str(caught.value)
            assert f"process {holder.pid}, since 20" in str(caught.value)
        finally:
            holder.kill()
    with locked(tmp_path), pytest.raises(FolderError, match=f"process {os.getpid()}"), locked(tmp_path):
        pytest.fail("it is held")
