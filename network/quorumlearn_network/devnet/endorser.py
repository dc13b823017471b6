"""One organisation's peer as an endorser: checks a proposal, runs the chaincode, signs the result.

The checks and their sentences follow Fabric's core/endorser: shape, transaction id, creator (certificate,
expiry, signature), no transaction of that id on the ledger, and a creator who is a member of the channel. In
addition the channel header must carry a timestamp, which Fabric's own clients always set and contracts rely
on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2, proposal_response_pb2
from fabric_protos.peer import chaincode_shim_pb2 as shim
from google.protobuf.message import DecodeError

from quorumlearn_network.devnet.blocks import proposal_hash, transaction_id
from quorumlearn_network.devnet.chain import Chain
from quorumlearn_network.devnet.chaincode_stream import Call, ChaincodeStream
from quorumlearn_network.devnet.errors import ExecutionError, IdentityError, ProposalError
from quorumlearn_network.devnet.ledger import Snapshot
from quorumlearn_network.devnet.lifecycle import LIFECYCLE, Definition, sequence_key
from quorumlearn_network.devnet.msp import Identity, Membership, SigningIdentity
from quorumlearn_network.devnet.qscc import QSCC, run_qscc
from quorumlearn_network.devnet.simulator import Interest, Simulator

ERROR_THRESHOLD = 400


@dataclass(frozen=True)
class Proposal:
    """A signed proposal, taken apart; nothing about it has been checked yet."""

    signed: proposal_pb2.SignedProposal
    header: common_pb2.Header
    channel_header: common_pb2.ChannelHeader
    signature_header: common_pb2.SignatureHeader
    payload: proposal_pb2.ChaincodeProposalPayload
    chaincode: str
    input: chaincode_pb2.ChaincodeInput

    @property
    def channel(self) -> str:
        return str(self.channel_header.channel_id)

    @property
    def txid(self) -> str:
        return str(self.channel_header.tx_id)

    @property
    def has_transient(self) -> bool:
        return len(self.payload.TransientMap) > 0


@dataclass(frozen=True)
class Endorsed:
    """A peer's answer: the chaincode's response, and, below 400, what it endorses."""

    response: proposal_response_pb2.Response
    payload: bytes
    endorsement: proposal_response_pb2.Endorsement | None
    interests: tuple[Interest, ...]


def unpack_proposal(signed: proposal_pb2.SignedProposal) -> Proposal:
    """Take a proposal apart. ProposalError: it is not one."""
    try:
        proposal = proposal_pb2.Proposal.FromString(signed.proposal_bytes)
        header = common_pb2.Header.FromString(proposal.header)
        channel_header = common_pb2.ChannelHeader.FromString(header.channel_header)
        signature_header = common_pb2.SignatureHeader.FromString(header.signature_header)
        payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
        invocation = chaincode_pb2.ChaincodeInvocationSpec.FromString(payload.input)
        extension = proposal_pb2.ChaincodeHeaderExtension.FromString(channel_header.extension)
    except DecodeError as error:
        raise ProposalError(f"the proposal cannot be read: {error}") from error
    if not channel_header.channel_id:
        raise ProposalError("no channel id provided")
    name = str(invocation.chaincode_spec.chaincode_id.name)
    if not name:
        raise ProposalError(f"no chaincode name is provided, channel id [{channel_header.channel_id}]")
    if extension.chaincode_id.name != name:
        raise ProposalError("the chaincode in the header extension is not the one in the invocation")
    if not invocation.chaincode_spec.HasField("input"):
        raise ProposalError("chaincode input did not contain any input")
    return Proposal(
        signed, header, channel_header, signature_header, payload, name, invocation.chaincode_spec.input
    )


def check_proposal(proposal: Proposal, channel: str, membership: Membership, chain: Chain) -> Identity:
    """Fabric's checks before simulation; the creator. ProposalError says which one failed."""
    header, signer = proposal.channel_header, proposal.signature_header
    refused = "error validating proposal: "
    if proposal.channel != channel:
        raise ProposalError(f"channel '{proposal.channel}' not found")
    if header.type not in {common_pb2.ENDORSER_TRANSACTION, common_pb2.CONFIG}:
        raise ProposalError(f"{refused}invalid header type {header.type}")
    if header.epoch != 0:
        raise ProposalError(f"{refused}epoch is non-zero")
    if not signer.nonce:
        raise ProposalError(f"{refused}nonce is empty")
    if not signer.creator:
        raise ProposalError(f"{refused}creator is empty")
    if not header.HasField("timestamp"):
        raise ProposalError(f"{refused}the channel header has no timestamp")
    expected = transaction_id(signer.nonce, signer.creator)
    if proposal.txid != expected:
        raise ProposalError(f"{refused}incorrectly computed txid '{proposal.txid}' -- expected '{expected}'")
    try:
        creator = membership.identity(signer.creator)
    except IdentityError as error:
        raise ProposalError(
            f"{refused}access denied: channel [{channel}] creator org unknown, creator is malformed"
        ) from error
    denied = f"{refused}access denied: channel [{channel}] creator org [{creator.msp_id}]"
    if creator.problem is not None:
        raise ProposalError(denied)
    if not creator.verify(proposal.signed.proposal_bytes, proposal.signed.signature):
        raise ProposalError(denied)
    if creator.expired:
        raise ProposalError("proposal client identity expired")
    if chain.ledger.transaction(proposal.txid) is not None:
        raise ProposalError(
            f"duplicate transaction found [{proposal.txid}]. Creator [{signer.creator.hex()}]"
        )
    return creator


class Peer:
    """The peer of one organisation: its signing identity and its streams to chaincode services."""

    def __init__(
        self,
        address: str,
        signer: SigningIdentity,
        identity: Identity,
        definitions: Mapping[str, Definition],
        chain: Chain,
    ) -> None:
        self.msp_id = signer.msp_id
        self.address = address
        self.identity = identity
        self.streams: dict[str, ChaincodeStream] = {}
        self._signer = signer
        self._definitions = definitions
        self._chain = chain

    def has(self, chaincode: str) -> bool:
        """Whether the chaincode is installed here."""
        return chaincode == QSCC or chaincode in self.streams

    async def process(self, proposal: Proposal, snapshot: Snapshot) -> Endorsed:
        """Simulate and endorse. ExecutionError: the chaincode could not be run to its end."""
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
        results = simulator.results()
        return self._sign(
            proposal, response, results, event, definition.version, tuple(simulator.interests())
        )

    async def invoke(self, call: Call, simulator: Simulator) -> shim.ChaincodeMessage:
        """Run one chaincode in a simulation, also on behalf of another chaincode."""
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
