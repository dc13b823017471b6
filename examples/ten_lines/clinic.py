"""A torch module that trains, and what makes it a workload: the import, and the lines below the module."""

from quorumlearn.learning import TorchWorkload, readers
from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.ReLU())
        self.head = nn.Linear(8, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(inputs))
        return scores


TABLE = readers.csv(features=["age", "pulse", "pain"], target="ill")
CLINIC = TorchWorkload("clinic", Net, metric="auc", load=TABLE)
