"""What is tried of a workload, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from quorumlearn.nodes.trial.fitting import Fit
from quorumlearn.nodes.trial.price import Price

Verdict = Literal["holds", "note", "fails"]


@dataclass(frozen=True)
class Settings:
    """What is tried: a workload with a configuration, its data, and which parts of them train.

    parts: of which each is a miner's; none: `miners` even shards of the whole. test_part: whose test data score. public: blocks.
    """

    workload: str
    config: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    parts: tuple[str, ...] = ()
    test_part: str = ""
    miners: int = 4
    public: tuple[str, ...] = ("all",)
    preset: str = "default"


@dataclass(frozen=True)
class Finding:
    """One check: what it looked at, how it ended, and a sentence."""

    check: str
    verdict: Verdict
    said: str


@dataclass(frozen=True)
class Travels:
    """The public part of a model: what leaves a miner. blocks: parameters of each. stays: private blocks. digest: as in the task."""

    parameters: int
    blocks: Mapping[str, int]
    tensors: Mapping[str, tuple[int, ...]]
    stays: tuple[str, ...]
    fixed: Mapping[str, str]
    digest: str


@dataclass(frozen=True)
class Scored:
    """The public model after so many rounds; 0: as the task begins. loss: mean over test samples. seconds: all trainings of the round."""

    number: int
    score: float
    loss: float
    seconds: float


@dataclass(frozen=True)
class Report:
    """What a trial found; what it did not get to is None or empty."""

    workload: str
    version: str
    metric: str
    lower_is_better: bool
    travels: Travels | None
    miners: tuple[int, ...]
    test: int
    rounds: tuple[Scored, ...]
    fit: Fit | None
    encrypted: float | None
    price: Price | None
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.verdict == "fails")
