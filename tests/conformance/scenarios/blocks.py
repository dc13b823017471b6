"""Blocks, Deliver and qscc.

What is in a block, how blocks hang together, who gets them; hashes and signatures are recomputed, not recorded.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fabric_protos.common import common_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    events_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.identities import ensure_user

from tests.conformance.crafting import HighS, colluded
from tests.conformance.network import OWNER, VERIFIERS, Network
from tests.conformance.observing import Observation, case, outcome
from tests.network.devnet.raw_gateway import CHANNEL, Client, action_of, content_of, specified

NEWEST = ab_pb2.SeekPosition(newest=ab_pb2.SeekNewest())
OLDEST = ab_pb2.SeekPosition(oldest=ab_pb2.SeekOldest())
NEXT = ab_pb2.SeekPosition(next_commit=ab_pb2.SeekNextCommit())


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


def status_name(response: events_pb2.DeliverResponse) -> str:
    return str(common_pb2.Status.Name(response.status))


def delivered(
    network: Network, envelope: common_pb2.Envelope, base: int = 0, timeout: float = 30
) -> Observation:
    """What Deliver answers: blocks by their distance from `base`, then the status."""
    found: list[Observation] = []
    call = network.owner.deliver.Deliver(iter([envelope]), timeout=timeout)
    try:
        for response in call:
            status = response.WhichOneof("Type") == "status"
            found.append(status_name(response) if status else response.block.header.number - base)
            if len(found) > 8:
                call.cancel()
                return [found[0], "and so on"]
    except grpc.RpcError as error:
        found.append(error.code().name)
    return found


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


@case("Deliver: blocks by number")
def by_number(network: Network) -> Observation:
    height = network.owner.chain_info().height
    assert height > 4
    return {
        "1 to 3": delivered(network, network.owner.seek(specified(1), specified(3))),
        "2 to 2": delivered(network, network.owner.seek(specified(2), specified(2))),
        "3 to 1": delivered(network, network.owner.seek(specified(3), specified(1))),
        "oldest to 1": delivered(network, network.owner.seek(OLDEST, specified(1))),
        "oldest to oldest": delivered(network, network.owner.seek(OLDEST, OLDEST)),
        "3 to oldest": delivered(network, network.owner.seek(specified(3), OLDEST)),
        "newest to newest": delivered(network, network.owner.seek(NEWEST, NEWEST), height),
        "2 before the end to newest": delivered(
            network, network.owner.seek(specified(height - 2), NEWEST), height
        ),
    }


@case("Deliver: no start, no stop")
def positions_missing(network: Network) -> Observation:
    seek, nothing = network.owner.seek, ab_pb2.SeekPosition()
    return {
        "no start": delivered(network, seek(None, specified(1))),
        "an empty start": delivered(network, seek(nothing, specified(1))),
        "no stop": delivered(network, seek(specified(1), None)),
        "an empty stop": delivered(network, seek(specified(1), nothing)),
        "an empty stop, from block 0": delivered(network, seek(OLDEST, nothing)),
        "the next commit as stop": delivered(network, seek(specified(1), NEXT)),
    }


@case("Deliver: a block to come")
def to_come(network: Network) -> Observation:
    height = network.owner.chain_info().height
    seek, failing = network.owner.seek, ab_pb2.SeekInfo.FAIL_IF_NOT_READY
    found: dict[str, Observation] = {
        "fail if not ready": delivered(
            network, seek(specified(height - 1), specified(height + 5), failing), height
        ),
        "fail if not ready, at the end": delivered(
            network, seek(specified(height), specified(height), failing)
        ),
        "the one after the next": delivered(network, seek(specified(height + 1), specified(height + 1))),
    }
    waiting = network.owner.deliver.Deliver(iter([seek(specified(height), specified(height))]), timeout=30)
    network.must_submit("put", "awaited", "x")
    found["the next"] = [next(waiting).block.header.number - height, status_name(next(waiting))]
    return found


@case("Deliver: from the next commit on")
def next_commit(network: Network) -> Observation:
    height = network.owner.chain_info().height
    call = network.owner.deliver.Deliver(iter([network.owner.seek(NEXT, specified(height))]), timeout=30)
    for _ in range(5):
        number = network.must_submit("put", "next", "x").block
    first = next(call)
    del number
    if first.WhichOneof("Type") == "status":
        return status_name(first)
    assert first.block.header.number >= height
    return "a block"


@case("Deliver: who is refused")
def refused(network: Network) -> Observation:
    high = network.client(HighS(network.signer(OWNER)))  # type: ignore[arg-type]
    peer = network.client(network.peer_signer("V1MSP"))
    ask = network.owner.seek
    garbage = ask(specified(0), specified(0))
    garbage.payload = b"\xff\xff"
    unsigned = ask(specified(0), specified(0))
    unsigned.ClearField("signature")
    return {
        "unknown channel": delivered(network, ask(specified(0), specified(0), channel="elsewhere")),
        "an hour old": delivered(network, ask(specified(0), specified(0), age=3600)),
        "an hour ahead": delivered(network, ask(specified(0), specified(0), age=-3600)),
        "high S": delivered(network, high.seek(specified(0), specified(0))),
        "an expired certificate": delivered(network, _expired(network).seek(specified(0), specified(0))),
        "a peer's identity": delivered(network, peer.seek(specified(0), specified(0)), timeout=5),
        "unsigned": delivered(network, unsigned),
        "garbage": delivered(network, garbage),
    }


@case("Deliver: two requests on one stream")
def two_requests(network: Network) -> Observation:
    requests = [network.owner.seek(specified(n), specified(n)) for n in (1, 2)]
    found: list[Observation] = []
    for response in network.owner.deliver.Deliver(iter(requests), timeout=30):
        status = response.WhichOneof("Type") == "status"
        found.append(status_name(response) if status else response.block.header.number)
    return found


@case("Deliver and qscc give the same block")
def same_block(network: Network) -> Observation:
    number = network.must_submit("put", "same", "x").block
    (response, _) = network.owner.blocks(network.owner.seek(specified(number), specified(number)))
    return bool(response.block == network.owner.block(number))


@case("Deliver: headers and signatures only")
def headers(network: Network) -> Observation:
    number = network.must_submit("put", "header", "x").block
    envelope = network.owner.seek(specified(number), specified(number))
    payload = common_pb2.Payload.FromString(envelope.payload)
    seek = ab_pb2.SeekInfo.FromString(payload.data)
    seek.content_type = ab_pb2.SeekInfo.HEADER_WITH_SIG
    payload.data = seek.SerializeToString()
    data = payload.SerializeToString()
    signed = common_pb2.Envelope(payload=data, signature=network.owner.signer.sign(data))
    responses = network.owner.blocks(signed)
    if responses[0].WhichOneof("Type") == "status":
        return status_name(responses[0])
    block = responses[0].block
    return [block.header.number - number, len(block.data.data), len(block.metadata.metadata)]


@case("DeliverFiltered: a valid transaction with an event, an invalid one, a block without transactions")
def filtered(network: Network) -> Observation:
    sent = {
        "valid": network.submit("event", "filtered", "payload"),
        "invalid": network.submit("event", "filtered", "payload", orgs=[OWNER]),
        "no event": network.submit("put", "filtered", "x"),
    }
    found: dict[str, Observation] = {"block 0": _filtered(network, 0)}
    for name, committed in sent.items():
        found[name] = _filtered(network, committed.block, committed.txid)
    return found


@case("DeliverFiltered: an event that cannot be read")
def filtered_garbage(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "filtered", "x", orgs=VERIFIERS[:2])
    changed = colluded(network, envelope, lambda action: setattr(action, "events", b"\xff"), VERIFIERS[:2])
    return _filtered(network, network.order(txid, changed)[1], txid)


@case("DeliverWithPrivateData")
def with_private_data(network: Network) -> Observation:
    number = network.must_submit("put", "private", "x").block
    request = network.owner.seek(specified(number), specified(number))
    found = list(network.owner.deliver.DeliverWithPrivateData(iter([request]), timeout=30))
    both = found[0].block_and_private_data
    return [
        found[0].WhichOneof("Type"),
        both.block == network.owner.block(number),
        len(both.private_data_map),
        status_name(found[-1]),
    ]


@case("qscc: the chain, blocks by number, hash and transaction, transactions")
def qscc(network: Network) -> Observation:
    committed = network.must_submit("put", "qscc", "x")
    owner = network.owner
    info, block = owner.chain_info(), owner.block(committed.block)
    by_txid = owner.evaluate("GetBlockByTxID", CHANNEL, committed.txid, chaincode="qscc")
    header_hash = hashlib.sha256(der(block.header)).digest()
    by_hash = owner.evaluate("GetBlockByHash", CHANNEL, header_hash, chaincode="qscc")
    newest = owner.evaluate("GetBlockByNumber", CHANNEL, str((1 << 64) - 1), chaincode="qscc")
    processed = transaction_pb2.ProcessedTransaction.FromString(
        owner.evaluate("GetTransactionByID", CHANNEL, committed.txid, chaincode="qscc")
    )
    return {
        "height": info.height - committed.block,
        "by transaction": common_pb2.Block.FromString(by_txid) == block,
        "by hash": common_pb2.Block.FromString(by_hash) == block,
        "the newest": common_pb2.Block.FromString(newest).header.number - committed.block,
        "transaction": [
            processed.validationCode,
            processed.transactionEnvelope.SerializeToString() in block.data.data,
        ],
    }


@case("qscc: an invalid transaction")
def qscc_invalid(network: Network) -> Observation:
    failed = network.submit("put", "qscc", "x", orgs=[OWNER])
    found = network.owner.evaluate("GetTransactionByID", CHANNEL, failed.txid, chaincode="qscc")
    code = transaction_pb2.ProcessedTransaction.FromString(found).validationCode
    return str(transaction_pb2.TxValidationCode.Name(code))


@case("qscc: what it refuses")
def qscc_refuses(network: Network) -> Observation:
    asked: dict[str, list[str]] = {
        "a block to come": ["GetBlockByNumber", CHANNEL, "99999"],
        "no number": ["GetBlockByNumber", CHANNEL, "x"],
        "a negative number": ["GetBlockByNumber", CHANNEL, "-1"],
        "no argument": ["GetBlockByNumber", CHANNEL],
        "an unknown transaction's block": ["GetBlockByTxID", CHANNEL, "no"],
        "an empty transaction id": ["GetBlockByTxID", CHANNEL, ""],
        "an unknown transaction": ["GetTransactionByID", CHANNEL, "no"],
        "an unknown hash": ["GetBlockByHash", CHANNEL, "no"],
        "an unknown channel": ["GetChainInfo", "elsewhere"],
        "no channel": ["GetChainInfo"],
        "an unknown function": ["Unknown", CHANNEL, "x"],
    }

    def ask(args: list[str], client: Client) -> Observation:
        return outcome(network, lambda: client.evaluate(*args, chaincode="qscc"))

    return {name: ask(args, network.owner) for name, args in asked.items()}


@case("qscc asked by a peer")
def qscc_peer(network: Network) -> Observation:
    client = network.client(network.peer_signer("V1MSP"))
    return outcome(network, lambda: bool(client.evaluate("GetChainInfo", CHANNEL, chaincode="qscc")))


@case("qscc through Endorse")
def qscc_endorsed(network: Network) -> Observation:
    def endorse() -> str:
        network.owner.endorse("GetChainInfo", CHANNEL, chaincode="qscc")
        return "endorsed"

    return outcome(network, endorse)


def _expired(network: Network) -> Client:
    folder = ensure_user(network.organisation("V2MSP"), "late", validity=datetime.timedelta(seconds=-1))
    return network.client(SigningIdentity.load("V2MSP", folder))


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


def _filtered(network: Network, number: int, txid: str = "") -> Observation:
    request = network.owner.seek(specified(number), specified(number))
    responses: Iterator[events_pb2.DeliverResponse] = network.owner.deliver.DeliverFiltered(
        iter([request]), timeout=30
    )
    response = next(responses)
    if response.WhichOneof("Type") == "status":
        return status_name(response)
    block = response.filtered_block
    assert (block.channel_id, block.number) == (CHANNEL, number)
    entries = [one for one in block.filtered_transactions if one.txid == txid or not txid]
    return [
        {
            "transaction id": bool(one.txid),
            "type": common_pb2.HeaderType.Name(one.type),
            "code": transaction_pb2.TxValidationCode.Name(one.tx_validation_code),
            "data": one.WhichOneof("Data"),
            "events": [
                [
                    action.chaincode_event.chaincode_id,
                    action.chaincode_event.event_name,
                    action.chaincode_event.payload.decode(),
                    action.chaincode_event.tx_id == txid,
                ]
                for action in one.transaction_actions.chaincode_actions
            ],
        }
        for one in entries
    ]


def _field(tag: int, data: bytes) -> bytes:
    return bytes([tag, len(data)]) + data


def _two(number: int) -> bytes:
    return bytes([2, *number.to_bytes(2, "big")])
