"""Who holds which samples: divisions of a data set among miners, and of a test set among verifiers.

Every division is a partition: each sample in exactly one shard, no shard empty, the same for the same seed.
Shards are sorted index arrays. Schemes:

- `iid`: a random division into parts whose sizes differ by at most one.
- `dirichlet`: each class is divided by proportions drawn from Dirichlet(alpha), so that a small alpha gives
  miners few classes; Hsu, Qi, Brown, https://arxiv.org/abs/1909.06335.
- `one_class`: each miner holds one class; with fewer miners than classes, as few as possible.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from quorumlearn.learning.errors import ShardError
from quorumlearn.seeds import derive

Labels = NDArray[np.int64]
Indices = NDArray[np.int64]
Scheme = Literal["iid", "dirichlet", "one_class"]


def iid(labels: Labels, count: int, seed: int) -> list[Indices]:
    """A random division of all samples into `count` even shards. ShardError if there are too few samples."""
    _check(labels, count)
    return [np.sort(part) for part in np.array_split(_random("iid", seed).permutation(len(labels)), count)]


def dirichlet(labels: Labels, count: int, alpha: float, seed: int) -> list[Indices]:
    """A division by class with proportions from Dirichlet(alpha), alpha > 0; ShardError as for `iid`.

    A shard that comes out empty takes one sample from the largest.
    """
    _check(labels, count)
    if not (0 < alpha < float("inf")):
        raise ShardError(f"alpha = {alpha}; it must be a number above 0")
    random = _random("dirichlet", seed)
    shards: list[list[int]] = [[] for _ in range(count)]
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        cuts = (np.cumsum(_proportions(random, alpha, count))[:-1] * len(members)).astype(np.int64)
        for shard, part in zip(shards, np.split(members, cuts), strict=True):
            shard.extend(part.tolist())
    return _filled(shards)


def one_class(labels: Labels, count: int, seed: int) -> list[Indices]:
    """A division in which miner i holds class i modulo the number of classes (or, with fewer miners than
    classes, the classes that are i modulo `count`); ShardError as for `iid`."""
    _check(labels, count)
    random = _random("one_class", seed)
    classes = np.unique(labels)
    shards: list[list[int]] = [[] for _ in range(count)]
    for place, label in enumerate(classes):
        holders = (
            range(place, count, len(classes)) if place < count else range(place % count, place % count + 1)
        )
        members = random.permutation(np.flatnonzero(labels == label))
        for holder, part in zip(holders, np.array_split(members, len(holders)), strict=True):
            shards[holder].extend(part.tolist())
    return _filled(shards)


@dataclass(frozen=True)
class ShardSpec:
    """One shard of a division, as text `scheme[:alpha]:index/count[@seed]`; index counts from 0.

    >>> ShardSpec.parse("dirichlet:0.3:2/8@7")
    ShardSpec(scheme='dirichlet', count=8, index=2, alpha=0.3, seed=7)
    >>> str(ShardSpec.parse("iid:0/6"))
    'iid:0/6@0'
    """

    scheme: Scheme
    count: int
    index: int
    alpha: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.scheme not in get_args(Scheme):
            raise ShardError(f"no scheme {self.scheme!r}; there are {', '.join(get_args(Scheme))}")
        if not 0 <= self.index < self.count:
            raise ShardError(
                f"shard {self.index} of {self.count}; shards count from 0 to one less than their number"
            )
        if (self.alpha is not None) != (self.scheme == "dirichlet"):
            raise ShardError(
                f"{self.scheme} {'needs an' if self.scheme == 'dirichlet' else 'takes no'} alpha"
            )
        if self.alpha is not None and not 0 < self.alpha < float("inf"):
            raise ShardError(f"alpha = {self.alpha}; it must be a number above 0")

    @classmethod
    def parse(cls, text: str) -> ShardSpec:
        """Read the text form; ShardError shows the form if it is not."""
        match = re.fullmatch(
            r"([a-z_]+)(?::([0-9.e+-]+))?:([0-9]{1,6})/([0-9]{1,6})(?:@([0-9]{1,18}))?", text
        )
        if match is None:
            raise ShardError(
                f"{text!r} names no shard; write scheme:index/count@seed, as iid:0/6 or dirichlet:0.3:2/8@7"
            )
        name, alpha, index, count, seed = match.groups()
        try:
            number = None if alpha is None else float(alpha)
        except ValueError as error:
            raise ShardError(f"alpha = {alpha!r} is not a number") from error
        return cls(cast("Scheme", name), int(count), int(index), number, int(seed or 0))

    def __str__(self) -> str:
        alpha = "" if self.alpha is None else f":{self.alpha!r}"
        return f"{self.scheme}{alpha}:{self.index}/{self.count}@{self.seed}"

    def indices(self, labels: Labels) -> Indices:
        """The samples of this shard of a data set with these labels."""
        if self.scheme == "iid":
            return iid(labels, self.count, self.seed)[self.index]
        if self.scheme == "one_class":
            return one_class(labels, self.count, self.seed)[self.index]
        assert self.alpha is not None
        return dirichlet(labels, self.count, self.alpha, self.seed)[self.index]


def _random(purpose: str, seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(derive(purpose, seed)))


def _check(labels: Labels, count: int) -> None:
    if count < 1 or len(labels) < count:
        raise ShardError(f"{len(labels)} samples cannot be divided into {count} shards that are not empty")


def _proportions(random: np.random.Generator, alpha: float, count: int) -> NDArray[np.float64]:
    """A draw from Dirichlet(alpha); where alpha is so small that the draw underflows, all for one."""
    drawn = random.dirichlet(np.full(count, alpha))
    if np.isfinite(drawn).all() and drawn.sum() > 0:
        return drawn
    alone = np.zeros(count)
    alone[random.integers(count)] = 1.0
    return alone


def _filled(shards: list[list[int]]) -> list[Indices]:
    for shard in shards:
        if not shard:
            shard.append(max(shards, key=len).pop())
    return [np.sort(np.array(shard, dtype=np.int64)) for shard in shards]
