"""Blocks.

What is in a block and how blocks hang together; hashes and signatures are recomputed, not recorded.
"""

from __future__ import annotations

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fabric_protos.common import common_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    proposal_pb2,
    proposal_response_pb2,
)

from tests.conformance.network import Network
from tests.conformance.observing import Observation, case
from tests.network.devnet.raw_gateway import action_of, content_of


def der(header: common_pb2.BlockHeader) -> bytes:
    """DER SEQUENCE {INTEGER number, OCTET STRING previous hash, OCTET STRING data hash}."""
    number = header.number.to_bytes(header.number.bit_length() // 8 + 1, "big")
    content = b"".join(
        bytes([tag, len(data)]) + data
        for tag, data in ((2, number), (4, header.previous_hash), (4, header.data_hash))
    )
    return bytes([0x30, len(content)]) + content


def verify(serialized: bytes, signature: bytes, data: bytes) -> str:
    """Raises InvalidSignature, or gives the signer's MSP id."""
    identity = identities_pb2.SerializedIdentity.FromString(serialized)
    key = x509.load_pem_x509_certificate(identity.id_bytes).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    return str(identity.mspid)


def whole_chain(network: Network) -> list[common_pb2.Block]:
    height = network.owner.chain_info().height
    return [network.owner.block(number) for number in range(height)]


@case("hashes: every block's data, its predecessor, the whole chain")
def chain(network: Network) -> Observation:
    network.must_submit("put", "chained", "x")
    blocks = whole_chain(network)
    previous = b""
    for number, block in enumerate(blocks):
        assert block.header.number == number
        assert hashlib.sha256(b"".join(block.data.data)).digest() == block.header.data_hash
        assert block.header.previous_hash == previous
        previous = hashlib.sha256(der(block.header)).digest()
    info = network.owner.chain_info()
    if info.height == len(blocks):
        assert info.currentBlockHash == previous
        assert info.previousBlockHash == blocks[-1].header.previous_hash
    return "verified"


@case("signatures: orderer, creators, endorsers; transaction ids and proposal hashes")
def signatures(network: Network) -> Observation:
    committed = network.must_submit("put", "signed", "x")
    signers = set()
    for block in whole_chain(network)[1:]:
        metadata = common_pb2.Metadata.FromString(block.metadata.metadata[common_pb2.SIGNATURES])
        (signed,) = metadata.signatures
        creator = common_pb2.SignatureHeader.FromString(signed.signature_header).creator
        content = metadata.value + signed.signature_header + der(block.header)
        signers.add(verify(creator, signed.signature, content))
        if block.header.number == committed.block:
            for data in block.data.data:
                _check_transaction(common_pb2.Envelope.FromString(data))
    return ["verified", *sorted(signers)]


@case("a block's metadata")
def metadata(network: Network) -> Observation:
    blocks = whole_chain(network)
    committed = network.must_submit("put", "metadata", "x")
    block = network.owner.block(committed.block)
    slots = block.metadata.metadata
    signed = common_pb2.Metadata.FromString(slots[common_pb2.SIGNATURES])
    value = common_pb2.OrdererBlockMetadata.FromString(signed.value)
    commit = common_pb2.Metadata.FromString(slots[common_pb2.COMMIT_HASH])
    before = network.owner.block(committed.block - 1).metadata.metadata[common_pb2.COMMIT_HASH]
    return {
        "slots": len(slots),
        "slots of block 0": len(blocks[0].metadata.metadata),
        "signatures": len(signed.signatures),
        "last configuration": value.last_config.index,
        "slot 1": len(slots[1]),
        "slot 3": len(slots[3]),
        "transaction filter": list(slots[common_pb2.TRANSACTIONS_FILTER]),
        "transaction filter of block 0": list(blocks[0].metadata.metadata[common_pb2.TRANSACTIONS_FILTER]),
        "commit hash": [len(commit.value), len(commit.signatures), slots[common_pb2.COMMIT_HASH] != before],
        "commit hash of block 0": len(blocks[0].metadata.metadata[common_pb2.COMMIT_HASH]),
    }


@case("the commit hash follows from filter, updates and predecessor")
def commit_hash(network: Network) -> Observation:
    committed = network.must_submit("put", "hashed", "value")
    block, before = network.owner.block(committed.block), network.owner.block(committed.block - 1)
    if len(block.data.data) != 1:
        raise AssertionError("another transaction came into the block")
    version = bytes([1, committed.block]) if committed.block < 256 else _two(committed.block)
    update = b"\x0a\x02kv" + b"\x1a\x06hashed" + b"\x2a\x05value" + _field(0x32, version + b"\x00")
    previous = common_pb2.Metadata.FromString(before.metadata.metadata[common_pb2.COMMIT_HASH]).value
    expected = hashlib.sha256(b"\x01\x00" + _field(0x0A, update) + previous).digest()
    found = common_pb2.Metadata.FromString(block.metadata.metadata[common_pb2.COMMIT_HASH]).value
    return found == expected


@case("block 0")
def genesis(network: Network) -> Observation:
    block = network.owner.block(0)
    (data,) = block.data.data
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(data).payload)
    header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    return {
        "type": common_pb2.HeaderType.Name(header.type),
        "channel": header.channel_id,
        "transaction id": bool(header.tx_id),
        "previous hash": len(block.header.previous_hash),
    }


