"""A verifier's scores of public models, on its own test set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.gate import score_fell
from quorumlearn_proto.task_pb2 import TaskSpec

from quorumlearn import learning
from quorumlearn.nodes.models import workload_of


@dataclass
class Scorer:
    """Of one task. Threads may share it: two that ask at once for the same score both find it."""

    test_set: Callable[[learning.Workload], learning.Data]
    _scores: dict[str, learning.Score] = field(default_factory=dict)

    def score(self, spec: TaskSpec, public: learning.Model) -> learning.Score:
        """A model already scored is not scored again."""
        digest = hashlib.sha256(learning.to_bytes(public)).hexdigest()
        if digest not in self._scores:
            self._scores[digest] = self.score_once(spec, public)
        return self._scores[digest]

    def score_once(self, spec: TaskSpec, public: learning.Model) -> learning.Score:
        """A score that nobody asks for again."""
        workload = workload_of(spec)
        private = learning.split(workload.initial_model(spec.seed), spec.workload.public_blocks)[1]
        return workload.evaluate(learning.merge(public, private), self.test_set(workload))

    def fill(self, ballot: b.Ballot, spec: TaskSpec, model: learning.Model, base: learning.Model) -> b.Ballot:
        """The ballot with both scores, and what the contracts' own gate says of them: GOOD or SCORE_FELL."""
        score, before = self.score(spec, model), self.score(spec, base)
        fixed = learning.millionths(score, before)
        ballot.score, ballot.base_score, ballot.chance = fixed.score, fixed.base_score, fixed.chance
        ballot.total = score.samples
        ballot.reason = b.SCORE_FELL if score_fell(ballot, spec) else b.GOOD
        return ballot
