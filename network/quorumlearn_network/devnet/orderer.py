"""The orderer: takes signed envelopes, cuts batches, has them committed one after the other.

Cutting follows Fabric's blockcutter: a batch ends when its first message has waited `timeout_ms`, when it
holds `max_messages`, or before the message that would take it over `preferred_max_bytes`; a message larger
than that is alone in its block. What is refused carries the status of Fabric's broadcast service.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from quorumlearn_network.devnet.chain import Chain
from quorumlearn_network.devnet.config import BatchConfig
from quorumlearn_network.devnet.errors import IdentityError, LedgerUnavailableError, OrderError
from quorumlearn_network.devnet.msp import Membership
from quorumlearn_network.devnet.proposal import UNREADABLE

_log = logging.getLogger(__name__)
_WRITERS = (
    "implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the "
    "'Writers' sub-policies to be satisfied: permission denied"
)


class Batcher:
    """Decides which messages form a block.

    It keeps no time: the caller cuts when the batch has waited enough.
    """

    def __init__(self, config: BatchConfig) -> None:
        self._config = config
        self._pending: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    def add(self, message: bytes, size: int) -> list[list[bytes]]:
        """The batches that this message completes; `size` counts payload and signature."""
        if size > self._config.preferred_max_bytes:
            return [*self.cut(), [message]]
        done = self.cut() if self._size + size > self._config.preferred_max_bytes else []
        self._pending.append(message)
        self._size += size
        if len(self._pending) >= self._config.max_messages:
            done += self.cut()
        return done

    def cut(self) -> list[list[bytes]]:
        """The batch so far, as a list of at most one."""
        batch, self._pending, self._size = self._pending, [], 0
        return [batch] if batch else []


class Orderer:
    """Orders envelopes for one channel and drives its chain."""

    def __init__(self, channel: str, chain: Chain, membership: Membership, config: BatchConfig) -> None:
        self._channel = channel
        self._chain = chain
        self._membership = membership
        self._config = config
        self._queue: asyncio.Queue[tuple[bytes, int, float]] = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="devnet-commit")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Finish the block under way; what has not been cut is dropped, as when an orderer stops."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    def submit(self, envelope: common_pb2.Envelope) -> None:
        """Take an envelope for ordering. OrderError: refused. It may still turn out invalid in its block."""
        size = len(envelope.payload) + len(envelope.signature)
        self._check(envelope, size)
        try:
            self._chain.check_alive()
        except LedgerUnavailableError as error:
            raise OrderError(common_pb2.SERVICE_UNAVAILABLE, str(error)) from error
        self._queue.put_nowait((envelope.SerializeToString(), size, asyncio.get_running_loop().time()))

    def _check(self, envelope: common_pb2.Envelope, size: int) -> None:
        unknown = "could not determine channel ID: "
        what = "Payload"
        try:
            payload = common_pb2.Payload.FromString(envelope.payload)
            what = "ChannelHeader"
            channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
            what = "SignatureHeader"
            signer = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
        except DecodeError as error:
            reason = f"{unknown}error unmarshalling {what}: {UNREADABLE}"
            raise OrderError(common_pb2.BAD_REQUEST, reason) from error
        if not payload.HasField("header"):
            raise OrderError(common_pb2.BAD_REQUEST, f"{unknown}header not set")
        if channel.channel_id != self._channel:
            raise OrderError(common_pb2.BAD_REQUEST, "channel does not exist")
        if channel.type in {common_pb2.CONFIG, common_pb2.CONFIG_UPDATE, common_pb2.ORDERER_TRANSACTION}:
            raise OrderError(common_pb2.BAD_REQUEST, "the devnet's channel configuration does not change")
        limit = self._config.absolute_max_bytes
        if size > limit:
            raise OrderError(
                common_pb2.BAD_REQUEST,
                f"message payload is {size} bytes and exceeds maximum allowed {limit} bytes",
            )
        try:
            identity = self._membership.identity(signer.creator)
        except IdentityError:
            _forbidden()
        if identity.expired:
            raise OrderError(common_pb2.BAD_REQUEST, "broadcast client identity expired")
        if not identity.writes or not identity.verify(envelope.payload, envelope.signature):
            _forbidden()

    async def _run(self) -> None:
        """Collect until a batch is done or its first message has waited enough; then commit it, and go on."""
        loop = asyncio.get_running_loop()
        patience = self._config.timeout_ms / 1000
        batcher = Batcher(self._config)
        deadline = 0.0
        while True:
            item = await self._next(deadline - loop.time() if batcher.pending else None)
            batches: list[list[bytes]] = []
            while item is not None and not batches:
                message, size, arrived = item
                idle = not batcher.pending
                batches = batcher.add(message, size)
                if idle or batches:
                    deadline = arrived + patience
                item = None if batches or self._queue.empty() else self._queue.get_nowait()
            if not batches and batcher.pending and loop.time() >= deadline:
                batches = batcher.cut()
            for batch in batches:
                if not await self._commit(batch):
                    return

    async def _next(self, timeout: float | None) -> tuple[bytes, int, float] | None:
        if not self._queue.empty():
            return self._queue.get_nowait()
        try:
            return await asyncio.wait_for(self._queue.get(), timeout)
        except TimeoutError:
            return None

    async def _commit(self, batch: list[bytes]) -> bool:
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._chain.extend, batch)
        try:
            committed = await asyncio.shield(work)
        except asyncio.CancelledError:
            self._chain.publish(await work)
            raise
        except LedgerUnavailableError as error:
            _log.error("ordering stopped: %s", error)
            self._chain.fail(str(error))
            return False
        except Exception:  # noqa: BLE001 - whatever it is, waiting clients must hear of it
            _log.exception("ordering stopped by a defect")
            self._chain.fail("the orderer stopped: see its log")
            return False
        invalid = sum(1 for flag in committed.flags if flag)
        _log.info("block %d: %d transactions, %d invalid", committed.number, len(batch), invalid)
        self._chain.publish(committed)
        return True


def _forbidden() -> NoReturn:
    raise OrderError(common_pb2.FORBIDDEN, _WRITERS)
