"""The Endorser service of a peer, for clients that collect endorsements by themselves."""

from __future__ import annotations

import grpc
from fabric_protos.peer import proposal_pb2, proposal_response_pb2

from quorumlearn_network.devnet.channel import Channel
from quorumlearn_network.devnet.endorser import Peer
from quorumlearn_network.devnet.errors import (
    ExecutionError,
    LedgerUnavailableError,
    ProposalError,
    SimulationError,
    UnauthorisedError,
)
from quorumlearn_network.devnet.proposal import check_admission, check_proposal, unpack_proposal
from quorumlearn_network.devnet.rpc_status import Context, RpcError, abort


class Endorser:
    """ProcessProposal: errors of the proposal end the call, errors of the chaincode are responses of status
    500.
    """

    def __init__(self, channel: Channel, peer: Peer) -> None:
        self._channel = channel
        self._peer = peer

    async def ProcessProposal(
        self, request: proposal_pb2.SignedProposal, context: Context
    ) -> proposal_response_pb2.ProposalResponse:
        channel = self._channel
        try:
            proposal = unpack_proposal(request)
            check_admission(proposal, channel.membership)
            check_proposal(proposal, channel.name, channel.membership, channel.chain)
        except (ProposalError, UnauthorisedError) as error:
            await abort(context, RpcError(grpc.StatusCode.UNKNOWN, str(error)))
        try:
            snapshot = channel.chain.ledger.snapshot()
            try:
                endorsed = await self._peer.process(proposal, snapshot)
            finally:
                snapshot.close()
        except (ExecutionError, SimulationError, LedgerUnavailableError) as error:
            return proposal_response_pb2.ProposalResponse(
                response=proposal_response_pb2.Response(status=500, message=str(error))
            )
        return proposal_response_pb2.ProposalResponse(
            version=1 if endorsed.endorsement is not None else 0,
            payload=endorsed.payload,
            response=endorsed.response,
            endorsement=endorsed.endorsement,
        )
