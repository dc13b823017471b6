"""The channel as it grows: order in, blocks out, and everybody who waits for one.

`extend` runs in the committing thread, everything else on the event loop. When the store fails, the chain
stops: whoever waits for more gets LedgerUnavailableError, and a devnet that is a process of its own ends with the reason,
as Fabric's orderers do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import cached_property

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_event_pb2

from quorumlearn_network.devnet.blocks import flags_of, new_block, seal
from quorumlearn_network.devnet.envelope import channel_header_of
from quorumlearn_network.devnet.errors import LedgerUnavailableError
from quorumlearn_network.devnet.ledger import Ledger
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.devnet.mvcc import Outcome
from quorumlearn_network.devnet.validator import Validator, chaincode_events

_RECENT_BLOCKS = 64


class CommittedBlock:
    """A block of the ledger with what its readers ask for. `seconds`: to validate and store it, 0 once read back."""

    def __init__(self, block: common_pb2.Block, seconds: float = 0.0) -> None:
        self.block = block
        self.number = int(block.header.number)
        self.seconds = seconds

    @cached_property
    def flags(self) -> bytes:
        """One TxValidationCode a transaction."""
        return flags_of(self.block)

    @cached_property
    def txids(self) -> list[str]:
        headers = [channel_header_of(data) for data in self.block.data.data]
        return [header.tx_id if header is not None else "" for header in headers]

    @cached_property
    def events(self) -> list[chaincode_event_pb2.ChaincodeEvent]:
        return chaincode_events(self.block, self.flags)


class Chain:
    """One channel's ledger with its waiters."""

    def __init__(self, ledger: Ledger, validator: Validator, orderer: SigningIdentity) -> None:
        self.ledger = ledger
        self.validator = validator
        self.height = ledger.height
        self._orderer = orderer
        self._recent: dict[int, CommittedBlock] = {}
        self._grown = asyncio.Event()
        self._waiting: dict[str, list[asyncio.Future[tuple[int, int]]]] = {}
        self._failure: str | None = None
        self.failed = asyncio.Event()
        """Set once the chain has stopped; `check_alive` raises why."""
        self.watchers: list[Callable[[CommittedBlock], None]] = []
        """Told of every block that is published."""

    def extend(self, envelopes: Sequence[bytes]) -> CommittedBlock:
        """Make, validate and store the next block. LedgerUnavailableError: nothing of it is kept."""
        began = time.perf_counter()
        ledger = self.ledger
        block = new_block(ledger.height, ledger.last_hash, envelopes, self._orderer)
        outcome = self.validator.validate(block, ledger.committed())
        self._store(block, outcome)
        return CommittedBlock(block, time.perf_counter() - began)

    def begin(self, genesis: common_pb2.Block) -> CommittedBlock:
        """Store block 0, which is valid as it stands."""
        header = channel_header_of(genesis.data.data[0])
        outcome = Outcome(bytearray(1))
        if header is None:
            raise ValueError("the genesis block has no channel header")
        self._store(genesis, outcome)
        return CommittedBlock(genesis)

    def publish(self, committed: CommittedBlock) -> None:
        """Tell whoever waits that the block is there."""
        self._recent[committed.number] = committed
        self._recent.pop(committed.number - _RECENT_BLOCKS, None)
        self.height = committed.number + 1
        for watch in self.watchers:
            watch(committed)
        for position, txid in enumerate(committed.txids):
            for waiter in self._waiting.pop(txid, []):
                if not waiter.done():
                    waiter.set_result((committed.flags[position], committed.number))
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def fail(self, reason: str) -> None:
        """Stop: the store does not take blocks any more."""
        self._failure = reason
        self.failed.set()
        for waiters in self._waiting.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(LedgerUnavailableError(reason))
        self._waiting.clear()
        self._grown.set()

    def check_alive(self) -> None:
        """LedgerUnavailableError once the chain has stopped."""
        if self._failure is not None:
            raise LedgerUnavailableError(self._failure)

    def block(self, number: int) -> CommittedBlock:
        """A committed block. NotFoundError beyond the end."""
        recent = self._recent.get(number)
        return recent if recent is not None else CommittedBlock(self.ledger.block(number))

    async def next_block(self, number: int) -> CommittedBlock:
        """Block `number`, once it is committed."""
        while number >= self.height:
            self.check_alive()
            await self._grown.wait()
        return self.block(number)

    async def status(self, txid: str) -> tuple[int, int]:
        """(TxValidationCode, block number) of the first transaction of that id, once it is committed."""
        place = self.ledger.transaction(txid)
        if place is not None:
            return place.code, place.block
        self.check_alive()
        waiter: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(txid, []).append(waiter)
        try:
            return await waiter
        finally:
            waiters = self._waiting.get(txid)
            if waiters is not None and waiter in waiters:
                waiters.remove(waiter)
                if not waiters:
                    del self._waiting[txid]

    def _store(self, block: common_pb2.Block, outcome: Outcome) -> None:
        commit = seal(block, bytes(outcome.flags), outcome.updates, self.ledger.commit_hash)
        self.ledger.append(block, commit, outcome.updates, outcome.written, outcome.transactions)
