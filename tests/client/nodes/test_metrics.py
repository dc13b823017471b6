"""What a node counts can be read over HTTP, and names no content."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest
from quorumlearn.nodes import metrics
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.common_pb2 import Head


def read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_steps_rounds_and_transactions_are_served() -> None:
    port = metrics.serve("127.0.0.1", 0, list)
    view = b.TaskView(state=t.TaskState(task_id="metered", head=Head(height=3)))
    view.round.CopyFrom(b.Round(number=4, phase=b.SCREEN))
    metrics.seen(view)
    with metrics.timed(metrics.STEPS, "a step of this test"):
        pass
    text = read(port)
    assert 'quorumlearn_round{task="metered"} 4.0' in text
    assert f'quorumlearn_phase{{task="metered"}} {float(b.SCREEN)}' in text
    assert 'quorumlearn_block_height{task="metered"} 3.0' in text
    assert 'quorumlearn_step_seconds_count{step="a step of this test"} 1.0' in text


def test_a_step_that_fails_is_not_timed() -> None:
    with pytest.raises(ValueError, match="no"), metrics.timed(metrics.STEPS, "a failing step"):
        raise ValueError("no")
    assert 'step="a failing step"' not in read(metrics.serve("127.0.0.1", 0, list))


def test_every_metric_is_counted_somewhere() -> None:
    where = Path(metrics.__file__).parent
    code = "".join(path.read_text() for path in where.rglob("*.py"))
    for name in re.findall(
        r"^([A-Z]+) = (?:Counter|Gauge|Histogram)\(", Path(metrics.__file__).read_text(), re.MULTILINE
    ):
        used = rf"\b{name}\.(labels|inc|set|observe)\(|metrics\.timed\(metrics\.{name}\b"
        assert re.search(used, code), f"{name} is never counted"
