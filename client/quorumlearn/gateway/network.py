"""A channel: its contracts, events and blocks, and what the peer's query chaincode `qscc` tells."""

from __future__ import annotations

from typing import TypeVar

from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.peer import transaction_pb2
from google.protobuf.message import DecodeError, Message

from quorumlearn.gateway.blocks import BlockError, header_hash, read_block
from quorumlearn.gateway.checkpoint import Checkpoint, Checkpointer, LedgerBound
from quorumlearn.gateway.connection import Connection
from quorumlearn.gateway.contract import Contract
from quorumlearn.gateway.errors import CheckpointError, EvaluateError
from quorumlearn.gateway.events import BlockEvents, ChaincodeEvents

M = TypeVar("M", bound=Message)
_NO_TRANSACTION = "no such transaction ID"
_FROM_SNAPSHOT = "bootstrapped from a snapshot"


class Network:
    """One channel, seen through one gateway peer."""

    def __init__(self, connection: Connection, channel: str) -> None:
        self._connection = connection
        self._bound: Checkpointer | None = None
        self.channel = channel

    def contract(self, chaincode: str, contract_name: str = "") -> Contract:
        """A chaincode; with `contract_name`, functions are called `contract_name:Function`."""
        return Contract(self._connection, self.channel, chaincode, contract_name)

    def chaincode_events(
        self, chaincode: str, start: int | None = None, checkpoint: Checkpointer | None = None
    ) -> ChaincodeEvents:
        """The chaincode's events from a checkpoint or else from block `start` on.

        Without either, those of blocks that are committed after this call. The reader saves
        `event.checkpoint` when it has dealt with an event. CheckpointError if the checkpoint is not of this ledger.
        """
        return ChaincodeEvents(self._connection, self.channel, chaincode, self._start(start, checkpoint))

    def block_events(
        self, start: int | None = None, checkpoint: Checkpointer | None = None, filtered: bool = False
    ) -> BlockEvents:
        """Blocks (common.Block, or protos.FilteredBlock) from a checkpoint or else from block `start` on.

        Without either, those committed after this call. The reader saves `Checkpoint(number + 1)` when it
        has dealt with a block.
        """
        return BlockEvents(self._connection, self.channel, self._start(start, checkpoint).block, filtered)

    def chain_info(self) -> ledger_pb2.BlockchainInfo:
        """The ledger's height and last two hashes; else EvaluateError, as for all queries here."""
        return self._query(ledger_pb2.BlockchainInfo, "GetChainInfo")

    def genesis_hash(self) -> bytes:
        """The hash of the first block, which tells this ledger from any other."""
        return header_hash(self.block(0).header)

    def block(self, number: int) -> common_pb2.Block:
        """A block by its number."""
        return self._query(common_pb2.Block, "GetBlockByNumber", str(number))

    def block_by_transaction(self, transaction_id: str) -> common_pb2.Block:
        """The block a transaction is in."""
        return self._query(common_pb2.Block, "GetBlockByTxID", transaction_id)

    def transaction(self, transaction_id: str) -> transaction_pb2.ProcessedTransaction:
        """A transaction's envelope and validation code."""
        return self._query(transaction_pb2.ProcessedTransaction, "GetTransactionByID", transaction_id)

    def position(self, transaction_id: str) -> tuple[int, int]:
        """The number of the block a transaction is in, and its index in that block."""
        return self.positions(transaction_id)[transaction_id]

    def positions(self, transaction_id: str) -> dict[str, tuple[int, int]]:
        """`position` of every transaction in the block that this one is in, by id."""
        try:
            block = read_block(self.block_by_transaction(transaction_id))
        except BlockError as error:
            raise EvaluateError(str(error), endpoint=self._connection.endpoint) from error
        found = {one.transaction_id: (block.number, one.index) for one in block.transactions}
        if transaction_id not in found:
            raise EvaluateError(
                f"the peer's block {block.number} does not hold transaction {transaction_id}",
                transaction_id=transaction_id,
                endpoint=self._connection.endpoint,
            )
        return found

    def _start(self, start: int | None, checkpoint: Checkpointer | None) -> Checkpoint:
        if checkpoint is not None:
            saved = self._saved(checkpoint)
            if saved is not None:
                self._check_there(saved)
                return saved
        # Asked for now and not left to the peer ("next commit"), so that a connection lost before the first
        # event is resumed at the same place.
        return Checkpoint(self.chain_info().height if start is None else start)

    def _saved(self, checkpoint: Checkpointer) -> Checkpoint | None:
        """What is saved. A checkpointer is told the ledger when it first comes; later a transaction behind which to go on tells it
        as well, and a stream that is opened again and again asks for nothing else.
        """
        known = checkpoint.load() if checkpoint is self._bound else None
        if isinstance(checkpoint, LedgerBound) and (known is None or not known.transaction_id):
            checkpoint.bind(self._ledger())
            self._bound = checkpoint
        return checkpoint.load()

    def _ledger(self) -> str:
        """The genesis block's hash in hex; `""` at a peer that began with a snapshot and does not have that block."""
        try:
            return self.genesis_hash().hex()
        except EvaluateError as error:
            if _FROM_SNAPSHOT not in str(error):
                raise
            return ""

    def _check_there(self, saved: Checkpoint) -> None:
        """CheckpointError if nothing can come after it: the peer would wait without a word."""
        if saved.transaction_id and self._holds(saved.transaction_id):
            return
        height = self.chain_info().height
        wrong = ""
        if saved.block > height:
            wrong = f"is in block {saved.block}, and the ledger has {height} blocks"
        elif saved.transaction_id:
            wrong = f"is behind transaction {saved.transaction_id}, which the ledger does not hold"
        if wrong:
            raise CheckpointError(
                f"the checkpoint {wrong}, at {self._connection.endpoint}: it is of another ledger, or the peer has yet "
                "to catch up; wait for the peer, or remove the checkpoint to begin at the start",
                endpoint=self._connection.endpoint,
            )

    def _holds(self, transaction_id: str) -> bool:
        try:
            self.transaction(transaction_id)
        except EvaluateError as error:
            if _NO_TRANSACTION not in str(error):
                raise
            return False
        return True

    def _query(self, kind: type[M], function: str, *args: str) -> M:
        data = self.contract("qscc").evaluate(function, self.channel, *args)
        try:
            return kind.FromString(data)
        except DecodeError as error:
            raise EvaluateError(
                f"the peer's answer to {function} is no {kind.DESCRIPTOR.name}",
                endpoint=self._connection.endpoint,
            ) from error
