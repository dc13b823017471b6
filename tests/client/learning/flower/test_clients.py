"""Apps as people have them: a NumPyClient by its client_fn, a torch module with BatchNorm and half precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quorumlearn.learning import TrainingError
from quorumlearn.learning.flower import FlowerData

from tests.client.learning.flower.conftest import Make

NUMPY_CLIENT = """
import numpy as np
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp

class Client(NumPyClient):
    def __init__(self, partition):
        self.partition = partition
    def fit(self, parameters, config):
        return [one + self.partition for one in parameters], 7, {"train_loss": config["lr"]}
    def evaluate(self, parameters, config):
        return 0.25, 8, {"accuracy": 0.5}

def client_fn(context):
    return Client(context.node_config["partition-id"]).to_client()

app = ClientApp(client_fn=client_fn)
initial = [np.zeros((2, 2)), np.ones(3)]
"""

TORCH = """
import torch
from flwr.app import ArrayRecord, MetricRecord, Message, RecordDict
from flwr.clientapp import ClientApp

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Linear(3, 2)
        self.norm = torch.nn.BatchNorm1d(2)
        self.head = torch.nn.Linear(2, 2).half()

app = ClientApp()

@app.train()
def train(msg, context):
    net = Net()
    net.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    assert net.head.weight.dtype == torch.float16
    before = int(net.norm.num_batches_tracked)
    net.norm(torch.randn(8, 2))
    metrics = MetricRecord({"train_loss": float(before), "num-examples": 8, "drawn": torch.randn(1).item()})
    return Message(RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": metrics}), reply_to=msg)
"""


@pytest.mark.parametrize("named", ["app", "client_fn"])
def test_a_numpy_client(make: Make, tmp_path: Path, named: str) -> None:
    (tmp_path / "numpy_client.py").write_text(NUMPY_CLIENT)
    own = make(
        app=f"numpy_client:{named}",
        model="numpy_client:initial",
        score={"key": "accuracy"},
        loss={"evaluate": "loss"},
    )
    data = FlowerData("AMSP/a", {"partition-id": 2}, 7, "")
    model = own.initial_model(1)
    result = own.train(model, data, seed=1)
    assert (result.model["arrays.0"] == 2).all() and (result.model["arrays.1"] == 3).all()
    assert (result.samples, result.loss) == (7, 0.1)
    score = own.evaluate(model, data)
    assert (score.value, score.samples, score.loss) == (0.5, 8, 0.25)
    with pytest.raises(TrainingError, match="KeyError: 'partition-id'"):
        own.train(model, FlowerData("AMSP/b", {}, 7, ""), seed=1)


def test_a_torch_module(make: Make, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(TORCH)
    own = make(app="net:app", model="net:Net")
    assert own.blocks == ("body", "head", "norm")
    assert "norm.running_mean" in own.shapes and "norm.num_batches_tracked" not in own.shapes
    model, data = own.initial_model(1), FlowerData("AMSP/a", {}, 8, "")
    first, again = own.train(model, data, seed=3), own.train(model, data, seed=3)
    assert (first.loss, again.loss) == (0, 1), "BatchNorm counts on, at home"
    assert np.array_equal(first.model["norm.running_mean"], again.model["norm.running_mean"])
    other = own.train(model, data, seed=4)
    assert not np.array_equal(first.model["norm.running_mean"], other.model["norm.running_mean"])
    assert np.array_equal(first.model["head.weight"], model["head.weight"])
