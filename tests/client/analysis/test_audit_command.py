"""`quorumlearn analyse economics --audit`: what it prints, what the page shows of it, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from quorumlearn.cli import run
from quorumlearn.cli.example import task_example
from quorumlearn_network.spec import default_spec

PAGE = Path(__file__).resolve().parents[3] / "docs" / "economics.md"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    path = tmp_path / "task.yaml"
    path.write_text(task_example(default_spec()))
    return path


def fields(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
    assert run(["analyse", "economics", *arguments, "--audit", "--json"]) == 0
    found: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_the_command_says_of_the_example_what_the_page_says(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyse", "economics", str(example), "--audit", "--rounds", "10"]) == 0
    printed = capsys.readouterr().out
    assert f"```\n{printed}```\n" in PAGE.read_text(), (
        "docs/economics.md shows what `quorumlearn analyse economics FILE --audit --rounds 10` prints of `quorumlearn task example`"
    )
    assert "99 % of those who skip 10 % or more are found within 10 rounds from 5 segments" in printed


def test_every_other_figure_of_the_pages_table_is_printed(
    example: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows of the page that begin with options, and then say what the command finds with them."""
    rows = re.findall(r"^\| `(--[^`]*)` \| (.*) \|$", PAGE.read_text(), flags=re.MULTILINE)
    assert len(rows) >= 4
    for options, figures in rows:
        given = ["--rounds", "10", *options.split()] if "--rounds" not in options else options.split()
        found = fields(capsys, str(example), *given)
        miners, verification = found["miners"], found["verification"]
        said = [one.strip() for one in figures.split("|")]
        assert said == [
            "never" if miners["fewest_drawn"] is None else str(miners["fewest_drawn"]),
            f"{miners['smallest_pay']:.1f}",
            str(miners["fewest_drawn_to_find"]),
            f"{100 * float(str(verification['share'])):.1f} %",
        ], options


def test_what_is_asked_for_is_what_is_computed(
    example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "audit.png"
    options = "--segments 50 --drawn 2 --replayers 1 --league 0 --training 40 --replay 1 --last 0.01 --rounds 4 --slash 30 --reward 2000"
    found = fields(capsys, str(example), *options.split(), "--picture", str(picture))
    assert found["draw"] == {"segments": 50, "drawn": 2, "replayers": 1, "seats": 3, "league": 0}
    assert (found["rounds"], found["replay"], found["asked"]) == (4, 1, False)
    assert (found["miners"]["pay"], found["miners"]["slash"]) == (175, 30)
    assert found["verification"] == {"tokens": pytest.approx(8 * (2 + 0.4)), "share": pytest.approx(0.06)}
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "options", ["--training 0", "--training 120 --drawn 1", "--replayers 1", "--drawn 100"]
)
def test_extremes_are_printed_and_drawn(
    example: Path, tmp_path: Path, options: str, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(tmp_path / "audit.png")
    arguments = [str(example), "--audit", *options.split(), "--picture", picture]
    assert run(["analyse", "economics", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "nan" not in printed
    assert "inf" not in printed
    assert ("honesty is not the best answer" in printed) == ("120" in options)
    assert ("to replay is not the best answer" in printed) == ("--replayers 1" in options)


@pytest.mark.parametrize(
    ("options", "code", "what"),
    [
        ("--drawn 5", 2, "--drawn is about the audit of work: give --audit too"),
        ("--audit --segments 3 --drawn 5", 2, "5 of 3 segments cannot be drawn: draw 1 to 3"),
        ("--audit --replayers 4", 2, "4 of 3 seats cannot replay a segment"),
        ("--audit --league 3", 2, "3 of 3 seats in league leave no honest one"),
        ("--audit --replay nan", 2, "--replay"),
        ("--audit --replay inf", 2, "--replay is inf"),
        ("--audit --last 2", 2, "--last"),
        ("--slash 101", 4, "slash"),
        ("--audit --picture none/audit.png", 2, "there is no folder none"),
    ],
)
def test_what_makes_no_sense_is_refused(
    example: Path, options: str, code: int, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyse", "economics", str(example), *options.split()]) == code
    assert what in capsys.readouterr().err
