"""Which peers simulate a proposal, in which order, and what becomes of their answers.

Evaluate asks one peer, the own first, others if it cannot run the chaincode. Endorse asks the own peer first, learns
from its read-write set which policies count (the chaincode's, those of written keys, those of called chaincodes),
and asks the smallest set of organisations that satisfies all of them; a set with a peer that fails or disagrees gives
way to the next. All peers of one call simulate on the same snapshot of the ledger, as peers of equal height do.
Fabric's internal/pkg/gateway (`endorse.go`, `evaluate.go`, `registry.go`) is the model, also for the sentences.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2, transaction_pb2

from quorumlearn_network.devnet.channel import Channel
from quorumlearn_network.devnet.endorser import (
    ERROR_THRESHOLD,
    Endorsed,
    Peer,
)
from quorumlearn_network.devnet.errors import (
    ExecutionError,
    LedgerUnavailableError,
    PolicyError,
    ProposalError,
    SimulationError,
    UnauthorisedError,
)
from quorumlearn_network.devnet.ledger import Snapshot
from quorumlearn_network.devnet.proposal import (
    Proposal,
    check_admission,
    check_named,
    check_proposal,
    unpack_proposal,
)
from quorumlearn_network.devnet.rpc_status import RpcError

_Status = grpc.StatusCode


class _PeerError(Exception):
    """A peer did not endorse: the gateway's code for it, and whether another peer may do better."""

    def __init__(self, code: grpc.StatusCode, message: str, retry: bool) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry = retry


class Endorsing:
    """Evaluate and Endorse, seen from the organisation of `peer`. Both end in RpcError if they fail."""

    def __init__(self, channel: Channel, peer: Peer) -> None:
        self._channel = channel
        self._peer = peer

    async def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse:
        try:
            proposal = _unpack(request.proposed_transaction)
            check_named(proposal)
        except ProposalError as error:
            reason = f"failed to unpack transaction proposal: {error}"
            raise RpcError(_Status.INVALID_ARGUMENT, reason) from error
        if proposal.channel != self._channel.name:
            raise RpcError(_Status.UNAVAILABLE, no_config(proposal.channel))
        targets = list(request.target_organizations)
        if proposal.has_transient and not targets:
            targets = [self._peer.msp_id]
        peers = [
            peer
            for peer in self._channel.peers_from(self._peer.msp_id)
            if peer.has(proposal.asked) and (not targets or peer.msp_id in targets)
        ]
        if not peers:
            reason = (
                f"no peers available to evaluate chaincode {proposal.asked} in channel {proposal.channel}"
            )
            raise RpcError(_Status.FAILED_PRECONDITION, reason)
        details: list[gateway_pb2.ErrorDetail] = []
        code = _Status.ABORTED
        snapshot = self._snapshot()
        try:
            for peer in peers:
                try:
                    endorsed = await self._process(peer, proposal, snapshot, endorses=False)
                except _PeerError as failure:
                    details.append(_detail(peer, failure.message))
                    code = failure.code
                    if not failure.retry:
                        raise RpcError(
                            failure.code,
                            f"evaluate call to endorser returned error: {failure.message}",
                            details,
                        ) from failure
                else:
                    return gateway_pb2.EvaluateResponse(result=endorsed.response)
        finally:
            snapshot.close()
        raise RpcError(code, "failed to evaluate transaction, see attached details for more info", details)

    async def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
        if not request.proposed_transaction.proposal_bytes:
            raise RpcError(
                _Status.INVALID_ARGUMENT, "the proposed transaction must contain a signed proposal"
            )
        try:
            proposal = _unpack(request.proposed_transaction)
        except ProposalError as error:
            raise RpcError(_Status.INVALID_ARGUMENT, str(error)) from error
        snapshot = self._snapshot()
        try:
            if request.endorsing_organizations:
                chosen = self._named_peers(proposal, list(request.endorsing_organizations))
                collected = await self._collect(proposal, snapshot, [chosen], {}, [])
            else:
                collected = await self._chosen_peers(proposal, snapshot)
        finally:
            snapshot.close()
        return gateway_pb2.EndorseResponse(prepared_transaction=_prepare(proposal, collected))

    async def _chosen_peers(self, proposal: Proposal, snapshot: Snapshot) -> list[Endorsed]:
        """The own peer first; its result says which policies count, and so which peers to ask besides."""
        peers = self._channel.peers_from(self._peer.msp_id) if proposal.channel == self._channel.name else []
        available = [peer for peer in peers if peer.has(proposal.asked)]
        if proposal.has_transient and self._peer not in available:
            raise RpcError(
                _Status.FAILED_PRECONDITION,
                "no endorsers found in the gateway's organization; "
                "retry specifying endorsing organization(s) to protect transient data",
            )
        if self._peer not in available:
            available = self._in_layout(proposal, available)
        first = available[0]
        try:
            result = await self._process(first, proposal, snapshot)
        except _PeerError as failure:
            raise RpcError(
                _Status.ABORTED,
                "failed to endorse transaction, see attached details for more info",
                [_detail(first, failure.message)],
            ) from failure
        try:
            layouts = self._channel.layouts(first.msp_id, result.interests, proposal.asked)
        except PolicyError as error:
            raise _no_combination(str(error)) from error
        groups = [[self._channel.peers[msp_id] for msp_id in layout] for layout in layouts]
        return await self._collect(proposal, snapshot, groups, {first.msp_id: result}, [])

    def _in_layout(self, proposal: Proposal, available: Sequence[Peer]) -> list[Peer]:
        """Without a chaincode of its own, the gateway begins with a peer that the chaincode's policy counts."""
        if proposal.channel != self._channel.name:
            raise _no_combination(
                f"No metadata was found for chaincode {proposal.asked} in channel {proposal.channel}"
            )
        try:
            layouts = self._channel.layouts(self._peer.msp_id, (), proposal.asked)
        except PolicyError as error:
            raise _no_combination(str(error)) from error
        return [peer for peer in available if peer.msp_id in layouts[0]]

    def _named_peers(self, proposal: Proposal, msp_ids: Sequence[str]) -> list[Peer]:
        peers = self._channel.peers
        missing = [name for name in msp_ids if name not in peers or not peers[name].has(proposal.asked)]
        if missing or proposal.channel != self._channel.name:
            names = ", ".join(missing or msp_ids)
            raise RpcError(_Status.UNAVAILABLE, f"failed to find any endorsing peers for org(s): {names}")
        return [peers[name] for name in dict.fromkeys(msp_ids)]

    async def _collect(
        self,
        proposal: Proposal,
        snapshot: Snapshot,
        groups: Sequence[Sequence[Peer]],
        have: dict[str, Endorsed],
        details: list[gateway_pb2.ErrorDetail],
    ) -> list[Endorsed]:
        """Endorsements of the first group whose peers all endorse the same bytes."""
        failed: set[str] = set()
        payload = next((endorsed.payload for endorsed in have.values()), None)
        for group in groups:
            if any(peer.msp_id in failed for peer in group):
                continue
            asked = [peer for peer in group if peer.msp_id not in have]
            results = await asyncio.gather(
                *(self._process(peer, proposal, snapshot) for peer in asked), return_exceptions=True
            )
            for peer, result in zip(asked, results, strict=True):
                if isinstance(result, _PeerError):
                    failed.add(peer.msp_id)
                    details.append(_detail(peer, result.message))
                elif isinstance(result, BaseException):
                    raise result
                elif payload is not None and result.payload != payload:
                    failed.add(peer.msp_id)
                    details.append(_detail(peer, "ProposalResponsePayloads do not match"))
                else:
                    payload = result.payload
                    have[peer.msp_id] = result
            if all(peer.msp_id in have for peer in group):
                return [have[peer.msp_id] for peer in group]
        raise RpcError(
            _Status.ABORTED,
            "failed to collect enough transaction endorsements, see attached details for more info",
            details,
        )

    async def _process(
        self, peer: Peer, proposal: Proposal, snapshot: Snapshot, *, endorses: bool = True
    ) -> Endorsed:
        distant = (
            peer is not self._peer
        )  # then a refusal is an error of gRPC, and nothing more is known of it
        try:
            check_admission(proposal, self._channel.membership)
            check_proposal(proposal, self._channel.name, self._channel.membership, self._channel.chain)
        except (ProposalError, UnauthorisedError) as error:
            if distant or isinstance(error, UnauthorisedError):
                said = f"rpc error: code = Unknown desc = {error}" if distant else str(error)
                raise _PeerError(_Status.UNAVAILABLE, said, retry=True) from error
            raise _PeerError(_Status.FAILED_PRECONDITION, str(error), retry=False) from error
        try:
            endorsed = await peer.process(proposal, snapshot, endorses=endorses)
        except (ExecutionError, SimulationError) as error:
            raise _PeerError(_Status.ABORTED, str(error), retry=True) from error
        except LedgerUnavailableError as error:
            raise RpcError(_Status.INTERNAL, str(error), [_detail(peer, str(error))]) from error
        status = endorsed.response.status
        if not 200 <= status < ERROR_THRESHOLD:
            reason = f"chaincode response {status}, {endorsed.response.message}"
            raise _PeerError(_Status.UNKNOWN, reason, retry=False)
        return endorsed

    def _snapshot(self) -> Snapshot:
        try:
            return self._channel.chain.ledger.snapshot()
        except LedgerUnavailableError as error:
            raise RpcError(_Status.INTERNAL, str(error)) from error


