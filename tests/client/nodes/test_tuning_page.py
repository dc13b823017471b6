"""docs/tuning.md says the figures that the code has."""

from __future__ import annotations

from pathlib import Path

from quorumlearn.nodes.committee.sending import CARRIER_WAITS, GATHER_SECONDS, MOST_CARRIER_WAITS
from quorumlearn_chaincode.contracts.dispatch import KNOWN_QUERIES
from quorumlearn_proto.protocol import BINARY, PENDING


def test_the_tuning_page_says_the_codes_figures() -> None:
    page = (Path(__file__).parents[3] / "docs" / "tuning.md").read_text()
    assert f"The first seat waits {GATHER_SECONDS} s for the others" in page
    assert CARRIER_WAITS == 0.1
    assert f"up to a tenth of its own step's time and {MOST_CARRIER_WAITS:.0f} s" in page
    assert f"of {KNOWN_QUERIES} queries" in page
    assert f"`{PENDING}`" in page
    assert f"`{BINARY}`" in page
