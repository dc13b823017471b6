"""One organisation's peer as an endorser: runs the chaincode of a checked proposal, signs the result.

Sentences follow Fabric's core/endorser and core/chaincode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fabric_protos.common import policies_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2, proposal_response_pb2
from fabric_protos.peer import chaincode_shim_pb2 as shim
from google.protobuf.message import DecodeError

from quorumlearn_network.devnet.blocks import proposal_hash
from quorumlearn_network.devnet.chain import Chain
from quorumlearn_network.devnet.chaincode_stream import Call, ChaincodeStream
from quorumlearn_network.devnet.errors import ExecutionError
from quorumlearn_network.devnet.ledger import Snapshot
from quorumlearn_network.devnet.lifecycle import LIFECYCLE, Definition, sequence_key
from quorumlearn_network.devnet.metrics import PeerMetrics
from quorumlearn_network.devnet.msp import Identity, SigningIdentity
from quorumlearn_network.devnet.proposal import UNREADABLE, Proposal, unpack_proposal
from quorumlearn_network.devnet.qscc import QSCC, refuse_call, run_qscc
from quorumlearn_network.devnet.simulator import Interest, Simulator

ERROR_THRESHOLD = 400


@dataclass(frozen=True)
class Endorsed:
    """A peer's answer: the chaincode's response, and, below 400 and if asked for, what it endorses."""

    response: proposal_response_pb2.Response
    payload: bytes
    endorsement: proposal_response_pb2.Endorsement | None
    interests: tuple[Interest, ...]


class Peer:
    """The peer of one organisation: its signing identity and its streams to chaincode services."""

    def __init__(
        self,
        address: str,
        signer: SigningIdentity,
        identity: Identity,
        definitions: Mapping[str, Definition],
        chain: Chain,
        metrics: PeerMetrics,
    ) -> None:
        self.msp_id = signer.msp_id
        self.address = address
        self.identity = identity
        self.streams: dict[str, ChaincodeStream] = {}
        self._signer = signer
        self._definitions = definitions
        self._chain = chain
        self._metrics = metrics

    def has(self, chaincode: str) -> bool:
        """Whether the chaincode is installed here."""
        return chaincode == QSCC or chaincode in self.streams

    async def process(self, proposal: Proposal, snapshot: Snapshot, *, endorses: bool = True) -> Endorsed:
        """Simulate and, unless only the response is wanted, endorse. ExecutionError: the chaincode could not be run to its end."""
        with self._metrics.proposal(proposal.chaincode):
            return await self._process(proposal, snapshot, endorses)

    async def _process(self, proposal: Proposal, snapshot: Snapshot, endorses: bool) -> Endorsed:
        simulator = Simulator(snapshot, proposal.txid)
        if proposal.chaincode == QSCC:
            response = run_qscc(self._chain, proposal.channel, list(proposal.input.args))
            return self._sign(proposal, response, b"", b"", "syscc", ())
        definition = self._definitions.get(proposal.chaincode)
        if definition is None:
            raise ExecutionError(
                f"make sure the chaincode {proposal.chaincode} has been successfully defined on channel "
                f"{proposal.channel} and try again: chaincode {proposal.chaincode} not found"
            )
        call = Call(proposal.channel, proposal.txid, proposal.chaincode, proposal.input, proposal.signed)
        try:
            message = await self.invoke(call, simulator)
        except ExecutionError as error:
            raise ExecutionError(
                f"error in simulation: failed to execute transaction {call.txid}: {error}"
            ) from error
        if message.type == shim.ChaincodeMessage.ERROR:
            text = message.payload.decode(errors="replace")
            raise ExecutionError(f"error in simulation: transaction returned with failure: {text}")
        try:
            response = proposal_response_pb2.Response.FromString(message.payload)
        except DecodeError as error:
            raise ExecutionError(
                f"error in simulation: failed to unmarshal response for transaction {call.txid}: {error}"
            ) from error
        event = b""
        if message.HasField("chaincode_event") and response.status < ERROR_THRESHOLD:
            message.chaincode_event.chaincode_id = proposal.chaincode
            message.chaincode_event.tx_id = proposal.txid
            event = message.chaincode_event.SerializeToString()
        results, interests = simulator.results() if endorses else b"", tuple(simulator.interests())
        _check_key_policies(interests)
        if not endorses:
            return Endorsed(response, b"", None, interests)
        return self._sign(proposal, response, results, event, definition.version, interests)

    async def invoke(self, call: Call, simulator: Simulator) -> shim.ChaincodeMessage:
        """Run one chaincode in a simulation, also on behalf of another chaincode."""
        if call.chaincode == QSCC:
            return refuse_call(call.txid, unpack_proposal(call.proposal).chaincode)
        definition = self._definitions.get(call.chaincode)
        stream = self.streams.get(call.chaincode)
        if definition is None or stream is None:
            missing = "not found" if definition is None else "exists, but chaincode is not installed"
            raise ExecutionError(
                f"invalid invocation: [channel {call.channel}] failed to get chaincode container info for "
                f"{call.chaincode}: chaincode {call.chaincode} {missing}"
            )
        simulator.note_read(LIFECYCLE, sequence_key(call.chaincode), definition.sequence_version)
        return await stream.execute(call, simulator)

    def _sign(
        self,
        proposal: Proposal,
        response: proposal_response_pb2.Response,
        results: bytes,
        event: bytes,
        version: str,
        interests: tuple[Interest, ...],
    ) -> Endorsed:
        action = proposal_pb2.ChaincodeAction(
            results=results,
            events=event,
            response=response,
            chaincode_id=chaincode_pb2.ChaincodeID(name=proposal.chaincode, version=version),
        )
        visible = proposal_pb2.ChaincodeProposalPayload(input=proposal.payload.input).SerializeToString()
        payload: bytes = proposal_response_pb2.ProposalResponsePayload(
            proposal_hash=proposal_hash(
                proposal.header.channel_header, proposal.header.signature_header, visible
            ),
            extension=action.SerializeToString(),
        ).SerializeToString()
        if response.status >= ERROR_THRESHOLD:
            return Endorsed(response, payload, None, interests)
        endorsement = proposal_response_pb2.Endorsement(
            endorser=self._signer.serialized, signature=self._signer.sign(payload + self._signer.serialized)
        )
        return Endorsed(response, payload, endorsement, interests)


def _check_key_policies(interests: tuple[Interest, ...]) -> None:
    """ExecutionError if a written key is under a policy that is none: an endorser cannot say who must sign."""
    for interest in interests:
        for policy in interest.key_policies:
            try:
                policies_pb2.SignaturePolicyEnvelope.FromString(policy)
            except DecodeError as error:
                raise ExecutionError(
                    f"error in simulation: error unmarshalling SignaturePolicyEnvelope: {UNREADABLE}"
                ) from error