def no_config(channel: str) -> str:
    """What the gateway says of a channel that it does not know."""
    return f"failed to get config for channel [{channel}]: could not get last config for channel {channel}"


def _unpack(signed: proposal_pb2.SignedProposal) -> Proposal:
    if not signed.proposal_bytes:
        raise ProposalError("a signed proposal is required")
    return unpack_proposal(signed)


def _prepare(proposal: Proposal, collected: Sequence[Endorsed]) -> common_pb2.Envelope:
    """The unsigned transaction: the proposal without its transient data, with the endorsements."""
    visible = proposal_pb2.ChaincodeProposalPayload(input=proposal.payload.input).SerializeToString()
    action = transaction_pb2.ChaincodeEndorsedAction(
        proposal_response_payload=collected[0].payload,
        endorsements=[endorsed.endorsement for endorsed in collected],
    )
    content = transaction_pb2.ChaincodeActionPayload(chaincode_proposal_payload=visible, action=action)
    transaction = transaction_pb2.Transaction(
        actions=[
            transaction_pb2.TransactionAction(
                header=proposal.header.signature_header, payload=content.SerializeToString()
            )
        ]
    )
    payload = common_pb2.Payload(header=proposal.header, data=transaction.SerializeToString())
    return common_pb2.Envelope(payload=payload.SerializeToString())


def _detail(peer: Peer, message: str) -> gateway_pb2.ErrorDetail:
    return gateway_pb2.ErrorDetail(address=peer.address, msp_id=peer.msp_id, message=message)


def _no_combination(reason: str) -> RpcError:
    return RpcError(
        _Status.FAILED_PRECONDITION,
        f"no combination of peers can be derived which satisfy the endorsement policy: {reason}",
    )
