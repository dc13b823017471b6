"""The Deliver services: blocks, filtered blocks, and blocks with (never any) private data.

A request is a signed envelope of type DELIVER_SEEK_INFO; answers and refusals are those of Fabric's
common/deliver: BAD_REQUEST for what cannot be read or is older than 15 minutes, NOT_FOUND for another channel
or a block that is not there with FAIL_IF_NOT_READY, FORBIDDEN for whoever is not a member. After SUCCESS the
next request may follow.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import events_pb2
from google.protobuf.message import DecodeError

from quorumlearn_network.devnet.chain import CommittedBlock
from quorumlearn_network.devnet.channel import Channel
from quorumlearn_network.devnet.envelope import channel_header_of, event_of, read_endorsed
from quorumlearn_network.devnet.errors import LedgerUnavailableError, NotFoundError, PolicyError
from quorumlearn_network.devnet.rpc_status import Context

TIME_WINDOW = 15 * 60
_Response = Callable[[common_pb2.Block, CommittedBlock], events_pb2.DeliverResponse]


class _RefusedError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(common_pb2.Status.Name(status))
        self.status = status


class Deliver:
    """The three calls of the Deliver service."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def Deliver(
        self, requests: AsyncIterator[common_pb2.Envelope], context: Context
    ) -> AsyncIterator[events_pb2.DeliverResponse]:
        async for response in self._serve(requests, lambda block, _: events_pb2.DeliverResponse(block=block)):
            yield response

    async def DeliverFiltered(
        self, requests: AsyncIterator[common_pb2.Envelope], context: Context
    ) -> AsyncIterator[events_pb2.DeliverResponse]:
        def respond(_: common_pb2.Block, committed: CommittedBlock) -> events_pb2.DeliverResponse:
            try:
                return events_pb2.DeliverResponse(filtered_block=filtered(committed, self._channel.name))
            except DecodeError:  # colluding endorsers got an event into a block that is none
                return events_pb2.DeliverResponse(status=common_pb2.BAD_REQUEST)

        async for response in self._serve(requests, respond):
            yield response

    async def DeliverWithPrivateData(
        self, requests: AsyncIterator[common_pb2.Envelope], context: Context
    ) -> AsyncIterator[events_pb2.DeliverResponse]:
        def respond(block: common_pb2.Block, _: CommittedBlock) -> events_pb2.DeliverResponse:
            both = events_pb2.BlockAndPrivateData(block=block)
            return events_pb2.DeliverResponse(block_and_private_data=both)

        async for response in self._serve(requests, respond):
            yield response

    async def _serve(
        self, requests: AsyncIterator[common_pb2.Envelope], respond: _Response
    ) -> AsyncIterator[events_pb2.DeliverResponse]:
        async for envelope in requests:
            try:
                seek = self._authorised(envelope)
                async for block, committed in self._blocks(seek):
                    self._still_allowed(envelope)
                    yield respond(block, committed)
            except _RefusedError as refused:
                yield events_pb2.DeliverResponse(status=refused.status)
                return
            except NotFoundError:
                yield events_pb2.DeliverResponse(status=common_pb2.NOT_FOUND)
                return
            except LedgerUnavailableError:
                yield events_pb2.DeliverResponse(status=common_pb2.SERVICE_UNAVAILABLE)
                return
            yield events_pb2.DeliverResponse(status=common_pb2.SUCCESS)

    async def _blocks(self, seek: ab_pb2.SeekInfo) -> AsyncIterator[tuple[common_pb2.Block, CommittedBlock]]:
        chain = self._channel.chain
        number = self._start(seek.start)
        stop = self._stop(seek, number)
        while True:
            if seek.behavior == ab_pb2.SeekInfo.FAIL_IF_NOT_READY and number >= chain.height:
                raise _RefusedError(common_pb2.NOT_FOUND)
            committed = await chain.next_block(number)
            block = committed.block
            if seek.content_type == ab_pb2.SeekInfo.HEADER_WITH_SIG and number > 0:
                block = common_pb2.Block(header=block.header, metadata=block.metadata)
            yield block, committed
            if number == stop:
                return
            number += 1

    def _start(self, position: ab_pb2.SeekPosition) -> int:
        kind = position.WhichOneof("Type")
        if kind == "oldest":
            return 0
        if kind == "newest":
            return self._channel.chain.height - 1
        if kind == "next_commit":
            return self._channel.chain.height
        if kind == "specified" and position.specified.number <= self._channel.chain.height:
            return int(position.specified.number)
        raise _RefusedError(common_pb2.NOT_FOUND)

    def _stop(self, seek: ab_pb2.SeekInfo, start: int) -> int:
        kind = seek.stop.WhichOneof("Type")
        if kind == "oldest":
            return start
        if kind == "newest":
            same = seek.start.WhichOneof("Type") == "newest"
            return start if same else self._channel.chain.height - 1
        if kind == "specified":
            stop = int(seek.stop.specified.number)
            if stop < start:
                raise _RefusedError(common_pb2.BAD_REQUEST)
            return stop
        return 0  # any other stop is block 0 to Fabric: after that, the stream does not end

    def _authorised(self, envelope: common_pb2.Envelope) -> ab_pb2.SeekInfo:
        try:
            payload = common_pb2.Payload.FromString(envelope.payload)
            header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
            common_pb2.SignatureHeader.FromString(payload.header.signature_header)
            seek = ab_pb2.SeekInfo.FromString(payload.data)
        except DecodeError as error:
            raise _RefusedError(common_pb2.BAD_REQUEST) from error
        if not payload.HasField("header") or not header.HasField("timestamp"):
            raise _RefusedError(common_pb2.BAD_REQUEST)
        if abs(header.timestamp.seconds - time.time()) > TIME_WINDOW:
            raise _RefusedError(common_pb2.BAD_REQUEST)
        if header.channel_id != self._channel.name:
            raise _RefusedError(common_pb2.NOT_FOUND)
        self._still_allowed(envelope)
        if not seek.HasField("start") or not seek.HasField("stop"):
            raise _RefusedError(common_pb2.BAD_REQUEST)
        return seek

    def _still_allowed(self, envelope: common_pb2.Envelope) -> None:
        payload = common_pb2.Payload.FromString(envelope.payload)
        creator = common_pb2.SignatureHeader.FromString(payload.header.signature_header).creator
        try:
            self._channel.check_reader(self._channel.name, creator, envelope.payload, envelope.signature)
        except PolicyError as error:
            raise _RefusedError(common_pb2.FORBIDDEN) from error
        if self._channel.membership.identity(creator).expired:
            raise _RefusedError(common_pb2.FORBIDDEN)


def filtered(committed: CommittedBlock, channel: str) -> events_pb2.FilteredBlock:
    """A block reduced to transaction ids, codes and events without their payloads, also those of invalid
    transactions. DecodeError for an event that cannot be read.
    """
    found = events_pb2.FilteredBlock(channel_id=channel, number=committed.number)
    for position, data in enumerate(committed.block.data.data):
        header = channel_header_of(data)
        if header is None:
            continue
        entry = found.filtered_transactions.add(
            txid=header.tx_id, type=header.type, tx_validation_code=committed.flags[position]
        )
        transaction = read_endorsed(data)
        if transaction is None:
            continue
        entry.transaction_actions.SetInParent()
        event = event_of(transaction)
        if event is not None:
            event.ClearField("payload")
            entry.transaction_actions.chaincode_actions.add(chaincode_event=event)
    return found
