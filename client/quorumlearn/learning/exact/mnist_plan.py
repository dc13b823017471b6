"""The built-in workloads on images of digits, to be trained exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from quorumlearn.learning.data import Samples
from quorumlearn.learning.exact.operations import PortableOperations
from quorumlearn.learning.exact.optimisers import Sgd
from quorumlearn.learning.exact.plan import Layout
from quorumlearn.learning.mnist import MnistWorkload
from quorumlearn.learning.mnist_training import FORWARD, images_and_labels


@dataclass(frozen=True)
class MnistPlan:
    """See `Plan`."""

    workload: MnistWorkload

    @property
    def name(self) -> str:
        return self.workload.name

    @property
    def epochs(self) -> int:
        return self.workload.config.epochs

    @cached_property
    def layout(self) -> Layout:
        rule = Sgd(self.workload.config.learning_rate, self.workload.config.momentum)
        return Layout(self.workload.shapes, {}, dict.fromkeys(self.workload.shapes, rule))

    @contextmanager
    def opened(self, data: Samples, seed: bytes, dtype: torch.dtype) -> Iterator[MnistSubject]:
        images, labels = images_and_labels(self.name, data)
        parameters = {
            name: torch.zeros(shape, dtype=dtype, requires_grad=True)
            for name, shape in self.workload.shapes.items()
        }
        operations = PortableOperations(self.name, seed) if dtype == torch.float64 else None
        yield MnistSubject(self.name, images, labels, parameters, dtype, operations)


@dataclass(frozen=True, eq=False)
class MnistSubject:
    """See `Subject`."""

    name: str
    images: Tensor
    labels: Tensor
    parameters: Mapping[str, Tensor]
    dtype: torch.dtype
    operations: PortableOperations | None

    def buffer(self, name: str) -> Tensor:
        raise KeyError(name)

    def learn(self, batch: NDArray[np.int64], step: int) -> float:
        chosen = torch.from_numpy(batch)
        images, labels = self.images[chosen].to(self.dtype), self.labels[chosen]
        with nullcontext() if self.operations is None else self.operations.at(step):
            loss = functional.cross_entropy(FORWARD[self.name](self.parameters, images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.item())
