"""Deliver.

Who gets which blocks, whole, filtered and with private data.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import (
    events_pb2,
    transaction_pb2,
)
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.identities import ensure_user

from tests.conformance.crafting import HighS, colluded
from tests.conformance.network import OWNER, VERIFIERS, Network
from tests.conformance.observing import Observation, case
from tests.network.devnet.raw_gateway import CHANNEL, Client, specified

NEWEST = ab_pb2.SeekPosition(newest=ab_pb2.SeekNewest())
OLDEST = ab_pb2.SeekPosition(oldest=ab_pb2.SeekOldest())
NEXT = ab_pb2.SeekPosition(next_commit=ab_pb2.SeekNextCommit())


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
    peers = [network.peer_signer(one) for one in VERIFIERS[:2]]
    changed = colluded(network.owner, envelope, lambda action: setattr(action, "events", b"\xff"), peers)
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


def _expired(network: Network) -> Client:
    folder = ensure_user(network.organisation("V2MSP"), "late", validity=datetime.timedelta(seconds=-1))
    return network.client(SigningIdentity.load("V2MSP", folder))


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
