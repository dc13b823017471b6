"""One identity's connection to one ledger: from it come tasks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Self

from quorumlearn_network.up import read_network

from quorumlearn.api import publishing
from quorumlearn.api.access import open_gateway
from quorumlearn.api.task import Task
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.gateway import Gateway, Network, connect_profile
from quorumlearn.nodes import taskfile
from quorumlearn.nodes.accounts import account_of
from quorumlearn.nodes.feed import TaskFeed, followed
from quorumlearn.nodes.market import Market

Place = str | Path


class NoStore(ValueError):
    """A connection that was made without a store was asked for what is in one."""


class Connection:
    """Use it in `with`, or close it. `channel` is the channel's name; `contracts` is the whole ledger, function by function, for what
    this class has no word for."""

    def __init__(
        self,
        reached: Callable[[], Gateway],
        channel: str,
        chaincode: str,
        store: Place | None,
        options: Mapping[str, object],
    ) -> None:
        self.channel = channel
        self._reached = reached
        self._chaincode = chaincode
        self._store = store
        self._options = options
        self._gateway = reached()
        self.contracts = Market(self._network.contract(chaincode))

    @property
    def account(self) -> str:
        """Who signs, `MSP/name` as on the ledger."""
        return account_of(self._gateway.identity, "the user")

    @cached_property
    def genesis(self) -> str:
        """The hash of the channel's first block, 64 hex digits: which ledger this is."""
        return self._network.genesis_hash().hex()

    @cached_property
    def store(self) -> ArtifactStore:
        """The artifact store, written below one's own organisation. NoStore if none was named, ArtifactError if it is not there."""
        if self._store is None:
            raise NoStore("this needs the artifact store: connect(..., store=FOLDER or URL)")
        named = str(self._store)
        url = named if "://" in named else Path(named).resolve().as_uri()
        return ArtifactStore(url, organisation=self._gateway.identity.msp_id, options=self._options)

    def publish(self, task: Place | Mapping[str, object], *, data: Place | None = None) -> Task:
        """Publish a task: the path of its file, or what such a file says (docs/task.md). The initial model goes to the store, the reward
        into escrow. `data` is where the samples of `rule.root` are.

        Raises nodes.config.ConfigError, learning.LearningError, ckks.ParameterError, robust.RuleError or WouldBeRefused for what cannot
        be a task, Refused for what the ledger does not take.
        """
        wanted = (
            taskfile.checked(dict(task), Path("the task"))
            if isinstance(task, Mapping)
            else taskfile.load(Path(task))
        )
        prepared = publishing.prepare(wanted, None if data is None else str(data))
        publishing.publish(prepared, self.contracts, self.store)
        return Task(wanted.id, self)

    def task(self, task: str) -> Task:
        """The task of this id; Refused if the ledger has none."""
        self.contracts.task(task)
        return Task(task, self)

    def tasks(self) -> tuple[Task, ...]:
        """All tasks on the ledger."""
        return tuple(Task(one.task.spec.task_id, self) for one in self.contracts.tasks())

    @contextlib.contextmanager
    def followed(self, task: str) -> Iterator[tuple[Market, TaskFeed]]:
        """A feed of a task over a connection of its own, which ends with the block."""
        with self._reached() as gateway:
            network = gateway.network(self.channel)
            market = Market(network.contract(self._chaincode))
            with followed(network, self._chaincode, task, market) as feed:
                yield market, feed

    def close(self) -> None:
        self._gateway.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Connection({self.account!r}, channel={self.channel!r})"

    @property
    def _network(self) -> Network:
        return self._gateway.network(self.channel)


def connect(
    place: Place,
    user: Place = "",
    *,
    store: Place | None = None,
    store_options: Mapping[str, object] | None = None,
    channel: str | None = None,
    chaincode: str | None = None,
) -> Connection:
    """Connect to a ledger as `user`.

    `place` is a network's folder, as `network up` makes it, and `user` ORG/USER in it (by default its first user); or a connection
    profile, JSON or YAML, and `user` the MSP folder that holds certificate and key. `channel` and `chaincode` are by default what the
    network's folder says, and `quorumlearn` with a profile. `store` is the folder or URL of the artifact store, `store_options` what
    fsspec takes for it.

    Nothing is asked of the peer yet. Raises FolderError, IdentityError or CredentialError for what is not there.
    """
    path = Path(place)
    if path.is_file():
        reached = partial(connect_profile, path, Path(user))
        names = channel or "quorumlearn", chaincode or "quorumlearn"
    else:
        spec = read_network(path)
        reached = partial(open_gateway, path, str(user))
        names = channel or spec.channel, chaincode or spec.chaincode.name
    return Connection(reached, *names, store, store_options or {})
