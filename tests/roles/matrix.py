"""Who can call which function of the contracts, and how everybody else is refused: every function by every kind of identity.

    python -m tests.roles.matrix            writes docs/roles.md from what the contracts say

Each function is called where it succeeds (tests.roles.story), by everybody (tests.roles.cast), with arguments that are valid but for who
calls: as its own and in the name of one who may, and where it carries a step of a key or says that others are pending, with that too.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from quorumlearn_chaincode.contracts import FUNCTIONS, Refusal
from quorumlearn_chaincode.runtime import ClientIdentity
from quorumlearn_proto.protocol import PENDING

from tests.chaincode.contracts.ledger_stub import Peer
from tests.roles.cast import Everybody, Kind, account, client, fresh, initialise
from tests.roles.story import INITIALISE, Scene, story

PAGE = Path(__file__).resolve().parents[2] / "docs" / "roles.md"
YES = "yes"


@dataclass(frozen=True)
class Row:
    """A function: who is to succeed, and what each kind was answered: YES, or the code of the refusal."""

    may: frozenset[Kind]
    answers: Mapping[Kind, str]


Rows = Mapping[str, Row]
"""By function."""


def observe() -> Rows:
    """What the contracts answer on a peer in memory. Raises AssertionError if what refuses somebody has written anything."""
    play = fresh()
    rows = {INITIALISE.function: Row(INITIALISE.may, _answers(play, INITIALISE))}
    initialise(play)
    for scene in story(play):
        rows[scene.function] = Row(scene.may, _answers(play, scene))
    return rows


def calls(play: Everybody, scene: Scene, kind: Kind) -> Iterator[tuple[str, ...]]:
    """The ways in which somebody makes the scene's call."""
    right = account(play, scene.right)
    own = scene.words(right if kind in (Kind.NARROWED, Kind.UNUSABLE) else account(play, kind))
    yield own
    if kind not in scene.may and (words := scene.words(right)) != own:
        yield words
    function = FUNCTIONS[scene.function]
    if function.of_seats:
        yield (*own, PENDING)
    if function.carries:
        holder = account(play, kind) if kind in scene.may else right
        yield (*own, *play.key_along(holder))


def _answers(play: Everybody, scene: Scene) -> dict[Kind, str]:
    found = {}
    for kind in Kind:
        who = client(play, kind, scene.right)
        said = {_answer(play.peer, who, words) for words in calls(play, scene, kind)}
        assert len(said) == 1, f"{scene.function} answers {kind} in several ways: {', '.join(sorted(said))}"
        found[kind] = said.pop()
    return found


def _answer(peer: Peer, who: ClientIdentity, words: tuple[str, ...]) -> str:
    try:
        peer.endorse(who, *words)
    except Refusal as refusal:
        assert not peer.simulated.writes, f"{words[0]} writes before it refuses"
        return str(refusal.code)
    assert bool(peer.simulated.writes) != FUNCTIONS[words[0]].query, f"{words[0]} has written nothing"
    return YES


def render(rows: Rows) -> str:
    """docs/roles.md."""
    codes = sorted({code for row in rows.values() for code in row.answers.values()} - {YES})
    letters = dict(zip(Kind, string.ascii_lowercase, strict=False))
    lines = [
        "# Who can call which function",
        "",
        "Every function of the contracts was called by every kind of identity, where it succeeds for whoever may call it. The arguments",
        "are valid but for who calls. *Yes* is who succeeds; everybody else is refused with a code, and nothing is written.",
        "",
        "| | who |",
        "| --- | --- |",
        *(f"| {letter} | {kind} |" for kind, letter in letters.items()),
        "",
        "| | refused as |",
        "| --- | --- |",
        *(f"| {_short(code)} | {code} |" for code in codes),
        "",
        f"| function | {' | '.join(letters.values())} |",
        f"| --- |{' --- |' * len(letters)}",
    ]
    for answers, names in _alike(rows).items():
        cells = (YES if code == YES else _short(code) for code in answers)
        lines.append(f"| {', '.join(f'`{name}`' for name in names)} | {' | '.join(cells)} |")
    lines += [
        "",
        "Round and task are those in which the function is called. Whoever has tokens may give them away. Anybody may move on what",
        "is due, or read.",
        "",
        "This page is written by `python -m tests.roles.matrix`, and a test holds the contracts to it.",
    ]
    return "\n".join(lines) + "\n"


def _alike(rows: Rows) -> Mapping[tuple[str, ...], list[str]]:
    """The functions that answer everybody alike, in their table's order, by what they answer."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in FUNCTIONS:
        groups.setdefault(tuple(rows[name].answers.values()), []).append(name)
    return groups


def _short(code: str) -> str:
    """The initials of a code."""
    return "".join(word[0] for word in code.split("_"))


def main() -> None:
    PAGE.write_text(render(observe()), encoding="utf-8")


if __name__ == "__main__":
    main()
