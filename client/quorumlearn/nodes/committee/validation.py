"""A seat's ballot on a round's candidate (VALIDATE): the one model that the opened aggregate gives, made again and scored.

Rules:
- A candidate is good only if its model and its aggregate are to the byte what the opened aggregate gives: otherwise WRONG_MODEL.
- Of an aggregate that nobody can vouch for no model is good (UNAVAILABLE). It is not its proposer's fault.
- The model is scored against the round's base on a test set of the verifier's own (nodes.committee.scoring). Where pay is by contribution,
  so is what the groups' sums make of the base (nodes.committee.coalitions).
"""

from __future__ import annotations

from dataclasses import dataclass

from quorumlearn_proto import block_pb2 as b

from quorumlearn import learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import candidate
from quorumlearn.nodes.committee.coalitions import coalition_scores, contributions
from quorumlearn.nodes.committee.scoring import Scorer
from quorumlearn.nodes.encryption import parameters_of
from quorumlearn.nodes.models import load_public
from quorumlearn.nodes.sums import Values


@dataclass(frozen=True)
class _Expected:
    """The only candidate that a round can have: its base, the opened sums (sums, d), the next model, and
    what coalitions of groups score."""

    base: learning.Model
    values: Values
    model: learning.Model
    coalitions: tuple[int, ...]


@dataclass
class Validator:
    """Of one seat in one task. `values` are what the seat opens the round's aggregate to, shape (sums, d); None if it cannot."""

    store: ArtifactStore
    scorer: Scorer
    _expected: _Expected | None = None

    def score_head(self, view: b.TaskView) -> None:
        """Before anything is staked: who cannot score is no verifier, and the first block is compared with this model."""
        spec = view.task.spec
        self.scorer.score(spec, load_public(self.store, spec, view.state.head.model))

    def score_early(self, view: b.TaskView, values: Values | None) -> None:
        """While the proposer is at it: there is only one model that it can propose."""
        if values is not None:
            self.scorer.score(view.task.spec, self._expect(view, values).model)

    def ballot(self, view: b.TaskView, seat: int, values: Values | None) -> b.Ballot:
        """What this seat votes on the round's candidate."""
        spec, now = view.task.spec, view.round
        ballot = b.Ballot(task_id=spec.task_id, round=now.number, seat=seat, model=now.candidate.model.digest)
        if values is None:
            ballot.reason = b.UNAVAILABLE
            return ballot
        expected = self._expect(view, values)
        purpose = spec.task_id, now.number
        model = self.store.put(learning.to_bytes(expected.model), purpose)
        aggregate = self.store.put(candidate.aggregate_bytes(values.sum(axis=0), now.selection), purpose)
        if (model, aggregate) != (now.candidate.model, now.candidate.aggregate):
            ballot.reason = b.WRONG_MODEL
            return ballot
        self.scorer.fill(ballot, spec, expected.model, expected.base)
        ballot.contributions.extend(contributions(ballot, spec, expected.coalitions))
        return ballot

    def forget(self) -> None:
        """Let go of the models of a round that this seat has voted in."""
        self._expected = None

    def _expect(self, view: b.TaskView, values: Values) -> _Expected:
        """What the opened aggregate makes of the round's base."""
        if self._expected is None or self._expected.values is not values:
            spec, now = view.task.spec, view.round
            base = load_public(self.store, spec, now.base.model)
            model = candidate.next_model(base, values.sum(axis=0), now.selection, parameters_of(spec))
            coalitions = coalition_scores(self.scorer, spec, now, base, values)
            self._expected = _Expected(base, values, model, tuple(coalitions))
        return self._expected
