"""One task, for whoever reads its ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from quorumlearn.analysis import TaskReport, collect
from quorumlearn.api import model as home
from quorumlearn.api.rounds import Block, Round, TaskStatus, block_of, status_of
from quorumlearn.api.watching import ended_round, views
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.nodes.feed import TaskFeed
from quorumlearn.nodes.market import Market


class Ledger(Protocol):
    """What a task needs of a connection (`api.connection`)."""

    channel: str
    contracts: Market

    @property
    def genesis(self) -> str: ...

    @property
    def store(self) -> ArtifactStore: ...

    def followed(self, task: str) -> AbstractContextManager[tuple[Market, TaskFeed]]: ...


class WatchTimeout(TimeoutError):
    """No round has ended for as long as was asked; the task goes on, and so may the watching."""


@dataclass(frozen=True, eq=False)
class Task:
    """A task of a connection's ledger, by its id. Each method asks the ledger anew.

    All raise Refused if the ledger has no such task, and a GatewayError if no peer answers.
    """

    id: str
    connection: Ledger

    def status(self) -> TaskStatus:
        return status_of(self.connection.contracts.task(self.id))

    def watch(self, *, after: int = 0, timeout: float | None = None) -> Iterator[Round]:
        """Each round as it ends, those that have ended already first; ends when the task does.

        `after` is the number of a round: only later ones are given. WatchTimeout once `timeout` seconds have gone by in which no
        round ended. Whoever stops in between, Ctrl-C included, has only stopped watching.
        """
        given, waits_since = after, time.monotonic()

        def check() -> None:
            if timeout is not None and time.monotonic() - waits_since > timeout:
                raise WatchTimeout(f"no round of {self.id} has ended in {timeout:g} s; it still goes on")

        with self.connection.followed(self.id) as (market, feed):
            for view in views(market, feed, check, after):
                if (ended := ended_round(market, view, given)) is not None:
                    given = ended.number
                    yield ended
                    waits_since = time.monotonic()

    def rounds(self) -> tuple[Round, ...]:
        """All rounds that have ended, in order."""
        market, status = self.connection.contracts, self.status()
        seen = (market.round_view(self.id, number) for number in range(1, status.round + 1))
        return tuple(ended for view in seen if (ended := ended_round(market, view)) is not None)

    def blocks(self) -> tuple[Block, ...]:
        """The chain of accepted models, in order; block 0 is the initial one, which no round made."""
        return tuple(block_of(block) for block in self.connection.contracts.blocks(self.id))

    def report(self) -> TaskReport:
        """Who contributed and was paid, how good the model became, where time and bytes went."""
        return collect(self.connection.contracts, self.id)

    def model(self, block: int | None = None) -> home.PublicModel:
        """The public model of the block at this height (0 is the initial model), or of the last; errors as of `api.model.bring_home`.

        NoStore without a store.
        """
        return home.bring_home(
            self.connection.contracts,
            self.connection.store,
            self.id,
            channel=self.connection.channel,
            genesis=self.connection.genesis,
            height=block,
        )

    def cancel(self) -> None:
        """As its owner: at once before it runs, after the round under way if it does."""
        self.connection.contracts.cancel(self.id)
