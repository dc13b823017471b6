"""What all identities of one organisation share in one process: the peer, the store, the data."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from quorumlearn import learning
from quorumlearn.artifacts import ArtifactStore
from quorumlearn.gateway import (
    Backoff,
    CredentialError,
    CredentialSettings,
    Gateway,
    Network,
    Options,
    Timeouts,
    connect_peer,
    find_profile,
    read_profile,
)
from quorumlearn.nodes import ledgers, stateformat
from quorumlearn.nodes.accounts import account_of
from quorumlearn.nodes.config import IdentityConfig, NodeConfig
from quorumlearn.nodes.endorsers import Answering, QuorumContract
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.spending import DataBudget
from quorumlearn.nodes.work import datakeys
from quorumlearn.nodes.work.chunkcache import ChunkCache

BUDGETS = "@data"
"""Begins as no user's folder may, and no journals of another ledger."""
OPTIONS = Options(
    timeouts=Timeouts(evaluate_s=4.0, endorse_s=4.0, submit_s=4.0, commit_status_s=4.0),
    disagreement=Backoff(attempts=6, initial_s=0.02, cap_s=1.0),
    submissions=2,
)
"""A node waits far shorter than any phase lasts. A peer that hangs or is behind is passed over (nodes.endorsers). What an orderer
took and lost is submitted again, and then the node looks at the ledger: it sends a step that is not there anew, and one that is there
is refused."""

MOST_PARTS = 64
"""So many parts of the data are kept, of identities, workloads and configurations; of more, the one used longest ago is read again."""

KEPT, CHUNKS = ".kept", ".chunks"
"""The folders for copies of artifacts, and for chunks of tasks' data, in the state folder; no user's folder may be called so."""


