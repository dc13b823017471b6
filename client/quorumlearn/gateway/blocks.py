"""Blocks as people and programs read them: a common.Block taken apart into values. Pure functions.

Source: Fabric's protobufs; the block's hash is SHA-256 of the DER SEQUENCE of number, previous hash and data
hash.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.x509.oid import NameOID
from fabric_protos.common import common_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.protobuf.message import DecodeError

_TRANSACTION_FILTER = 2  # the slot of the validation codes in a block's metadata


class BlockError(ValueError):
    """Bytes that are not what a block holds."""


@dataclass(frozen=True)
class TransactionRecord:
    """A transaction in a block. `index` is its place in it; a config transaction has no chaincode and no
    id.
    """

    index: int
    transaction_id: str
    kind: str
    creator: str
    timestamp_ms: int
    code: str
    chaincode: str = ""
    arguments: tuple[bytes, ...] = field(default=(), repr=False)
    endorsers: tuple[str, ...] = ()
    event_name: str = ""
    event_payload: bytes = field(default=b"", repr=False)

    @property
    def function(self) -> str:
        """The first argument, as text."""
        return self.arguments[0].decode(errors="replace") if self.arguments else ""

    @property
    def valid(self) -> bool:
        return self.code == "VALID"


@dataclass(frozen=True)
class BlockRecord:
    """A block: its number, hashes (32 bytes each; genesis has no previous) and transactions in order."""

    number: int
    hash: bytes
    previous_hash: bytes
    transactions: tuple[TransactionRecord, ...]


def read_block(block: common_pb2.Block) -> BlockRecord:
    """Take a block apart; BlockError if it is malformed."""
    header = block.header
    codes = (
        block.metadata.metadata[_TRANSACTION_FILTER]
        if len(block.metadata.metadata) > _TRANSACTION_FILTER
        else b""
    )
    transactions = []
    for index, data in enumerate(block.data.data):
        code = code_name(codes[index]) if index < len(codes) else "NOT_VALIDATED"
        try:
            envelope = common_pb2.Envelope.FromString(data)
            transactions.append(_read(envelope, index, code))
        except DecodeError as error:
            raise BlockError(f"transaction {index} of block {header.number} is malformed") from error
    return BlockRecord(header.number, header_hash(header), header.previous_hash, tuple(transactions))


def read_transaction(processed: transaction_pb2.ProcessedTransaction) -> TransactionRecord:
    """Take apart what `Network.transaction` returns (its index is not in it and is 0)."""
    try:
        return _read(processed.transactionEnvelope, 0, code_name(processed.validationCode))
    except DecodeError as error:
        raise BlockError("the transaction is malformed") from error


def header_hash(header: common_pb2.BlockHeader) -> bytes:
    """The hash that the next block's `previous_hash` holds."""
    number = header.number.to_bytes(header.number.bit_length() // 8 + 1, "big")
    parts = b"".join((_der(0x02, number), _der(0x04, header.previous_hash), _der(0x04, header.data_hash)))
    return hashlib.sha256(_der(0x30, parts)).digest()


def code_name(code: int) -> str:
    """Fabric's name of a validation code."""
    known = transaction_pb2.TxValidationCode.DESCRIPTOR.values_by_number
    return known[code].name if code in known else f"CODE_{code}"


def identity_name(serialised: bytes) -> str:
    """`MSP/common name` of a serialised identity; `MSP/?` if its certificate cannot be read."""
    try:
        identity = identities_pb2.SerializedIdentity.FromString(serialised)
    except DecodeError:
        return "?"
    try:
        certificate = x509.load_pem_x509_certificate(identity.id_bytes)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        names = []
    return f"{identity.mspid}/{str(names[0].value) if names else '?'}"


def _read(envelope: common_pb2.Envelope, index: int, code: str) -> TransactionRecord:
    payload = common_pb2.Payload.FromString(envelope.payload)
    channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    signature = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
    kinds = common_pb2.HeaderType.DESCRIPTOR.values_by_number
    kind = kinds[channel.type].name if channel.type in kinds else str(channel.type)
    creator, stamp = identity_name(signature.creator), channel.timestamp.ToMilliseconds()
    if channel.type != common_pb2.ENDORSER_TRANSACTION:
        return TransactionRecord(index, channel.tx_id, kind, creator, stamp, code)
    actions = transaction_pb2.Transaction.FromString(payload.data).actions
    if not actions:
        return TransactionRecord(index, channel.tx_id, kind, creator, stamp, code)
    action = transaction_pb2.ChaincodeActionPayload.FromString(actions[0].payload)
    proposed = proposal_pb2.ChaincodeProposalPayload.FromString(action.chaincode_proposal_payload)
    call = chaincode_pb2.ChaincodeInvocationSpec.FromString(proposed.input).chaincode_spec
    response = proposal_response_pb2.ProposalResponsePayload.FromString(
        action.action.proposal_response_payload
    )
    done = proposal_pb2.ChaincodeAction.FromString(response.extension)
    event = chaincode_event_pb2.ChaincodeEvent.FromString(done.events)
    return TransactionRecord(
        index,
        channel.tx_id,
        kind,
        creator,
        stamp,
        code,
        chaincode=call.chaincode_id.name,
        arguments=tuple(call.input.args),
        endorsers=tuple(identity_name(one.endorser) for one in action.action.endorsements),
        event_name=event.event_name,
        event_payload=event.payload,
    )


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content
