"""A task as it moves, view by view: what the live view and `Task.watch` both follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.protocol import ROUND

from quorumlearn.api.rounds import Round, round_of
from quorumlearn.nodes.feed import REREAD_SECONDS, TaskFeed
from quorumlearn.nodes.market import Market, Refused
from quorumlearn.nodes.steps import ended
from quorumlearn.nodes.triggers import entered

CHECK_SECONDS = 0.3


def views(
    market: Market, feed: TaskFeed, check: Callable[[], None] = lambda: None, after: int = 0
) -> Iterator[b.TaskView]:
    """The task's view whenever it has moved, and before it the view of each round that has ended meanwhile, as it ended; of rounds
    later than `after`. The last view is that of the task's end.

    `check` is called several times a second, to raise what ends the following. Raises GatewayError where the peer is away, and Refused
    for a task that the ledger does not have.
    """
    seen = after
    shown = partial(entered, phases=[*ROUND, b.ENDED])  # that a ceremony goes on beside a round is not
    while True:
        check()
        mark = feed.mark()
        view = feed.view()
        for number in range(max(after + 1, seen), view.round.number):
            yield market.round_view(feed.task, number)
        seen = max(after, view.round.number)
        yield view
        if ended(view):
            return
        again = time.monotonic() + REREAD_SECONDS
        while not shown(feed.since(mark)) and time.monotonic() < again:
            check()
            feed.wait(mark, CHECK_SECONDS, shown)


def ended_round(market: Market, view: b.TaskView, given: int = 0) -> Round | None:
    """The view's round if it has ended and is later than `given`, the last that was given."""
    if view.round.number <= given or view.round.phase != b.ENDED:
        return None
    return round_of(view, _added(market, view.round))


def _added(market: Market, round_: b.Round) -> b.Block | None:
    """The block that an accepted round added; None if another stands in its place since."""
    if round_.outcome != b.ACCEPTED:
        return None
    try:
        block = market.block(round_.task_id, round_.base.height + 1)
    except Refused as refused:
        if refused.code != "NO_SUCH_BLOCK":
            raise
        return None
    return block if block.core.round == round_.number else None