class Organisation:
    """One organisation's node as configured; close it to let go of its connections. `repeatable`: see nodes.randomness."""

    def __init__(self, config: NodeConfig, *, repeatable: bool = False) -> None:
        self.config = config
        self.repeatable = repeatable
        self.journal = Journal(config.state)
        stateformat.claim(config.state, version("quorumlearn"))
        self._gateways: dict[str, Gateway] = {}
        self._answering = Answering()
        self._loading = threading.Lock()
        self._positions: dict[str, tuple[int, int]] = {}
        self._parts: dict[tuple[str, str, str, str], learning.Data] = {}
        self._digests: dict[tuple[str, str, str, str], str] = {}

    @cached_property
    def store(self) -> ArtifactStore:
        """Where the organisation writes below its own MSP ID. CredentialError if its first identity cannot be used."""
        own = self.msp_id(self.config.identities[0].user)
        return self.config.store.opened(own, self.config.state / KEPT)

    @cached_property
    def chunks(self) -> ChunkCache:
        """Chunks of tasks' data on this node's disk, for all its identities."""
        return ChunkCache(self.store, self.config.state / CHUNKS, self.config.chunk_cache << 20)

    def gateway(self, user: str) -> Gateway:
        if user not in self._gateways:
            self._gateways[user] = connect(self.config, user)
        return self._gateways[user]

    def network(self, user: str) -> Network:
        return self.gateway(user).network(self.config.channel)

    def contract(self, user: str) -> QuorumContract:
        """The contracts for one of the organisation's users."""
        contract = self.network(user).contract(self.config.chaincode)
        return QuorumContract(contract, self.name(user), self._answering)

    def market(self, user: str) -> Market:
        return Market(self.contract(user))

    def name(self, user: str) -> str:
        """The account `MSP/name` of one of the organisation's users, whatever its folder is called; CredentialError if it has none."""
        return account_of(self.gateway(user).identity, f"user {user}")

    def check_accounts(self) -> None:
        """CredentialError if an identity of the file cannot be used, or two are one account."""
        users: dict[str, str] = {}
        for one in self.config.identities:
            account = self.name(one.user)
            if account in users:
                raise CredentialError(f"users {users[account]} and {one.user} are one account, {account}")
            users[account] = one.user

    def check_data_keys(self) -> None:
        """datakeys.DataKeysError if a file under `data_keys` cannot be used."""
        for path in self.config.data_keys:
            datakeys.load(path)

    def msp_id(self, user: str) -> str:
        return self.gateway(user).identity.msp_id

    def settle(self) -> None:
        """Have the state folder hold journals of the ledger that the peer serves, before anything is read in one. JournalError, or a
        GatewayError while the peer is away."""
        network = self.network(self.config.identities[0].user)
        ledgers.settle(self.config.state, network.genesis_hash().hex())

    def position(self, user: str, transaction: str) -> tuple[int, int]:
        """(block number, index in the block) of a committed transaction; those of a round share a block or two."""
        if transaction not in self._positions:
            self._positions |= self.network(user).positions(transaction)
        return self._positions[transaction]

    def ready_data(self, workloads: Sequence[learning.Workload]) -> None:
        """Have every identity's part of the data of these workloads taken. learning.LearningError if that cannot be done."""
        for workload in workloads:
            for one in self.config.identities:
                (self.shard if one.role == "miner" else self.test_set)(one, workload)

    def ready_tests(self, workload: learning.Workload) -> None:
        """The same of those who score: in a task that brings its own data miners take none of theirs."""
        for one in self.config.identities:
            if one.role != "miner":
                self.test_set(one, workload)

    def shard(self, identity: IdentityConfig, workload: learning.Workload) -> learning.Data:
        """The identity's part of the training data."""
        return self._part(identity, "train", workload)

    def test_set(self, identity: IdentityConfig, workload: learning.Workload) -> learning.Data:
        """The identity's part of the test data."""
        return self._part(identity, "test", workload)

    def _part(
        self, identity: IdentityConfig, kind: Literal["train", "test"], workload: learning.Workload
    ) -> learning.Data:
        """Taken once and kept: every round trains or scores on it."""
        with self._loading:
            key = identity.user, kind, workload.name, json.dumps(workload.config.as_strings())
            if key not in self._parts:
                self._take(kind, workload, key[2:])
            if key not in self._parts:  # none of the roles that do this usually
                self._keep(key, self._loaded(identity, kind, workload))
            part = self._parts[key] = self._parts.pop(key)
            return part

    def _keep(self, key: tuple[str, str, str, str], part: learning.Data) -> None:
        """Equal samples once, however many configurations read them: a stranger's tasks fill no memory."""
        digest = part.digest()
        same = next((other for other, known in self._digests.items() if known == digest), None)
        self._parts.pop(key, None)
        self._parts[key], self._digests[key] = part if same is None else self._parts[same], digest
        while len(self._parts) > max(MOST_PARTS, len(self.config.identities)):
            old = next(iter(self._parts))
            del self._parts[old], self._digests[old]

    def _take(self, kind: Literal["train", "test"], workload: learning.Workload, of: tuple[str, str]) -> None:
        """Take the parts of all identities that need such data: what they have in common need be read once only."""
        held: list[learning.Data] = []
        for one in self.config.identities:
            if (one.role == "miner") == (kind == "train"):
                part = self._loaded(one, kind, workload, held.append)
                self._keep((one.user, kind, *of), part)

    def _loaded(
        self,
        identity: IdentityConfig,
        kind: Literal["train", "test"],
        workload: learning.Workload,
        hold: Callable[[learning.Data], object] = lambda _: None,
    ) -> learning.Data:
        source = self.config.source_of(workload.name)
        data = workload.load(source, learning.Part(kind, identity.part, self.name(identity.user)))
        hold(data)
        if identity.shard is not None:
            if not isinstance(data, learning.Samples):
                raise learning.ShardError(
                    f"{identity.user} has shard {identity.shard}, and {workload.name} deals out no samples; use `part` instead"
                )
            data = data.take(learning.ShardSpec.parse(identity.shard).indices(data.targets))
        return data.protected() if isinstance(data, learning.Samples) else data

    @cached_property
    def data_budget(self) -> DataBudget:
        """How many rounds each data set may take part in; it stays with the data, whatever ledger the journals are of."""
        return DataBudget(Journal(self.config.state / BUDGETS), self.config.data_budget)

    def close(self) -> None:
        for gateway in self._gateways.values():
            gateway.close()


def connect(config: NodeConfig, user: str) -> Gateway:
    """A gateway for one of the file's identities: as it says itself who signs, else by its name, below the organisation's folder or
    in the connection. CredentialError if that cannot be used."""
    identity = next((one for one in config.identities if one.user == user), None)
    own = identity if identity is not None and identity.given else None
    if config.connection is not None:
        named = "" if config.connection.given and user not in config.connection.identities else user
        return config.connection.open(own or config.connection.credentials(named), OPTIONS)
    folder = config.organisation or Path()
    peer = read_profile(find_profile(folder))
    credentials = own or CredentialSettings(msp=folder / "users" / user / "msp")
    return connect_peer(peer, *credentials.load(peer.msp_id), OPTIONS)


def journal_folder(config: NodeConfig, identity: IdentityConfig, task: str) -> Path:
    return config.state / identity.user / task
