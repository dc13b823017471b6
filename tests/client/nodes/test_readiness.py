"""/readyz: 503 and why until a node has the ledger, its data and the tasks; 200 then, and 503 again while it has lost one."""

from __future__ import annotations

import urllib.error
import urllib.request

from quorumlearn.nodes import metrics
from quorumlearn.nodes.readiness import Part, Readiness


def answered(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_a_node_is_ready_when_it_has_everything_and_says_what_it_lacks() -> None:
    readiness = Readiness()
    problems: list[str] = []
    port = metrics.serve("127.0.0.1", 0, lambda: problems, lambda: readiness.lacks)
    assert answered(port, "/readyz") == (503, "".join(f"{part.value}\n" for part in Part))
    assert answered(port, "/healthz") == (200, "well\n")
    readiness.done(Part.PEER)
    assert readiness.failed(Part.DATA, ValueError("no such folder"))
    assert not readiness.failed(Part.DATA, ValueError("no such folder")), "the same is no news"
    readiness.done(Part.TASKS)
    assert answered(port, "/readyz") == (503, f"{Part.DATA.value}: no such folder\n")
    assert "quorumlearn_ready 0.0" in answered(port, "/metrics")[1]
    readiness.done(Part.DATA)
    assert answered(port, "/readyz") == (200, "ready\n")
    assert "quorumlearn_ready 1.0" in answered(port, "/metrics")[1]
    readiness.failed(Part.TASKS, ValueError("no peer answers"))
    assert answered(port, "/readyz") == (503, f"{Part.TASKS.value}: no peer answers\n")
    readiness.done(Part.TASKS)
    problems.append("no room in the store")
    assert answered(port, "/readyz") == (503, "no room in the store\n")
