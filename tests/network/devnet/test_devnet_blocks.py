"""Blocks as they come out of the devnet: every hash and signature rule, and delivery."""

from __future__ import annotations

import hashlib
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import load_pem_x509_certificate
from fabric_protos.common import common_pb2, configtx_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import events_pb2, proposal_response_pb2
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.identities import ensure_user, open_organisation

from tests.network.devnet.conftest import Net
from tests.network.devnet.raw_gateway import Client, content_of, specified

OLDEST = ab_pb2.SeekPosition(oldest=ab_pb2.SeekOldest())
NEWEST = ab_pb2.SeekPosition(newest=ab_pb2.SeekNewest())


def der_header(block: common_pb2.Block) -> bytes:
    """DER by another hand than the devnet's: lengths here are all below 128."""
    number = block.header.number
    integer = number.to_bytes(number.bit_length() // 8 + 1, "big")
    body = bytes([2, len(integer)]) + integer
    for part in (block.header.previous_hash, block.header.data_hash):
        body += bytes([4, len(part)]) + part
    return bytes([0x30, len(body)]) + body


def verify(serialized: bytes, signature: bytes, data: bytes) -> str:
    identity = identities_pb2.SerializedIdentity.FromString(serialized)
    key = load_pem_x509_certificate(identity.id_bytes).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    return str(identity.mspid)


def test_the_chain_of_hashes_holds_from_genesis(owner: Client) -> None:
    for i in range(3):
        owner.submit("put", f"chained{i}", "x")
    info = owner.chain_info()
    previous = b""
    for number in range(info.height):
        block = owner.block(number)
        assert block.header.number == number
        assert block.header.previous_hash == previous
        assert block.header.data_hash == hashlib.sha256(b"".join(block.data.data)).digest()
        assert len(block.metadata.metadata) == 5
        previous = hashlib.sha256(der_header(block)).digest()
    assert info.currentBlockHash == previous
    assert info.previousBlockHash == owner.block(info.height - 1).header.previous_hash


def test_block_zero_names_the_organisations(owner: Client) -> None:
    envelope = common_pb2.Envelope.FromString(owner.block(0).data.data[0])
    payload = common_pb2.Payload.FromString(envelope.payload)
    assert common_pb2.ChannelHeader.FromString(payload.header.channel_header).type == common_pb2.CONFIG
    group = configtx_pb2.ConfigEnvelope.FromString(payload.data).config.channel_group
    assert set(group.groups["Application"].groups) == {"OwnerMSP", "V1MSP", "V2MSP", "V3MSP"}
    assert set(group.groups["Orderer"].groups) == {"OrdererMSP"}


def test_the_orderer_signs_every_block_after_genesis(owner: Client) -> None:
    block = owner.block(owner.submit("put", "ordered", "x").block)
    metadata = common_pb2.Metadata.FromString(block.metadata.metadata[common_pb2.SIGNATURES])
    (signature,) = metadata.signatures
    creator = common_pb2.SignatureHeader.FromString(signature.signature_header).creator
    signed = metadata.value + signature.signature_header + der_header(block)
    assert verify(creator, signature.signature, signed) == "OrdererMSP"


def test_endorsements_and_proposal_hash_are_bound_as_in_fabric(owner: Client) -> None:
    block = owner.block(owner.submit("put", "bound", "x").block)
    envelope = common_pb2.Envelope.FromString(block.data.data[0])
    payload = common_pb2.Payload.FromString(envelope.payload)
    header = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
    assert verify(header.creator, envelope.signature, envelope.payload) == "OwnerMSP"
    content = content_of(envelope)
    response = content.action.proposal_response_payload
    proposed = payload.header.channel_header + payload.header.signature_header
    proposed += content.chaincode_proposal_payload
    found = proposal_response_pb2.ProposalResponsePayload.FromString(response)
    assert found.proposal_hash == hashlib.sha256(proposed).digest()
    for endorsement in content.action.endorsements:
        verify(endorsement.endorser, endorsement.signature, response + endorsement.endorser)


def commit_hash(block: common_pb2.Block) -> bytes:
    return bytes(common_pb2.Metadata.FromString(block.metadata.metadata[common_pb2.COMMIT_HASH]).value)


def test_the_commit_hash_covers_the_flags_and_the_updates(owner: Client) -> None:
    committed = owner.submit("put", "ch", "value")
    block, before = owner.block(committed.block), owner.block(committed.block - 1)
    entry = b"\x0a\x02kv" + b"\x1a\x02ch" + b"\x2a\x05value"
    number = committed.block.to_bytes((committed.block.bit_length() + 7) // 8, "big")
    version = bytes([len(number)]) + number + b"\x00"
    entry += b"\x32" + bytes([len(version)]) + version
    updates = b"\x0a" + bytes([len(entry)]) + entry
    expected = hashlib.sha256(b"\x01" + b"\x00" + updates + commit_hash(before)).digest()
    assert commit_hash(block) == expected


def numbers(responses: list[events_pb2.DeliverResponse]) -> list[int]:
    return [entry.block.header.number for entry in responses if entry.WhichOneof("Type") == "block"]


def test_deliver_from_and_to(owner: Client) -> None:
    for i in range(2):
        owner.submit("put", f"to deliver {i}", "x")
    last = owner.chain_info().height - 1
    responses = owner.blocks(owner.seek(OLDEST, NEWEST))
    assert numbers(responses) == list(range(last + 1))
    assert responses[-1].status == common_pb2.SUCCESS
    assert numbers(owner.blocks(owner.seek(specified(1), specified(2)))) == [1, 2]
    assert numbers(owner.blocks(owner.seek(NEWEST, NEWEST))) == [last]


def test_deliver_waits_for_blocks_or_fails_at_once(owner: Client) -> None:
    height = owner.chain_info().height
    ready = ab_pb2.SeekInfo.FAIL_IF_NOT_READY
    responses = owner.blocks(owner.seek(specified(height - 1), specified(height), ready))
    assert numbers(responses) == [height - 1]
    assert responses[-1].status == common_pb2.NOT_FOUND
    call = owner.deliver.Deliver(iter([owner.seek(specified(height), specified(height))]), timeout=30)
    owner.submit("put", "delivered", "x")
    assert numbers(list(call)) == [height]


def test_deliver_refuses_as_fabric_does(net: Net, owner: Client, tmp_path: Path) -> None:
    def only_status(client: Client, envelope: common_pb2.Envelope) -> int:
        (response,) = client.blocks(envelope)
        return int(response.status)

    assert only_status(owner, owner.seek(specified(2), specified(1))) == common_pb2.BAD_REQUEST
    assert only_status(owner, owner.seek(None, NEWEST)) == common_pb2.BAD_REQUEST
    assert only_status(owner, owner.seek(ab_pb2.SeekPosition(), NEWEST)) == common_pb2.NOT_FOUND
    assert only_status(owner, owner.seek(specified(10_000), specified(10_000))) == common_pb2.NOT_FOUND
    assert only_status(owner, owner.seek(OLDEST, NEWEST, channel="elsewhere")) == common_pb2.NOT_FOUND
    assert only_status(owner, owner.seek(OLDEST, NEWEST, age=3600)) == common_pb2.BAD_REQUEST
    assert only_status(owner, common_pb2.Envelope(payload=b"\xff")) == common_pb2.BAD_REQUEST
    stranger = open_organisation(tmp_path, "stranger", "OwnerMSP")
    impostor = net.client("OwnerMSP", SigningIdentity.load("OwnerMSP", ensure_user(stranger, "eve")))
    assert only_status(impostor, impostor.seek(OLDEST, NEWEST)) == common_pb2.FORBIDDEN


def test_filtered_blocks_show_codes_and_event_names_only(owner: Client) -> None:
    committed = owner.submit("event", "shown", "hidden payload")
    envelope = owner.seek(specified(committed.block), specified(committed.block))
    responses = list(owner.deliver.DeliverFiltered(iter([envelope]), timeout=30))
    found = responses[0].filtered_block
    (entry,) = found.filtered_transactions
    assert (found.number, entry.txid, entry.tx_validation_code) == (committed.block, committed.txid, 0)
    event = entry.transaction_actions.chaincode_actions[0].chaincode_event
    assert (event.event_name, event.payload) == ("shown", b"")


def test_blocks_with_private_data_have_none(owner: Client) -> None:
    envelope = owner.seek(specified(1), specified(1))
    responses = list(owner.deliver.DeliverWithPrivateData(iter([envelope]), timeout=30))
    assert responses[0].block_and_private_data.block.header.number == 1
    assert not responses[0].block_and_private_data.private_data_map


def test_plain_grpc_is_not_served(net: Net) -> None:
    with grpc.insecure_channel(net.devnet.addresses["OwnerMSP"]) as channel:
        client_call = channel.unary_unary("/gateway.Gateway/Evaluate")  # type: ignore[call-arg]
        with pytest.raises(grpc.RpcError):
            client_call(b"", timeout=5)
