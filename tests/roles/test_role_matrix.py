"""Every function of the contracts by every kind of identity: who may succeeds, and everybody else is refused and writes nothing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from quorumlearn_chaincode.contracts import FUNCTIONS, Code

from tests.roles.cast import account
from tests.roles.matrix import PAGE, YES, Rows, observe, render
from tests.roles.on_devnet import Devnet, devnet
from tests.roles.story import story

PATIENCE_S = 20.0
ABOUT_WHO = {Code.BAD_IDENTITY, Code.WRONG_ORGANISATION, Code.WRONG_ROLE}
BESIDE = {
    "rewards:Transfer": {Code.OVERSPENDING},
    "tasks:JoinCommittee": {Code.SEAT_TAKEN},
    "tasks:Join": {Code.ALREADY_JOINED},
    "tasks:Cancel": {Code.NOT_THE_OWNER},
    "blocks:Grant": {Code.NOT_THE_OWNER},
    "blocks:Propose": {Code.NOT_YOUR_TURN},
}
"""What some functions refuse with, besides: all that they say of who calls."""


@pytest.fixture(scope="module")
def rows() -> Rows:
    return observe()


def test_every_function_is_called(rows: Rows) -> None:
    assert set(rows) == set(FUNCTIONS), "give tests/roles/story.py a scene of the function"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_who_may_succeeds_and_everybody_else_is_refused(rows: Rows, function: str) -> None:
    row = rows[function]
    assert row.may
    assert {kind for kind, answer in row.answers.items() if answer == YES} == row.may
    refusals = {Code(answer) for answer in row.answers.values() if answer != YES}
    assert refusals <= ABOUT_WHO | BESIDE.get(function, set())


def test_the_page_says_so(rows: Rows) -> None:
    assert PAGE.read_text(encoding="utf-8") == render(rows), (
        "write docs/roles.md again: python -m tests.roles.matrix"
    )


def test_a_devnet_refuses_the_same(rows: Rows, tmp_path: Path) -> None:
    """With certificates, and an orderer that would have put anything that is endorsed into a block."""
    with devnet(tmp_path / "network") as play:
        peer = play.peer
        assert isinstance(peer, Devnet)
        for scene in story(play):
            if FUNCTIONS[scene.function].query:
                break
            for kind in play.kinds:
                who, row = account(play, kind), rows[scene.function]
                words, may = scene.words(who), kind in row.may
                deadline = time.monotonic() + PATIENCE_S  # a peer may be a block behind the play
                while (answer := peer.answer(who, words, may)) != row.answers[kind]:
                    assert time.monotonic() < deadline, f"{scene.function} by {kind}: {answer}"
