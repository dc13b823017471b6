"""docs/protocol.md shows the steps of the table, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from quorumlearn_proto.block_pb2 import CeremonyStep, Phase
from quorumlearn_proto.diagram import BEGIN, END, NoMarksError, drawn, into
from quorumlearn_proto.protocol import CEREMONY, ROUND, STEPS

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"


def test_the_protocol_page_shows_the_tables_steps() -> None:
    page = PAGE.read_text()
    assert into(page) == page, "the page differs from the table: run make docs"


@pytest.mark.parametrize(
    "changed", ["    KEY --> COMMIT\n", "| `VoteBlock`, `ShowBallots` |", "the ceremony's seats"]
)
def test_a_page_that_shows_something_else_is_told_apart_and_mended(changed: str) -> None:
    page = PAGE.read_text()
    other = page.replace(changed, "something else\n")
    assert other != page
    assert into(other) == page


def test_what_stands_beside_the_steps_is_left_alone() -> None:
    assert into(f"before\n{BEGIN}\nold\n{END}\nafter\n") == f"before\n{BEGIN}\n{drawn()}\n{END}\nafter\n"


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}\n{BEGIN}"])
def test_a_page_without_a_place_for_the_steps_is_refused(page: str) -> None:
    with pytest.raises(NoMarksError, match="no place for the steps"):
        into(page)


def test_the_picture_has_every_arrow() -> None:
    arrows = {line.split(" : ")[0].strip() for line in drawn().splitlines() if "-->" in line}
    expected = {
        "[*] --> KEY_COMMIT",
        "[*] --> KEY",
        "KEY_READY --> [*]",
        "KEY_FAILED --> [*]",
        "ENDED --> [*]",
    }
    expected |= {f"{step.name} --> {Phase.Name(at)}" for step in ROUND.values() for at in step.leads_to}
    expected |= {
        f"{step.name} --> {CeremonyStep.Name(at)}" for step in CEREMONY.values() for at in step.leads_to
    }
    assert arrows == expected


def test_the_tables_have_a_row_for_each_step() -> None:
    rows = [line.split(" | ") for line in drawn().splitlines() if line.startswith("| ") and "`" in line]
    functions = {row[0].removeprefix("| "): row[2].split("`")[1] for row in rows if row[2].startswith("`")}
    assert functions == {name: step.function for name, step in STEPS.items()}


def test_the_command_says_whether_a_page_is_stale_and_draws_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    command = [sys.executable, "-m", "quorumlearn_proto.diagram", str(page)]
    stale = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert (stale.returncode, "run make docs" in stale.stderr) == (1, True)
    subprocess.run(command, check=True)
    assert page.read_text() == f"{BEGIN}\n{drawn()}\n{END}\n"
    subprocess.run([*command, "--check"], check=True)
