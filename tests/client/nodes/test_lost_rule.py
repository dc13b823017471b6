"""A seat whose task's rule was removed or replaced since it was taken leaves: it would miss round after round, and be slashed for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from quorumlearn.robust import copy_of, plugins
from quorumlearn_proto import block_pb2 as b

from tests.client.nodes.seats import verifier_in_seat, view_of_seats
from tests.client.packages import installed

CODE = """
import numpy as np
from quorumlearn.robust import RuleDefinition, Weights

class Even:
    def weights(self, vectors):
        return Weights(np.ones(len(vectors)), np.zeros(len(vectors)))
    def for_remaining(self, count, excluded):
        return self

even = RuleDefinition(version="{version}", make=lambda parameters, byzantine: Even())
"""


class Told:
    """A market that takes what a seat tells it."""

    def __init__(self) -> None:
        self.left: list[str] = []

    def leave_committee(self, task: str) -> None:
        self.left.append(task)

    def reveal_beacon(self, *_: object) -> None:
        pass


def view(version: str) -> b.TaskView:
    found = view_of_seats(b.BEACON)
    found.task.spec.rule.name = "even"
    found.task.spec.rule.parameters.update({**copy_of("even", {}, 0), "rule_version": version})
    return found


@pytest.mark.parametrize(("version", "left"), [("1", []), ("2", ["task"])])
def test_a_seat_leaves_if_its_rule_is_another_by_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, left: list[str]
) -> None:
    entries = {plugins.ENTRY_POINTS: {"even": "even_rule:even"}}
    installed(tmp_path / "package", monkeypatch, "even_rule", CODE.format(version="1"), entries)
    market = Told()
    seat = verifier_in_seat(1, tmp_path, market)
    seat.act(view(version))
    assert market.left == left
