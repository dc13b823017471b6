"""Who tries again: the loops that do are found in the client's code, and docs/architecture.md lists just these, with their figures.

Found is a `while`, or a `for _ in`, that goes on after an exception, and a handler that makes the call anew that has failed. Whoever
repeats a call in another shape (by recursion, in a generator) is not found: this keeps the honest from adding a seventh layer unawares.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator, Sequence

from quorumlearn.gateway import Options
from quorumlearn.nodes.endorsers import CHOICES
from quorumlearn.nodes.feed import AWAY_SECONDS
from quorumlearn.nodes.organisation import OPTIONS
from quorumlearn.nodes.worker import FIRST_PAUSE, LONGEST_PAUSE

from tests.test_architecture import ROOMS, ROOT, modules, nodes

LEAVES = (ast.Raise, ast.Return, ast.Break)
ANOTHER_CALL = {
    "nodes/committee/sending": "call",  # another transaction: the step without what it carried
    "nodes/committee/showing": "self.market.show_ballots",  # another transaction: the own ballot without those of others
    "nodes/journal": "self._path",  # the error names the file
    "nodes/worker": "self.feed.expire",  # the next look reads the ledger
    "cli/processes": "process.communicate",  # a process that was interrupted is waited for
}
"""Handlers that make the call of their `try`, and do not repeat what failed."""


def own_nodes(loop: ast.AST) -> Iterator[ast.AST]:
    """What runs in each turn of a loop, but for functions that are only defined in it."""
    for child in ast.iter_child_nodes(loop):
        yield child
        if not isinstance(child, (ast.FunctionDef, ast.Lambda)):
            yield from own_nodes(child)


def repeats(loop: ast.AST) -> bool:
    endless = isinstance(loop, ast.While)
    counted = isinstance(loop, ast.For) and ast.unparse(loop.target) == "_"
    return (endless or counted) and any(
        isinstance(one, ast.ExceptHandler) and not isinstance(one.body[-1], LEAVES) for one in own_nodes(loop)
    )


def calls(statements: Sequence[ast.stmt]) -> set[str]:
    """What is called, but for classes and what Python has itself."""
    found = {
        ast.unparse(one.func)
        for statement in statements
        for one in ast.walk(statement)
        if isinstance(one, ast.Call)
    }
    return {one for one in found if one not in dir(builtins) and not one.split(".")[-1][0].isupper()}


def client_files() -> Iterator[tuple[str, tuple[ast.AST, ...]]]:
    room = ROOMS["quorumlearn"] / "quorumlearn"
    for name, path in modules():
        if name.startswith("quorumlearn."):
            yield path.relative_to(room).with_suffix("").as_posix(), nodes(path)


def table() -> list[tuple[str, ...]]:
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.partition("\n## Who tries again\n")[2].partition("\n## ")[0]
    rows = [
        tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in section.splitlines() if "|" in line
    ]
    return rows[2:]


def test_no_other_module_of_the_client_repeats_a_call() -> None:
    looping = {file for file, found in client_files() if any(map(repeats, found))}
    assert looping == {row[0].strip("`") for row in table()}


def test_no_handler_repeats_the_call_that_failed() -> None:
    repeated = {
        (file, call)
        for file, found in client_files()
        for tried in found
        if isinstance(tried, ast.Try)
        for handler in tried.handlers
        for call in calls(tried.body) & calls(handler.body)
    }
    assert repeated == set(ANOTHER_CALL.items())


def test_the_table_has_the_codes_figures() -> None:
    def says(file: str, words: str) -> bool:
        return any(row[0] == f"`{file}`" and re.search(rf"\b{words}\b", row[2]) for row in table())

    assert {OPTIONS.unavailable.cap_s, OPTIONS.reconnect.cap_s, AWAY_SECONDS} == {1.0}
    timeouts = OPTIONS.timeouts
    (seconds,) = {timeouts.evaluate_s, timeouts.endorse_s, timeouts.submit_s, timeouts.commit_status_s}
    unavailable = (
        f"{OPTIONS.unavailable.attempts} tries, at most 1 s apart, within the call's {seconds:.0f} s"
    )
    assert says("gateway/connection", unavailable)
    assert says("gateway/contract", f"{OPTIONS.disagreement.attempts} tries for each choice")
    assert says("gateway/contract", f"{CHOICES} choices")
    assert says("gateway/contract", f"{OPTIONS.submissions} submissions")
    assert says("gateway/contract", f"{OPTIONS.conflict.attempts} tries")
    assert says("gateway/events", f"{OPTIONS.reconnect.attempts} tries, at most 1 s apart")
    assert says("nodes/worker", f"{FIRST_PAUSE} to {LONGEST_PAUSE:.0f} s")
    own = Options()
    assert own.submissions > OPTIONS.submissions
    assert own.disagreement.attempts > OPTIONS.disagreement.attempts
