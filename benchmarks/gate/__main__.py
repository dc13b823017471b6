"""How often the gate refuses a candidate that is no worse, and notices one that is, by metric and by the samples of a test set.

Base and candidate are drawn alike, sample by sample, many times; of every 1,000 it counts how many ballots say SCORE_FELL with a
tolerance of 0. `skewed` is a loss whose differences have a mean of 0 although most are for the worse: 1 less an exponential number.
`much worse` is a loss that rose by half a standard deviation of its differences.

    python -m benchmarks.gate [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

import numpy as np
from quorumlearn.learning import Score, accuracy, auc, mean_loss, millionths, perplexity, r2
from quorumlearn_proto.block_pb2 import Ballot
from quorumlearn_proto.gate import score_fell
from quorumlearn_proto.task_pb2 import TaskSpec, Workload

Pair = Callable[[np.random.Generator, int], tuple[Score, Score]]
SIZES = (8, 12, 20, 50, 200, 1000)
WHOLE, QUICK = 5_000, 50


def _accuracy(random: np.random.Generator, n: int) -> tuple[Score, Score]:
    first, second = (accuracy(random.random(n) < 0.7, 0.0) for _ in range(2))
    return first, second


def _auc(random: np.random.Generator, n: int) -> tuple[Score, Score]:
    """One in ten is of the rarer class, but at least twelve where there are so many."""
    labels = np.arange(n) < max(n // 10, min(n // 2, 12))
    shared = random.normal(size=n) + labels
    first, second = (auc(shared + random.normal(size=n), labels, 0.0) for _ in range(2))
    return first, second


def _r2(random: np.random.Generator, n: int) -> tuple[Score, Score]:
    true = random.normal(size=n)
    first, second = (r2(true + 0.7 * random.normal(size=n), true) for _ in range(2))
    return first, second


def _loss(random: np.random.Generator, n: int) -> tuple[Score, Score]:
    hard = random.exponential(size=n)
    first, second = (mean_loss(hard * random.exponential(size=n)) for _ in range(2))
    return first, second


def _perplexity(random: np.random.Generator, n: int) -> tuple[Score, Score]:
    hard = random.exponential(size=n)
    first, second = (perplexity(hard + 0.3 * random.normal(size=n)) for _ in range(2))
    return first, second


def _skewed(random: np.random.Generator, n: int) -> tuple[Score, Score]:
    hard = 5 + random.exponential(size=n)
    return mean_loss(hard), mean_loss(hard + 1 - random.exponential(size=n))


def _worse(random: np.random.Generator, n: int) -> tuple[Score, Score]:
    hard = 5 + random.exponential(size=n)
    return mean_loss(hard), mean_loss(hard + 0.5 + random.normal(size=n))


PAIRS: dict[str, Pair] = {
    "accuracy": _accuracy,
    "auc": _auc,
    "r2": _r2,
    "loss": _loss,
    "perplexity": _perplexity,
    "skewed": _skewed,
    "much worse": _worse,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few draws: to see that it runs")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    chosen = parser.parse_args()
    draws = QUICK if chosen.quick else WHOLE
    found = {name: {n: refused(pair, n, draws) for n in SIZES} for name, pair in PAIRS.items()}
    if chosen.json:
        sys.stdout.write(json.dumps({"draws": draws, "refused in 1,000": found}) + "\n")
        return 0
    sys.stdout.write(f"refused of 1,000 candidates, in {draws} draws; samples of the test set above\n\n")
    sys.stdout.write(f"| | {' | '.join(map(str, SIZES))} |\n| --- |{' ---: |' * len(SIZES)}\n")
    for name, row in found.items():
        sys.stdout.write(f"| {name} | {' | '.join(f'{one:.1f}' for one in row.values())} |\n")
    return 0


def refused(pair: Pair, n: int, draws: int) -> float:
    """Of 1,000 candidates how many are called worse than their base."""
    random, count = np.random.default_rng(n), 0
    for _ in range(draws):
        before, now = pair(random, n)
        fixed, metric = millionths(now, before), now.metric
        ballot = Ballot(score=fixed.score, base_score=fixed.base_score, chance=fixed.chance, total=n)
        spec = TaskSpec(workload=Workload(metric=metric.name, lower_is_better=metric.lower_is_better))
        count += score_fell(ballot, spec)
    return 1000 * count / draws


if __name__ == "__main__":
    sys.exit(main())
