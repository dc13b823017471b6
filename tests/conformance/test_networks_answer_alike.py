"""Every network answers every case as a real Fabric did when it was recorded; see `record.py`."""

from __future__ import annotations

import pytest

from tests.conformance.cases import CASES
from tests.conformance.differences import DIFFERENCES
from tests.conformance.network import Network
from tests.conformance.observing import Case, Observation
from tests.conformance.record import TABLE, differing, expected, load, render

RECORD = load()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_network_answers_as_fabric_does(network: Network, case: Case) -> None:
    lines = differing("", expected(network.kind, case, RECORD), case.observe(network))
    assert not lines, "\n".join(lines)


def test_the_record_holds_every_case_once_and_nothing_else() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert set(RECORD.answers) == set(names)
    assert RECORD.version.startswith("3.1.")


def test_a_stated_difference_is_one() -> None:
    for name, difference in DIFFERENCES.items():
        assert RECORD.answers[name] != difference.devnet
        assert difference.reason


def test_the_page_shows_the_record() -> None:
    assert TABLE.read_text(encoding="utf-8") == render(RECORD), (
        "write docs/conformance.md again: python -m tests.conformance.record table"
    )


def test_what_differs_is_found_where_it_is() -> None:
    left: dict[str, Observation] = {"code": "VALID", "of": {"a": [1, 2], "b": True}}
    assert differing("", left, dict(left)) == []
    (line,) = differing("", left, {"code": "VALID", "of": {"a": [1, 3], "b": True}})
    assert line.startswith(" / of / a\n")
    assert "[1, 3]" in line
    assert len(differing("", left, {"of": {"a": [1, 2], "b": True}})) == 1
