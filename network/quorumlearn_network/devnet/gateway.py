"""The Gateway service of one organisation's peer: Evaluate, Endorse, Submit, CommitStatus, ChaincodeEvents.

Codes, sentences and details follow Fabric's internal/pkg/gateway. All endorsers of one Endorse call simulate
on the same snapshot of the ledger, as peers of equal height do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import chaincode_event_pb2
from google.protobuf.message import DecodeError

from quorumlearn_network.devnet.channel import Channel
from quorumlearn_network.devnet.endorser import Peer
from quorumlearn_network.devnet.endorsing import Endorsing, no_config
from quorumlearn_network.devnet.errors import (
    LedgerUnavailableError,
    NotFoundError,
    OrderError,
    PolicyError,
)
from quorumlearn_network.devnet.proposal import UNREADABLE
from quorumlearn_network.devnet.rpc_status import Context, RpcError, abort

_log = logging.getLogger(__name__)
_Status = grpc.StatusCode


class Gateway:
    """The five calls, seen from the organisation of `peer`."""

    def __init__(self, channel: Channel, peer: Peer) -> None:
        self._channel = channel
        self._peer = peer
        self._endorsing = Endorsing(channel, peer)

    async def Evaluate(
        self, request: gateway_pb2.EvaluateRequest, context: Context
    ) -> gateway_pb2.EvaluateResponse:
        try:
            return await self._endorsing.evaluate(request)
        except RpcError as error:
            await abort(context, error)

    async def Endorse(
        self, request: gateway_pb2.EndorseRequest, context: Context
    ) -> gateway_pb2.EndorseResponse:
        try:
            return await asyncio.wait_for(self._endorsing.endorse(request), self._channel.endorse_timeout)
        except TimeoutError:
            reason = "endorsement timeout expired while collecting endorsements"
            await abort(context, RpcError(_Status.DEADLINE_EXCEEDED, reason))
        except RpcError as error:
            await abort(context, error)

    async def Submit(
        self, request: gateway_pb2.SubmitRequest, context: Context
    ) -> gateway_pb2.SubmitResponse:
        try:
            return self._submit(request)
        except RpcError as error:
            await abort(context, error)

    async def CommitStatus(
        self, request: gateway_pb2.SignedCommitStatusRequest, context: Context
    ) -> gateway_pb2.CommitStatusResponse:
        try:
            return await self._commit_status(request)
        except RpcError as error:
            await abort(context, error)

    async def ChaincodeEvents(
        self, request: gateway_pb2.SignedChaincodeEventsRequest, context: Context
    ) -> AsyncIterator[gateway_pb2.ChaincodeEventsResponse]:
        try:
            async for response in self._chaincode_events(request):
                yield response
        except RpcError as error:
            await abort(context, error)

    def _submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse:
        if not request.HasField("prepared_transaction"):
            raise RpcError(_Status.INVALID_ARGUMENT, "a prepared transaction is required")
        if not request.prepared_transaction.signature:
            raise RpcError(_Status.INVALID_ARGUMENT, "prepared transaction must be signed")
        if request.channel_id != self._channel.name:
            raise RpcError(_Status.FAILED_PRECONDITION, no_config(request.channel_id))
        try:
            self._channel.orderer.submit(request.prepared_transaction)
        except OrderError as error:
            status = f"status={common_pb2.Status.Name(error.status)}, info={error.info}"
            refused = f"received unsuccessful response from orderer: {status}"
            if error.status < 500:
                raise RpcError(_Status.ABORTED, refused) from error
            detail = gateway_pb2.ErrorDetail(
                address=self._peer.address, msp_id=self._channel.orderer_msp_id, message=refused
            )
            raise RpcError(
                _Status.UNAVAILABLE, "no orderers could successfully process transaction", [detail]
            ) from error
        return gateway_pb2.SubmitResponse()

    async def _commit_status(
        self, signed: gateway_pb2.SignedCommitStatusRequest
    ) -> gateway_pb2.CommitStatusResponse:
        if not signed.request:
            raise RpcError(_Status.INVALID_ARGUMENT, "a commit status request is required")
        try:
            request = gateway_pb2.CommitStatusRequest.FromString(signed.request)
        except DecodeError as error:
            raise RpcError(_Status.INVALID_ARGUMENT, f"invalid status request: {UNREADABLE}") from error
        if not request.identity:
            raise RpcError(_Status.INVALID_ARGUMENT, "no identity provided")
        if not request.channel_id:
            raise RpcError(_Status.INVALID_ARGUMENT, "no channel ID provided")
        if not request.transaction_id:
            raise RpcError(_Status.INVALID_ARGUMENT, "transaction ID should not be empty")
        self._check_reader(request.channel_id, request.identity, signed.request, signed.signature)
        try:
            code, number = await self._channel.chain.status(request.transaction_id)
        except LedgerUnavailableError as error:
            raise RpcError(_Status.UNAVAILABLE, str(error)) from error
        return gateway_pb2.CommitStatusResponse(result=code, block_number=number)

    async def _chaincode_events(
        self, signed: gateway_pb2.SignedChaincodeEventsRequest
    ) -> AsyncIterator[gateway_pb2.ChaincodeEventsResponse]:
        if not signed.request:
            raise RpcError(_Status.INVALID_ARGUMENT, "a chaincode events request is required")
        try:
            request = gateway_pb2.ChaincodeEventsRequest.FromString(signed.request)
        except DecodeError as error:
            raise RpcError(
                _Status.INVALID_ARGUMENT, f"invalid chaincode events request: {UNREADABLE}"
            ) from error
        self._check_reader(request.channel_id, request.identity, signed.request, signed.signature)
        try:
            number, after = self._first_block(request)
            while True:
                committed = await self._channel.chain.next_block(number)
                events, after = _matching(committed.events, request.chaincode_id, after)
                if events:
                    yield gateway_pb2.ChaincodeEventsResponse(events=events, block_number=number)
                number += 1
        except LedgerUnavailableError as error:
            raise RpcError(_Status.UNAVAILABLE, str(error)) from error
        except NotFoundError as error:
            raise RpcError(_Status.ABORTED, str(error)) from error

    def _first_block(self, request: gateway_pb2.ChaincodeEventsRequest) -> tuple[int, str]:
        """Where to begin, and the transaction id up to which events are skipped."""
        chain = self._channel.chain
        after = str(request.after_transaction_id)
        place = chain.ledger.transaction(after) if after else None
        if place is not None:
            return place.block, after
        kind = request.start_position.WhichOneof("Type")
        if kind == "specified":
            return int(request.start_position.specified.number), after
        if kind in {None, "next_commit"}:
            return chain.height, after
        named = f"*orderer.SeekPosition_{kind.title()}"
        raise RpcError(_Status.INVALID_ARGUMENT, f"invalid start position type: {named}")

    def _check_reader(self, channel: str, identity: bytes, data: bytes, signature: bytes) -> None:
        try:
            self._channel.check_reader(channel, identity, data, signature)
        except PolicyError as error:
            raise RpcError(_Status.PERMISSION_DENIED, str(error)) from error


def _matching(
    events: Sequence[chaincode_event_pb2.ChaincodeEvent], chaincode: str, after: str
) -> tuple[list[chaincode_event_pb2.ChaincodeEvent], str]:
    """Events of the chaincode, and of those none up to transaction `after`; what is left of `after`."""
    found = []
    for event in events:
        if after:
            after = "" if event.tx_id == after else after
        elif event.chaincode_id == chaincode:
            found.append(event)
    return found, after
