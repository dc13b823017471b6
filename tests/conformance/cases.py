"""All cases, in the order of the table."""

from __future__ import annotations

from tests.conformance.observing import cases_of
from tests.conformance.scenarios import (
    blocks,
    conflicts,
    delivery,
    endorsement,
    events,
    ordering,
    proposals,
    queries,
    refusals,
    state,
    tampering,
)

CASES = cases_of(
    (
        state,
        refusals,
        proposals,
        ordering,
        conflicts,
        endorsement,
        tampering,
        events,
        blocks,
        delivery,
        queries,
    )
)
