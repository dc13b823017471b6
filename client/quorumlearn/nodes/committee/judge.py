"""A seat's votes on challenged blocks, of a task under way and of one that has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.event_pb2 import LedgerEvent

from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes import metrics, steps, triggers
from quorumlearn.nodes.committee.each_open_step import do_each
from quorumlearn.nodes.committee.scoring import Scorer
from quorumlearn.nodes.feed import News, no_news
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.models import load_public
from quorumlearn.nodes.steps import Step


@dataclass
class Judge:
    """The role of one identity in one task (see nodes.worker.Role): challenges only. It moves nothing on."""

    me: str
    msp_id: str
    market: Market
    store: ArtifactStore
    scorer: Scorer
    advance_delay: float | None = None
    next_look: float | None = None

    def finished(self, view: b.TaskView) -> bool:
        """Once the task has ended and no challenge of its blocks is left undecided."""
        return steps.ended(view) and not view.challenges

    def act(self, view: b.TaskView, news: News = no_news) -> bool:
        open_steps = steps.verifier_steps(view, self.me, self.msp_id)
        challenged = [one for one in open_steps if one[0] is Step.JUDGE]

        def judge(step: Step, height: int) -> bool:
            with metrics.timed(metrics.STEPS, step.value):
                task = view.task.spec.task_id
                self.market.vote_challenge(task, height, self._judge_block(view, height))
            return True

        return do_each(challenged, judge, view, self.me)

    def wakes(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return triggers.challenged(events)

    def sees_due(self, view: b.TaskView, events: Sequence[LedgerEvent]) -> bool:
        return False

    def _judge_block(self, view: b.TaskView, height: int) -> b.Ballot:
        """Score a challenged block against the one before it."""
        spec, seat = view.task.spec, steps.seat_of(view, self.me)
        assert seat is not None, "only a seat takes these steps"
        block = self.market.block(spec.task_id, height)
        before = next(one for one in self.market.blocks(spec.task_id) if one.digest == block.core.previous)
        ballot = b.Ballot(
            task_id=spec.task_id, round=block.core.round, seat=seat, model=block.core.model.digest
        )
        models = [load_public(self.store, spec, one.core.model) for one in (block, before)]
        return self.scorer.fill(ballot, spec, *models)
