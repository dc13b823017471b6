"""What all identities of one organisation share in one process: the peer, the store, the data."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path

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
from quorumlearn.nodes import ledgers
from quorumlearn.nodes.accounts import account_of
from quorumlearn.nodes.config import IdentityConfig, NodeConfig
from quorumlearn.nodes.endorsers import Answering, QuorumContract
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.market import Market
from quorumlearn.nodes.spending import DataBudget

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

KEPT = ".kept"
"""The folder for copies of artifacts in the state folder; no user's folder may be called so."""


class Organisation:
    """One organisation's node as configured; close it to let go of its connections. `repeatable`: see nodes.randomness."""

    def __init__(self, config: NodeConfig, *, repeatable: bool = False) -> None:
        self.config = config
        self.repeatable = repeatable
        self.journal = Journal(config.state)
        self._gateways: dict[str, Gateway] = {}
        self._answering = Answering()
        self._loading = threading.Lock()
        self._positions: dict[str, tuple[int, int]] = {}
        self._parts: dict[tuple[str, str], learning.Split] = {}

    @cached_property
    def store(self) -> ArtifactStore:
        """Where the organisation writes below its own MSP ID. CredentialError if its first identity cannot be used."""
        own = self.msp_id(self.config.identities[0].user)
        return ArtifactStore(self.config.store, organisation=own, copies=self.config.state / KEPT)

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

    @cached_property
    def _dataset(self) -> learning.Dataset:
        source = learning.DataSource(folder=self.config.data, download=self.config.download)
        return learning.load(source)

    def dataset(self) -> learning.Dataset:
        """The whole data set that the identities' parts are of."""
        with self._loading:
            return self._dataset

    def ready_data(self) -> None:
        """Have every identity's part of the data taken, and let go of the rest. learning.LearningError if that cannot be done."""
        for one in self.config.identities:
            (self.shard if one.role == "miner" else self.test_set)(one)
        with self._loading:
            vars(self).pop("_dataset", None)

    def shard(self, identity: IdentityConfig) -> learning.Split:
        """The identity's part of the training data."""
        return self._part("train", identity.shard)

    def test_set(self, identity: IdentityConfig) -> learning.Split:
        """The identity's part of the test data."""
        return self._part("test", identity.shard)

    def _part(self, which: str, shard: str) -> learning.Split:
        """Taken once and kept: every round trains or scores on it."""
        with self._loading:
            if (which, shard) not in self._parts:
                pixels = self._dataset.train_pixels if which == "train" else self._dataset.test_pixels
                part = pixels.take(learning.ShardSpec.parse(shard).indices(pixels.labels))
                part.images.setflags(write=False)
                part.labels.setflags(write=False)
                self._parts[which, shard] = part
            return self._parts[which, shard]

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
