"""An audit compares the task's specification with block 0, which was made when it was published, and with the state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.audit.checks import Check, Result
from quorumlearn.nodes.audit.records import Money, Record
from quorumlearn.nodes.audit.replay import audit
from quorumlearn_chaincode.contracts.settlement import genesis
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.derived import spec_digest


@pytest.fixture
def published() -> Record:
    spec = t.TaskSpec(task_id="t", min_aggregate=4)
    digest = spec_digest(spec)
    first = genesis(t.Task(spec=spec, spec_digest=digest))
    return Record(spec, t.TaskState(spec_digest=digest), (), (first,), (), (), {}, {}, Money())


def only_check(record: Record, folder: Path) -> Check:
    found = audit(record, ArtifactStore(str(folder)))
    assert [one.round for one in found] == [0, 0]
    return next(one for one in found if one.what == "specification")


def test_a_task_as_it_was_published_is_well(published: Record, tmp_path: Path) -> None:
    assert only_check(published, tmp_path).result is Result.OK


@pytest.mark.parametrize("state_follows", [False, True])
def test_a_rewritten_task_is_a_violation_whatever_its_state_says(
    published: Record, tmp_path: Path, state_follows: bool
) -> None:
    other = t.TaskSpec(task_id="t", min_aggregate=1)
    state = t.TaskState(spec_digest=spec_digest(other)) if state_follows else published.state
    found = only_check(replace(published, spec=other, state=state), tmp_path)
    assert found.result is Result.VIOLATION
    assert f"block 0 names {spec_digest(published.spec)[:12]}" in found.detail


def test_a_block_0_that_was_rewritten_as_well_does_not_have_its_digest(
    published: Record, tmp_path: Path
) -> None:
    other = t.TaskSpec(task_id="t", min_aggregate=1)
    published.blocks[0].core.previous = spec_digest(other)
    rewritten = replace(published, spec=other, state=t.TaskState(spec_digest=spec_digest(other)))
    found = only_check(rewritten, tmp_path)
    assert found.result is Result.VIOLATION
    assert "block 0 is not what its digest says" in found.detail
