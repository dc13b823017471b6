"""What contracts and nodes derive alike: the beacon, its commitments, votes as they are compared, failed attempts, least aggregates."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn_proto.block_pb2 import Blame, BlameVote, Fault, KeyContribution, Reason, Selection, Verdict
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.derived import (
    attempt_failed,
    bare_blame,
    bare_selection,
    beacon_commitment,
    beacon_of,
    least_aggregate,
)
from quorumlearn_proto.task_pb2 import TaskSpec


def test_the_beacon_is_the_hash_of_seats_and_secrets_by_seat() -> None:
    secrets = {3: "33" * 32, 1: "11" * 32}
    written = b"\x00\x00\x00\x01" + b"\x11" * 32 + b"\x00\x00\x00\x03" + b"\x33" * 32
    assert beacon_of(secrets) == hashlib.sha256(written).hexdigest()
    assert beacon_of({1: "33" * 32, 3: "11" * 32}) != beacon_of(secrets)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_commitment_is_to_its_secret_only(one: bytes, other: bytes) -> None:
    assert beacon_commitment(one) == hashlib.sha256(one).hexdigest()
    assert (beacon_commitment(one) == beacon_commitment(other)) == (one == other)


def test_selections_are_compared_without_details_and_by_all_else() -> None:
    vote = Selection(verdicts=[Verdict(miner="M/a", weight=3, reason=Reason.CONTRIBUTES, detail="near")])
    same = Selection(verdicts=[Verdict(miner="M/a", weight=3, reason=Reason.CONTRIBUTES, detail="far")])
    assert bare_selection(vote) == bare_selection(same) != vote
    for field, value in (("miner", "M/b"), ("weight", 2), ("reason", Reason.OUTLIER)):
        other = Selection()
        other.CopyFrom(vote)
        setattr(other.verdicts[0], field, value)
        assert bare_selection(other) != bare_selection(vote)


def test_votes_of_blame_are_compared_in_any_order_and_without_details() -> None:
    one = Blame(seat=1, fault=Fault.BAD_DEALING, detail="does not open")
    two = Blame(seat=2, fault=Fault.BAD_PUBLIC_SHARE)
    vote = bare_blame(BlameVote(blames=[two, one]))
    assert vote == bare_blame(BlameVote(blames=[Blame(seat=1, fault=Fault.BAD_DEALING), two]))
    assert vote != bare_blame(BlameVote(blames=[Blame(seat=1, fault=Fault.BAD_TEST_PARTIAL), two]))


def confirmed(digest: str, size: int = 1) -> KeyContribution:
    return KeyContribution(confirmed_key=ArtifactRef(digest=digest, size=size))


@pytest.mark.parametrize(
    ("parts", "failed"),
    [
        ([], False),
        ([KeyContribution(test_partial=ArtifactRef(digest="a", size=1))], False),
        ([KeyContribution(complaint="it does not open")], True),
        ([confirmed("a"), confirmed("a"), KeyContribution()], False),
        ([confirmed("a"), confirmed("b")], True),
        ([confirmed("a"), confirmed("a", 2)], True),
        ([confirmed("a"), KeyContribution(complaint="it does not open")], True),
    ],
)
def test_an_attempt_has_failed_by_a_complaint_or_by_two_keys(
    parts: list[KeyContribution], failed: bool
) -> None:
    assert attempt_failed(parts) is failed


@pytest.mark.parametrize(("named", "f", "least"), [(0, 0, 2), (0, 3, 5), (7, 3, 7)])
def test_the_least_aggregate_mixes_two_besides_those_who_may_cheat_unless_the_task_names_more(
    named: int, f: int, least: int
) -> None:
    assert least_aggregate(TaskSpec(min_aggregate=named, byzantine=f)) == least
