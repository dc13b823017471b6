"""Which artifacts are needed: what of its own an organisation may remove from the store, and when."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress

from google.protobuf.message import Message
from quorumlearn_proto import canonical
from quorumlearn_proto.common_pb2 import ArtifactRef
from quorumlearn_proto.page_pb2 import TaskSummary
from quorumlearn_proto.recompute import recomputes

from quorumlearn.artifacts import ArtifactMissing, ArtifactStore
from quorumlearn.nodes.exchange import ExchangeError
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.steps import LIVE
from quorumlearn.nodes.work import datasets, keygrants

LEAST_AGE_SECONDS = 24 * 3600.0
"""What is younger may be on its way to the ledger."""
_DIGEST = re.compile(rb"\b[0-9a-f]{64}\b")


def prune(market: Market, store: ArtifactStore, now: float, data: Iterable[ArtifactRef] = ()) -> list[str]:
    """Remove the organisation's own artifacts that no task needs any more, at `now` (seconds since 1970); their digests. `data` are
    lists of chunks that are kept with what they list, beside those of tasks under way."""
    keep = needed(market, now)
    lists = [*data, *lists_of_chunks(market, store)]
    keep |= {one.digest for one in lists}
    for one in lists:
        keep |= datasets.listed(store, one)
    return store.prune(keep, now - LEAST_AGE_SECONDS)


def lists_of_chunks(market: Market, store: ArtifactStore) -> list[ArtifactRef]:
    """Of each task under way the list that a round trains by: the specification's or, of sealed data, that of its last grant."""
    found = []
    for summary in market.tasks():
        spec = summary.task.spec
        if summary.state.status not in LIVE or not recomputes(spec):
            continue
        found.append(spec.recompute.data)
        view = market.view(spec.task_id)
        if spec.recompute.sealed and view.round.number > 1 and not view.HasField("grant"):
            view = market.round_view(spec.task_id, view.round.number - 1)
        if view.HasField("grant"):
            with suppress(ArtifactMissing, ExchangeError):  # then nobody trains by it
                found.append(keygrants.given(store, view).data)
    return found


def needed(market: Market, now: float) -> set[str]:
    """The digests that the ledger names for tasks under way, and for those of which a block can still be challenged; of all others their
    last model's."""
    found: set[str] = set()
    for summary in market.tasks():
        found.add(summary.state.head.model.digest)
        if summary.state.status in LIVE or _may_be_challenged(market, summary, now):
            found |= _named(market, summary)
    return found


def _may_be_challenged(market: Market, summary: TaskSummary, now: float) -> bool:
    spec = summary.task.spec
    if market.view(spec.task_id).challenges:
        return True
    ends = (one.accepted_at_ms / 1000 + spec.challenge_window_seconds for one in market.blocks(spec.task_id))
    return any(now <= end for end in ends)


def _named(market: Market, summary: TaskSummary) -> set[str]:
    """Every digest in the task's records, of artifacts and of other things."""
    task = summary.task.spec.task_id
    records: list[Message] = [summary, market.view(task), *market.blocks(task)]
    for number in range(1, summary.state.round + 2):  # the next round's key is made during a round
        records += market.key_contributions(task, number)
    records += [market.round_view(task, number) for number in range(1, summary.state.round + 1)]
    return {found.decode() for one in records for found in _DIGEST.findall(canonical.to_json(one))}
