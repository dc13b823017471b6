"""The page that says who can write which key says what the networks do, and nobody can short of a quorum of verifiers."""

from __future__ import annotations

import itertools

import pytest

from tests.conformance.network import KINDS, why_not
from tests.keys.matrix import AGREED, DEFINITION, PAGE, Able, is_quorum, observe, render
from tests.keys.played import VERIFIERS

QUORUMS = set(itertools.combinations(VERIFIERS, 2))


@pytest.fixture(scope="module", params=KINDS)
def able(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Able:
    kind = str(request.param)
    if reason := why_not(kind):
        pytest.skip(reason)
    return observe(kind, tmp_path_factory.mktemp(kind) / "network")


def test_no_key_is_written_without_a_quorum_of_verifiers(able: Able) -> None:
    for what, who in able.items():
        assert all(is_quorum(one) for one in who), what


def test_a_quorum_of_verifiers_writes_every_key_and_a_majority_beside_replaces_the_chaincode(
    able: Able,
) -> None:
    for what, who in able.items():
        expected = {AGREED} if what == DEFINITION else {*QUORUMS, AGREED}
        assert set(who) == expected, what


def test_the_page_says_so(able: Able) -> None:
    assert PAGE.read_text(encoding="utf-8") == render(able), (
        "write docs/keys.md again: python -m tests.keys.matrix devnet"
    )