@case("a transaction in a block")
def transaction(network: Network) -> Observation:
    committed = network.must_submit("event", "in-block", "payload")
    block = network.owner.block(committed.block)
    envelope = next(
        found
        for found in (common_pb2.Envelope.FromString(data) for data in block.data.data)
        if _header(found).tx_id == committed.txid
    )
    action = action_of(envelope)
    event = chaincode_event_pb2.ChaincodeEvent.FromString(action.events)
    content = content_of(envelope)
    extension = proposal_pb2.ChaincodeHeaderExtension.FromString(_header(envelope).extension)
    return {
        "type": common_pb2.HeaderType.Name(_header(envelope).type),
        "chaincode in the header": str(extension.chaincode_id.name),
        "chaincode": [action.chaincode_id.name, action.chaincode_id.version, action.chaincode_id.path],
        "response": [action.response.status, action.response.message, action.response.payload.decode()],
        "event": [
            event.chaincode_id,
            event.event_name,
            event.payload.decode(),
            event.tx_id == committed.txid,
        ],
        "endorsements": len(content.action.endorsements),
        "arguments": b"in-block" in content.chaincode_proposal_payload,
    }


@case("an endorsement without an event")
def no_event(network: Network) -> Observation:
    _, envelope = network.owner.endorse("put", "quiet", "x")
    return len(action_of(envelope).events)


def _check_transaction(envelope: common_pb2.Envelope) -> None:
    payload = common_pb2.Payload.FromString(envelope.payload)
    header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    signer = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
    assert header.tx_id == hashlib.sha256(signer.nonce + signer.creator).hexdigest()
    verify(signer.creator, envelope.signature, envelope.payload)
    content = content_of(envelope)
    data = content.action.proposal_response_payload
    response = proposal_response_pb2.ProposalResponsePayload.FromString(data)
    proposed = payload.header.channel_header + payload.header.signature_header
    proposed += content.chaincode_proposal_payload
    assert response.proposal_hash == hashlib.sha256(proposed).digest()
    for endorsement in content.action.endorsements:
        verify(endorsement.endorser, endorsement.signature, data + endorsement.endorser)


def _header(envelope: common_pb2.Envelope) -> common_pb2.ChannelHeader:
    payload = common_pb2.Payload.FromString(envelope.payload)
    return common_pb2.ChannelHeader.FromString(payload.header.channel_header)


def _field(tag: int, data: bytes) -> bytes:
    return bytes([tag, len(data)]) + data


def _two(number: int) -> bytes:
    return bytes([2, *number.to_bytes(2, "big")])
