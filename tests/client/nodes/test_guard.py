"""A seat makes shares for what the ledger authorised, once, and refuses everything else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
from quorumlearn.nodes.committee import guard
from quorumlearn.nodes.committee.guard import NotAuthorised
from quorumlearn.nodes.journal import Journal
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import AGGREGATE_DECRYPTION, SKETCH_DECRYPTION, ArtifactRef

BOTH = [SKETCH_DECRYPTION, AGGREGATE_DECRYPTION]


def ref(letter: str) -> ArtifactRef:
    return ArtifactRef(digest=letter * 64, size=9)


def view() -> b.TaskView:
    """Three updates revealed and sketched, two of them selected with one weight."""
    spec = t.TaskSpec(task_id="t-1", min_miners=3, ckks=t.CkksParameters(max_weight_sum=8))
    now = b.Round(task_id="t-1", number=2, beacon="be" * 32)
    now.miners.extend(f"M/{miner}" for miner in "abcd")
    now.selection.verdicts.add(miner="M/a", weight=2, reason=b.CONTRIBUTES)
    now.selection.verdicts.add(miner="M/b", reason=b.OUTLIER)
    now.selection.verdicts.add(miner="M/c", weight=2, reason=b.CONTRIBUTES)
    seen = b.TaskView(task=t.Task(spec=spec), round=now)
    for miner in "abc":
        seen.submissions.add(miner=f"M/{miner}", manifest=b.Manifest(update=ref(miner)))
    seen.submissions.add(miner="M/d")
    for purpose in BOTH:
        seen.authorisations.append(guard.expected(seen, purpose))
        seen.authorisations[-1].at_ms = 7
    return seen


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "round-2")


@pytest.mark.parametrize("purpose", BOTH)
def test_what_is_authorised_is_answered_also_after_a_restart(journal: Journal, purpose: int) -> None:
    given = guard.take(view(), purpose, journal)  # type: ignore[arg-type]
    again = guard.take(view(), purpose, Journal(journal.folder))  # type: ignore[arg-type]
    assert given == again
    assert [one.digest[0] for one in given.updates] == (["a", "b", "c"] if given.beacon else ["a", "c"])


@pytest.mark.parametrize("purpose", BOTH)
def test_nothing_is_answered_that_was_not_authorised(journal: Journal, purpose: int) -> None:
    seen = view()
    del seen.authorisations[:]
    with pytest.raises(NotAuthorised, match="has no authorisation"):
        guard.take(seen, purpose, journal)  # type: ignore[arg-type]
    assert journal.names() == []


CHANGES: dict[str, tuple[int, Callable[[b.Authorisation], object]]] = {
    "another update": (SKETCH_DECRYPTION, lambda one: one.updates[0].CopyFrom(ref("e"))),
    "an update more": (SKETCH_DECRYPTION, lambda one: one.updates.append(ref("e"))),
    "an update less": (SKETCH_DECRYPTION, lambda one: one.updates.pop()),
    "another beacon": (SKETCH_DECRYPTION, lambda one: setattr(one, "beacon", "00" * 32)),
    "more openings": (SKETCH_DECRYPTION, lambda one: setattr(one, "openings", 4)),
    "another round": (SKETCH_DECRYPTION, lambda one: setattr(one, "round", 3)),
    "another task": (SKETCH_DECRYPTION, lambda one: setattr(one, "task_id", "t-2")),
    "another weight": (AGGREGATE_DECRYPTION, lambda one: one.weights.__setitem__(0, 3)),
    "an update not selected": (AGGREGATE_DECRYPTION, lambda one: one.updates[1].CopyFrom(ref("b"))),
    "a sum and a sum": (AGGREGATE_DECRYPTION, lambda one: setattr(one, "openings", 2)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_authorisation_that_the_rounds_records_do_not_bear_out_is_refused(
    journal: Journal, change: str
) -> None:
    purpose, spoil = CHANGES[change]
    seen = view()
    spoil(next(one for one in seen.authorisations if one.purpose == purpose))
    with pytest.raises(NotAuthorised, match="is refused"):
        guard.take(seen, purpose, journal)  # type: ignore[arg-type]
    assert journal.names() == []


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        ({"M/a": 3}, "only 1 miners are weighed like M/a"),
        ({"M/a": 3, "M/b": 3, "M/c": 2}, "only 1 miners are weighed like M/c"),
        ({"M/a": 3, "M/b": 3, "M/c": 3}, "add up to 9: at most 8"),
        ({"M/a": 3, "M/d": 1}, "has revealed nothing"),
    ],
)
def test_a_selection_that_may_not_be_opened_is_refused_whatever_the_ledger_authorised(
    journal: Journal, verdicts: dict[str, int], words: str
) -> None:
    seen = view()
    del seen.round.selection.verdicts[:]
    for miner, weight in verdicts.items():
        seen.round.selection.verdicts.add(miner=miner, weight=weight, reason=b.CONTRIBUTES)
    total = next(one for one in seen.authorisations if one.purpose == AGGREGATE_DECRYPTION)
    del total.updates[:], total.weights[:]
    for miner, weight in verdicts.items():
        total.updates.append(ref(miner[-1]))
        total.weights.append(weight)
    with pytest.raises(NotAuthorised, match=words):
        guard.take(seen, AGGREGATE_DECRYPTION, journal)


def test_one_update_revealed_by_two_is_not_added_up_twice(journal: Journal) -> None:
    seen = view()
    seen.submissions[2].manifest.update.CopyFrom(ref("a"))
    del seen.authorisations[:]
    seen.authorisations.append(guard.expected(seen, AGGREGATE_DECRYPTION))
    with pytest.raises(NotAuthorised, match="twice"):
        guard.take(seen, AGGREGATE_DECRYPTION, journal)


def test_a_ledger_that_shows_something_else_later_gets_no_second_answer(journal: Journal) -> None:
    first = view()
    guard.take(first, AGGREGATE_DECRYPTION, journal)
    other = copy.deepcopy(first)
    other.round.selection.verdicts[1].weight = 2
    other.round.selection.verdicts[1].reason = b.CONTRIBUTES
    del other.authorisations[:]
    other.authorisations.append(guard.expected(other, AGGREGATE_DECRYPTION))
    other.authorisations[0].at_ms = 7
    with pytest.raises(NotAuthorised, match="answered for other data"):
        guard.take(other, AGGREGATE_DECRYPTION, journal)
    assert list(guard.take(first, AGGREGATE_DECRYPTION, journal).weights) == [2, 2]


def test_a_sum_that_shows_one_miner_beside_another_on_its_base_is_refused(journal: Journal) -> None:
    seen = view()
    seen.opened.groups.add(miners=["M/a", "M/b", "M/c"])
    with pytest.raises(NotAuthorised, match="only 1 miners are weighed like M/b"):
        guard.take(seen, AGGREGATE_DECRYPTION, journal)
    del seen.opened.groups[:]
    seen.opened.groups.add(miners=["M/a", "M/c"])  # as the ledger shows it once this sum is one of them
    guard.take(seen, AGGREGATE_DECRYPTION, journal)


def test_an_authorisation_is_of_its_round_and_the_miners_order_counts_for_a_sum_only() -> None:
    seen = view()
    for one in seen.authorisations:
        assert (one.task_id, one.round) == ("t-1", 2)
        assert guard.fault(seen, one) == ""
    sketches, total = seen.authorisations
    turned = [copy.deepcopy(sketches), copy.deepcopy(total)]
    for one in turned:
        updates = list(reversed(one.updates))
        del one.updates[:]
        one.updates.extend(updates)
    assert guard.fault(seen, turned[0]) == ""
    assert "updates that the round's records name" in guard.fault(seen, turned[1])


def test_weights_may_add_up_to_the_tasks_limit_and_no_further() -> None:
    seen = view()
    total = seen.authorisations[1]
    seen.task.spec.ckks.max_weight_sum = sum(total.weights)
    assert guard.fault(seen, total) == ""
    seen.task.spec.ckks.max_weight_sum -= 1
    assert "its weights add up to 4: at most 3" in guard.fault(seen, total)
