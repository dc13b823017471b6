"""What a block's envelopes hold, and the checks that need no state.

`check_envelope` follows Fabric's core/common/validation: well formed, signed by a valid identity of the
channel, the transaction id derived from nonce and creator, the proposal hash bound to what was proposed. Its
verdicts are Fabric's own TxValidationCode.
"""

from __future__ import annotations

from dataclasses import dataclass

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.protobuf.message import DecodeError

from quorumlearn_network.devnet.blocks import proposal_hash, transaction_id
from quorumlearn_network.devnet.errors import IdentityError
from quorumlearn_network.devnet.msp import Membership

Code = transaction_pb2.TxValidationCode


class EnvelopeError(Exception):
    """An envelope that is not valid, with its TxValidationCode."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class EndorsedTransaction:
    """The parts of an endorser transaction that validation and readers need."""

    txid: str
    channel: str
    chaincode: str
    action: proposal_pb2.ChaincodeAction
    response_payload: bytes
    endorsements: tuple[proposal_response_pb2.Endorsement, ...]


def channel_header_of(data: bytes) -> common_pb2.ChannelHeader | None:
    """The channel header of an envelope's bytes, or None if there is none to read."""
    try:
        envelope = common_pb2.Envelope.FromString(data)
        payload = common_pb2.Payload.FromString(envelope.payload)
        return common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    except DecodeError:
        return None


def check_envelope(data: bytes, membership: Membership) -> EndorsedTransaction | None:
    """The transaction in `data`, or None for a configuration.

    EnvelopeError carries the code of what is wrong.
    """
    try:
        envelope = common_pb2.Envelope.FromString(data)
    except DecodeError as error:
        raise EnvelopeError(Code.INVALID_OTHER_REASON, "not an envelope") from error
    try:
        payload = common_pb2.Payload.FromString(envelope.payload)
    except DecodeError as error:
        raise EnvelopeError(Code.BAD_PAYLOAD, "the payload cannot be read") from error
    channel, signer = _headers(payload)
    _check_signature(envelope, signer, membership)
    if channel.type == common_pb2.CONFIG:
        return None
    if channel.type != common_pb2.ENDORSER_TRANSACTION:
        raise EnvelopeError(
            Code.UNSUPPORTED_TX_PAYLOAD, f"transactions of type {channel.type} are not supported"
        )
    if channel.tx_id != transaction_id(signer.nonce, signer.creator):
        raise EnvelopeError(Code.BAD_PROPOSAL_TXID, "the transaction id is not that of nonce and creator")
    return _endorsed(payload, channel)


def read_endorsed(data: bytes) -> EndorsedTransaction | None:
    """The transaction of a committed envelope, unchecked; None if it is not an endorser transaction."""
    try:
        payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(data).payload)
        channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        if channel.type != common_pb2.ENDORSER_TRANSACTION:
            return None
        return _endorsed(payload, channel)
    except (DecodeError, EnvelopeError):
        return None


def event_of(transaction: EndorsedTransaction) -> chaincode_event_pb2.ChaincodeEvent | None:
    """The chaincode event that a transaction emitted, if it did."""
    if not transaction.action.events:
        return None
    return chaincode_event_pb2.ChaincodeEvent.FromString(transaction.action.events)


def read_write_sets(results: bytes) -> list[tuple[str, kv_rwset_pb2.KVRWSet]]:
    """(namespace, reads and writes) in the order of the set. DecodeError if it is not a read-write set."""
    found = rwset_pb2.TxReadWriteSet.FromString(results)
    return [(entry.namespace, kv_rwset_pb2.KVRWSet.FromString(entry.rwset)) for entry in found.ns_rwset]


def is_delete(write: kv_rwset_pb2.KVWrite) -> bool:
    """An empty value deletes, whatever the flag says."""
    return bool(write.is_delete) or not write.value


