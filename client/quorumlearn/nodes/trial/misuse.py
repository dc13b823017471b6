"""What a workload does with what it cannot use: each ends in one sentence, so that it costs a round and never the node.

A node outlives any exception of a training. One that is no LearningError tells nobody what to do about it, so it is a note.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from quorumlearn import learning
from quorumlearn.learning.own_code import place_of
from quorumlearn.nodes.trial.outcome import Finding

_FEW = 64  # samples to train on until it is told to stop


class _Stop(Exception):
    """As a node raises it that is told to end."""


def findings(workload: learning.Workload, whole: learning.Model, data: learning.Data) -> Iterator[Finding]:
    """Train on no samples and on NaN, and stop a training: what came of it."""
    if isinstance(data, learning.Samples):
        data = data.take(np.arange(min(len(data), _FEW)))
        yield _given(workload, whole, "no samples", data.take(np.arange(0)))
        if data.inputs.dtype.kind == "f":
            inputs = data.inputs.copy()
            inputs[0] = np.nan
            yield _given(workload, whole, "NaN", learning.Samples(inputs, data.targets))
    yield _stopped(workload, whole, data)


def _given(workload: learning.Workload, whole: learning.Model, what: str, data: learning.Samples) -> Finding:
    try:
        workload.train(whole, data, seed=0)
    except learning.LearningError as error:
        return Finding("exceptions", "holds", f"given {what} it says: {error}")
    except Exception as error:  # noqa: BLE001 - somebody else's code, which may raise anything: that is what is looked at
        return Finding(
            "exceptions",
            "note",
            f"given {what} it raises {type(error).__name__}{place_of(error)}; a TrainingError would say what to do",
        )
    except SystemExit as error:
        return Finding(
            "exceptions", "fails", f"given {what} it calls sys.exit{place_of(error)}; raise a TrainingError"
        )
    return Finding(
        "exceptions", "note", f"given {what} it trains without a word; a TrainingError would say what to do"
    )


def _stopped(workload: learning.Workload, whole: learning.Model, data: learning.Data) -> Finding:
    def stop(done: int, of: int) -> None:
        raise _Stop

    try:
        workload.train(whole, data, seed=0, on_step=stop)
    except _Stop:
        return Finding("stops", "holds", "a node that ends can stop a training after each step")
    except learning.LearningError as error:
        return Finding("stops", "fails", f"a training that is told to stop says: {error}")
    return Finding(
        "stops", "fails", "a training does not call on_step, or goes on after it raised: a node could not end"
    )
