"""The pipes to an app's process: frames, processes that answer nonsense, and none that outlives its node."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn.learning import TrainingError, WorkloadError
from quorumlearn.learning.flower import FlowerData, worker
from quorumlearn.learning.flower.process import AppProcess, Opening
from quorumlearn.learning.flower.spread import spread

from tests.client.learning.flower.conftest import Make

HOSTILE = """#!{python}
import json, os, struct, sys
def read(n):
    data = b""
    while len(data) < n: data += os.read(0, n - len(data))
    return data
def frame(*fields): return b"".join(struct.pack("<Q", len(one)) + one for one in fields)
for _ in range(3): read(struct.unpack("<Q", read(8))[0])
shapes = frame(json.dumps({{"shapes": {{"a": [2]}}}}).encode(), b"", b"")
answers = {answers}
os.write(1, answers[0])
if len(answers) > 1:
    for _ in range(3): read(struct.unpack("<Q", read(8))[0])
    os.write(1, answers[1])
read(1)
"""


def hostile(folder: Path, answers: str) -> AppProcess:
    script = folder / "python"
    script.write_text(HOSTILE.format(python=sys.executable, answers=answers))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return AppProcess("own", Opening(str(script), "a:b", "a:c", folder), timeout=5)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("frame(b'[]', b'', b'')", "no JSON object"),
        ("frame(b'{', b'', b'')", "no JSON"),
        ("struct.pack('<Q', 1 << 60)", "a field of 1152921504606846976 bytes"),
        ("frame(b'{}', b'', b'')", "told no tensors"),
        ("""frame(b'{"shapes": {"a": ["x"]}}', b'', b'')""", "tensors that have no shape"),
        ("""frame(b'{"shapes": {"a": [-1]}}', b'', b'')""", "tensors that have no shape"),
    ],
)
def test_a_process_that_opens_with_nonsense(tmp_path: Path, answer: str, says: str) -> None:
    process = hostile(tmp_path, f"[{answer}]")
    with pytest.raises(WorkloadError, match=says):
        process.shapes()
    assert process.pid is None


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("frame(b'{}', b'', b'x' * 9)", "a field of 9 bytes; at most 8 are expected"),
        ("frame(b'{}', b'')[:10]", "did not answer|ended"),
        ("frame(b'x' * (1 << 21), b'', b'')", "a field of 2097152 bytes"),
    ],
)
def test_a_process_that_answers_nonsense_is_ended(tmp_path: Path, answer: str, says: str) -> None:
    process = hostile(tmp_path, f"[shapes, {answer}]")
    assert process.shapes() == {"a": (2,)}
    with pytest.raises(TrainingError, match=says):
        process.ask({"do": "train"}, b"", b"", most_arrays=8)
    assert process.pid is None


@given(
    st.dictionaries(st.text(), st.integers() | st.text() | st.floats(allow_nan=False)),
    st.binary(),
    st.binary(),
)
def test_a_frame_comes_as_it_went(header: dict[str, object], second: bytes, third: bytes) -> None:
    stream = io.BytesIO()
    worker.send(stream, header, second, third)
    stream.seek(0)
    assert worker.receive(stream, len(second), len(third)) == (header, second, third)
    if third:
        stream.seek(0)
        with pytest.raises(worker.BadFrame):
            worker.receive(stream, len(second), len(third) - 1)


NODE = """
import sys
from pathlib import Path
from quorumlearn.learning.flower import FlowerData, FlowerSettings, definition
entry = {"app": "client_app:app", "model": "client_app:initial", "python": sys.argv[1]}
own = definition("own", entry, Path(sys.argv[2])).build(FlowerSettings())
model = own.initial_model(1)
print(own.process.pid, flush=True)
own.train(model, FlowerData("AMSP/a", {"mode": "hang"}, 1, ""), seed=1)
"""


@pytest.mark.usefixtures("make")
def test_no_app_outlives_its_node(tmp_path: Path, interpreter: Path) -> None:
    node = subprocess.Popen(
        [sys.executable, "-c", NODE, str(interpreter), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert node.stdout is not None
    app = psutil.Process(int(node.stdout.readline()))
    assert "client_app" not in " ".join(app.cmdline()), "what it is to do comes over the pipe"
    node.kill()
    node.communicate()
    assert app.wait(60) is None


def test_an_app_ends_with_what_it_started(make: Make) -> None:
    own = make()
    _ = own.shapes
    app = psutil.Process(own.process.pid)
    assert os.getpgid(app.pid) == app.pid, "a group of its own: a terminal's interrupt is for the node"
    own.process.close()
    assert not app.is_running()
    assert own.train(own.initial_model(1), FlowerData("AMSP/a", {}, 1, ""), seed=1).samples == 12


def test_a_process_that_was_killed_is_started_again(make: Make) -> None:
    own = make()
    model, data = own.initial_model(1), FlowerData("AMSP/a", {}, 1, "")
    assert own.process.pid is not None
    os.kill(own.process.pid, signal.SIGKILL)
    with pytest.raises(TrainingError, match="ended by signal SIGKILL"):
        own.train(model, data, seed=1)
    assert own.train(model, data, seed=1).samples == 12


@given(
    st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    st.floats(-5, 5),
    st.floats(0.1, 10),
    st.binary(min_size=32, max_size=32),
)
def test_a_mean_as_samples(counts: tuple[int, int], least: float, wide: float, order: bytes) -> None:
    n, right = counts
    mean = least + wide * right / n
    parts = spread(mean, n, least, least + wide, order)
    assert len(parts) == n
    assert parts.mean() == pytest.approx(mean, abs=1e-9 * (1 + abs(least) + wide))
    assert (parts >= least - 1e-9).all() and (parts <= least + wide + 1e-9).all()
    assert len(set(parts.round(6))) <= 2


def test_a_mean_that_is_no_count_of_samples_is_kept() -> None:
    parts = spread(0.333, 10, 0.0, 1.0, bytes(32))
    assert parts.mean() == pytest.approx(0.333)
    assert sorted(parts)[:6] == [0] * 6 and sorted(parts)[-3:] == [1] * 3
