"""A Flower app on numpy alone, whose behaviour an identity's part chooses, and the interpreter that it runs in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from quorumlearn.learning.flower import FlowerSettings, FlowerWorkload, definition

ROOT = Path(__file__).resolve().parents[4]
INTERPRETER = Path(os.environ.get("QUORUMLEARN_FLOWER", ROOT / ".venv-flower")) / "bin" / "python"
APP = """
import os, signal, sys, time
import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

def initial():
    return [np.random.standard_normal((4, 3)), np.zeros(3, np.float32), np.array([0], np.int64)]

class Broken:
    def state_dict(self):
        raise RuntimeError("no model today")

app = ClientApp()

def counted(context):
    turns = context.state["turns"]["n"] + 1 if "turns" in context.state else 1
    context.state["turns"] = ConfigRecord({"n": turns})
    return turns

@app.train()
def train(msg: Message, context: Context):
    mode, arrays = context.node_config.get("mode", "good"), msg.content["arrays"].to_numpy_ndarrays()
    turns = counted(context)
    print("the app prints", mode)
    if mode == "raise": raise ValueError("no such\\nfile: x" + "y" * 5000)
    if mode == "exit": sys.stderr.write("out of luck\\n"); sys.stderr.flush(); os._exit(3)
    if mode == "leave": sys.exit("the app leaves")
    if mode == "die": os.kill(os.getpid(), signal.SIGKILL)
    if mode == "hang": time.sleep(1000)
    if mode == "ask": input()
    if mode == "error": return Message(Error(7, "not today"), reply_to=msg)
    if mode == "text": return "done"
    if mode == "environment": raise ValueError(" ".join(name for name in os.environ if "QUORUMLEARN" in name or name == "PYTHONPATH"))
    moved = [one + np.random.uniform(0.1, 1) if one.dtype.kind == "f" else one + 1 for one in arrays]
    if mode == "nan": moved[1][0] = np.nan
    if mode == "shape": moved[0] = moved[0].T
    if mode == "fewer": moved = moved[:2]
    if mode == "complex": moved[0] = moved[0] * 1j
    loss = float(arrays[2][0]) if mode == "kept" else float(turns)
    content = RecordDict({"arrays": ArrayRecord(moved), "metrics": MetricRecord({"train_loss": loss, "num-examples": 12})})
    if mode == "nothing": del content["arrays"]
    if mode == "uncounted": del content["metrics"]
    return Message(content, reply_to=msg)

@app.evaluate()
def evaluate(msg: Message, context: Context):
    mode = context.node_config.get("mode", "good")
    if mode == "picky" and msg.content["arrays"].to_numpy_ndarrays()[0].max() > 1e6: raise ValueError("Input contains NaN")
    scores = {"good": 0.75, "list": [1.0, 0.0, 1.0], "nan": float("nan"), "much": 1.5}
    metrics = {"eval_loss": 0.5, "eval_acc": scores.get(mode, 0.5), "num-examples": 40}
    if mode == "keyless": del metrics["eval_acc"]
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=msg)
"""

Make = Callable[..., FlowerWorkload]


@pytest.fixture
def interpreter() -> Path:
    if not INTERPRETER.exists():
        pytest.skip(f"no interpreter with flwr at {INTERPRETER}; make setup makes one")
    return INTERPRETER


@pytest.fixture
def make(tmp_path: Path, interpreter: Path) -> Iterator[Make]:
    """Workloads of the app above, or of another source, with these keys in the node's file. Their processes end with the test."""
    (tmp_path / "client_app.py").write_text(APP)
    made: list[FlowerWorkload] = []

    def build(config: Mapping[str, object] | None = None, **entry: object) -> FlowerWorkload:
        keys = {"app": "client_app:app", "model": "client_app:initial", "python": str(interpreter)} | entry
        found = definition("own", keys, tmp_path).build(FlowerSettings.model_validate(config or {}))
        made.append(found)
        return found

    yield build
    for one in made:
        one.process.close()
