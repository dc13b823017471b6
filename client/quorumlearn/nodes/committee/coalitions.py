"""What a round's groups contribute, by a seat's own test set (quorumlearn_proto.contribution).

A coalition of groups is worth what the round's base scores once it is moved by the mean of their updates. None of these models is kept, or
leaves the seat. One whose numbers leave float32 is worth what its base is: it shows nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.contribution import shapley, sums_of
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import learning
from quorumlearn.nodes import candidate
from quorumlearn.nodes.committee.scoring import Scorer
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.sums import Values


def coalition_scores(
    scorer: Scorer, spec: TaskSpec, now: b.Round, base: learning.Model, values: Values
) -> list[int]:
    """In millionths, the scores of all coalitions but the empty one and that of all groups, in the order of `contribution.shapley`; none
    where one sum is opened. `values` are those of the groups' sums, shape (groups, d)."""
    weights = [sum(one.values()) for one in sums_of(now)]
    before = scorer.score(spec, base) if len(weights) > 1 else None
    found = []
    for place in range(1, (1 << len(weights)) - 1):
        assert before is not None
        inside = [group for group in range(len(weights)) if place >> group & 1]
        total = values[inside].sum(axis=0)
        try:
            model = candidate.moved(base, total, sum(weights[group] for group in inside), parameters_of(spec))
        except learning.ModelError:
            model = base
        found.append(learning.millionths(scorer.score_once(spec, model), before).score)
    return found


def contributions(ballot: b.Ballot, spec: TaskSpec, coalitions: Sequence[int]) -> list[int]:
    """Each group's, from the ballot's two scores and the coalitions' between them; none where there are no coalitions."""
    if not coalitions:
        return []
    sign = -1 if spec.workload.lower_is_better else 1
    return [sign * one for one in shapley([ballot.base_score, *coalitions, ballot.score])]
