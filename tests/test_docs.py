"""What the pages promise of themselves: links lead somewhere, a decision's record is whole, and files that they send to are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("chaincode", "client", "docs", "examples", "network")
PAGES = sorted([*ROOT.glob("*.md"), *(page for room in ROOMS for page in (ROOT / room).rglob("*.md"))])
LINK = re.compile(r"\]\(([^)\s#]*)(?:#([^)\s]*))?\)")
RECORD = re.compile(
    r"### (?P<title>\d+\. .+)\n"
    r"(?P<date>\d{4}-\d\d-\d\d)\. Status: (?:in force|replaced)[^\n]*\.\n\n"
    r"- \*\*Context:\*\* .+\n- \*\*Choice:\*\* .+\n- \*\*Alternatives:\*\* .+\n"
)

NAMED_FILE = re.compile(r"`([\w./-]+/[\w.-]+\.\w+|[A-Z]+\.md)(?:::(\w+))?`")


def anchor(heading: str) -> str:
    """The fragment by which a heading is linked, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(heading) for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_of_ours_leads_to_it(page: Path) -> None:
    for target, fragment in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{target} is not there"
        if fragment:
            assert fragment in anchors(there), f"{target} has no heading #{fragment}"


def test_each_decision_is_a_whole_record_and_is_in_the_index() -> None:
    text = (ROOT / "docs" / "decisions.md").read_text()
    records = list(RECORD.finditer(text))
    assert len(records) == len(re.findall(r"^### ", text, re.MULTILINE))
    for number, one in enumerate(records, 1):
        title = one["title"].removeprefix(f"{number}. ")
        assert f"| {number} | [{title}](#{anchor(one['title'])}) | {one['date']} |" in text


def test_every_file_and_test_that_where_to_add_names_is_there() -> None:
    page = ROOT / "docs" / "where-to-add.md"
    named = NAMED_FILE.findall(page.read_text())
    assert len({file for file, _ in named}) > 50
    for file, function in named:
        assert (ROOT / file).is_file(), f"{file} is not there"
        if function:
            assert f"def {function}(" in (ROOT / file).read_text(), f"{file} has no {function}"