def ledger_write(
    data: bytes, namespace: str, key: str
) -> tuple[common_pb2.ChannelHeader, kv_rwset_pb2.KVWrite]:
    """The header of a committed transaction and its write of `key`; KeyError if it has none."""
    transaction = read_endorsed(data)
    header = channel_header_of(data)
    if transaction is not None and header is not None:
        for name, entry in read_write_sets(transaction.action.results):
            for write in entry.writes:
                if name == namespace and write.key == key:
                    return header, write
    raise KeyError(key)


def _headers(payload: common_pb2.Payload) -> tuple[common_pb2.ChannelHeader, common_pb2.SignatureHeader]:
    if not payload.HasField("header"):
        raise EnvelopeError(Code.BAD_COMMON_HEADER, "nil header")
    try:
        channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        signer = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
    except DecodeError as error:
        raise EnvelopeError(Code.BAD_COMMON_HEADER, "a header cannot be read") from error
    if channel.type not in {common_pb2.ENDORSER_TRANSACTION, common_pb2.CONFIG_UPDATE, common_pb2.CONFIG}:
        raise EnvelopeError(Code.BAD_COMMON_HEADER, f"invalid header type {channel.type}")
    if channel.epoch != 0:
        raise EnvelopeError(Code.BAD_COMMON_HEADER, f"invalid Epoch in ChannelHeader: {channel.epoch}, not 0")
    if not signer.nonce or not signer.creator:
        raise EnvelopeError(Code.BAD_COMMON_HEADER, "no nonce or no creator in the header")
    return channel, signer


def _check_signature(
    envelope: common_pb2.Envelope, signer: common_pb2.SignatureHeader, membership: Membership
) -> None:
    try:
        creator = membership.identity(signer.creator)
    except IdentityError as error:
        raise EnvelopeError(Code.BAD_CREATOR_SIGNATURE, str(error)) from error
    if creator.problem is not None:
        raise EnvelopeError(Code.BAD_CREATOR_SIGNATURE, creator.problem)
    if not creator.verify(envelope.payload, envelope.signature):
        raise EnvelopeError(Code.BAD_CREATOR_SIGNATURE, "the creator's signature is not valid")


def _endorsed(payload: common_pb2.Payload, channel: common_pb2.ChannelHeader) -> EndorsedTransaction:
    invalid = Code.INVALID_ENDORSER_TRANSACTION
    try:
        transaction = transaction_pb2.Transaction.FromString(payload.data)
        if len(transaction.actions) != 1:
            raise EnvelopeError(
                invalid, f"only one action per transaction is supported, not {len(transaction.actions)}"
            )
        action = transaction.actions[0]
        header = common_pb2.SignatureHeader.FromString(action.header)
        content = transaction_pb2.ChaincodeActionPayload.FromString(action.payload)
        response = proposal_response_pb2.ProposalResponsePayload.FromString(
            content.action.proposal_response_payload
        )
    except DecodeError as error:
        raise EnvelopeError(invalid, "the transaction cannot be read") from error
    if not header.nonce or not header.creator:
        raise EnvelopeError(invalid, "no nonce or no creator in the action's header")
    expected = proposal_hash(payload.header.channel_header, action.header, content.chaincode_proposal_payload)
    if response.proposal_hash != expected:
        raise EnvelopeError(invalid, "proposal hash does not match")
    try:
        extension = proposal_pb2.ChaincodeHeaderExtension.FromString(channel.extension)
    except DecodeError as error:
        raise EnvelopeError(Code.BAD_HEADER_EXTENSION, "the header's extension cannot be read") from error
    try:
        chaincode_action = proposal_pb2.ChaincodeAction.FromString(response.extension)
    except DecodeError as error:
        raise EnvelopeError(Code.BAD_RESPONSE_PAYLOAD, "the chaincode action cannot be read") from error
    return EndorsedTransaction(
        channel.tx_id,
        channel.channel_id,
        extension.chaincode_id.name,
        chaincode_action,
        content.action.proposal_response_payload,
        tuple(content.action.endorsements),
    )
