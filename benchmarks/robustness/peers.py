"""What others would do with the same updates, in the clear.

`flower-multi-krum` is Flower's MultiKrum strategy as its documentation and its `aggregate_krum` define it, written
anew here because `flwr` is not among our dependencies: scores are sums of squared distances to the n - f - 2 nearest, the
n - f best are averaged by their numbers of examples. The others are ByzFL's own code: `byzfl-nnm-trimmed-mean` and
`byzfl-nnm-geometric-median` are the compositions its authors recommend, `byzfl-arc-nnm-trimmed-mean` with their adaptive clipping
before it, `byzfl-median` needs no f. Left out: MDA and SMEA try all subsets, 4,845 with 4 of 20 and 125,970 with 8; MoNNA trusts one miner;
centred clipping needs a length that nobody tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import byzfl
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def flower_multi_krum(updates: Floats, byzantine: int, examples: Sequence[int]) -> Floats:
    """Flower's MultiKrum with `num_clients_to_keep` of n - f."""
    count = len(updates)
    squares = (updates**2).sum(axis=1)
    apart = squares[:, None] + squares[None, :] - 2 * updates @ updates.T
    np.fill_diagonal(apart, -np.inf)
    closest = max(1, count - byzantine - 2)
    scores = np.sort(apart, axis=1)[:, 1 : closest + 1].sum(axis=1)
    kept = np.argsort(scores)[: count - byzantine]
    parts = np.array([float(examples[i]) for i in kept])
    mean: Floats = (parts[:, None] * updates[kept]).sum(axis=0) / parts.sum()
    return mean


def _nnm_trimmed_mean(updates: Floats, byzantine: int, examples: Sequence[int]) -> Floats:
    return np.asarray(byzfl.TrMean(byzantine)(byzfl.NNM(byzantine)(updates)))


def _nnm_geometric_median(updates: Floats, byzantine: int, examples: Sequence[int]) -> Floats:
    return np.asarray(byzfl.GeometricMedian(nu=1e-6, T=20)(byzfl.NNM(byzantine)(updates)))


def _nnm_multi_krum(updates: Floats, byzantine: int, examples: Sequence[int]) -> Floats:
    return np.asarray(byzfl.MultiKrum(byzantine)(byzfl.NNM(byzantine)(updates)))


def _nnm_meamed(updates: Floats, byzantine: int, examples: Sequence[int]) -> Floats:
    return np.asarray(byzfl.Meamed(byzantine)(byzfl.NNM(byzantine)(updates)))


def _arc_nnm_trimmed_mean(updates: Floats, byzantine: int, examples: Sequence[int]) -> Floats:
    return np.asarray(byzfl.TrMean(byzantine)(byzfl.NNM(byzantine)(byzfl.ARC(byzantine)(updates))))


def _caf(updates: Floats, byzantine: int, examples: Sequence[int]) -> Floats:
    return np.asarray(byzfl.CAF(byzantine)(updates))


def _median(updates: Floats, byzantine: int, examples: Sequence[int]) -> Floats:
    return np.asarray(byzfl.Median()(updates))


PEERS: Mapping[str, Callable[[Floats, int, Sequence[int]], Floats]] = {
    "flower-multi-krum": flower_multi_krum,
    "byzfl-nnm-trimmed-mean": _nnm_trimmed_mean,
    "byzfl-nnm-geometric-median": _nnm_geometric_median,
    "byzfl-nnm-multi-krum": _nnm_multi_krum,
    "byzfl-nnm-meamed": _nnm_meamed,
    "byzfl-arc-nnm-trimmed-mean": _arc_nnm_trimmed_mean,
    "byzfl-caf": _caf,
    "byzfl-median": _median,
}


def aggregate(peer: str, updates: Floats, byzantine: int, examples: Sequence[int]) -> Floats:
    """The step (d,) that this peer makes of updates (n, d)."""
    return PEERS[peer](updates, byzantine, examples)
