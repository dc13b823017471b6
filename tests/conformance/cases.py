"""All cases, in the order of the table."""

from __future__ import annotations

from tests.conformance.observing import cases_of
from tests.conformance.scenarios import blocks, events, ordering, refusals, state, validation

CASES = cases_of((state, refusals, ordering, validation, events, blocks))
