"""Chaincode events.

From which one on they come, in which order, to whom.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import grpc
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.identities import ensure_user

from tests.conformance.crafting import HighS
from tests.conformance.network import OWNER, Network
from tests.conformance.observing import Observation, case, outcome
from tests.network.devnet.raw_gateway import CHANNEL, Client, specified

Responses = Iterator[gateway_pb2.ChaincodeEventsResponse]


def opened(
    client: Client,
    start: ab_pb2.SeekPosition | None = None,
    after: str = "",
    chaincode: str = "kv",
    channel: str = CHANNEL,
    timeout: float = 20,
) -> Responses:
    """A stream of events."""
    request = gateway_pb2.ChaincodeEventsRequest(
        channel_id=channel,
        chaincode_id=chaincode,
        identity=client.signer.serialized,
        start_position=start,
        after_transaction_id=after,
    ).SerializeToString()
    signed = gateway_pb2.SignedChaincodeEventsRequest(request=request, signature=client.signer.sign(request))
    found: Responses = client.gateway.ChaincodeEvents(signed, timeout=timeout)
    return found


def first(responses: Responses, count: int) -> list[Observation]:
    """The names of the first `count` events, block by block."""
    found: list[Observation] = []
    seen = 0
    for response in responses:
        names: list[Observation] = [event.event_name for event in response.events]
        found.append(names)
        seen += len(names)
        if seen >= count:
            break
    responses.cancel()  # type: ignore[attr-defined]
    return found


def refused(network: Network, responses: Responses) -> Observation:
    return outcome(network, lambda: str(next(responses)))


@case("from a block on, in the ledger's order, with all that an event says")
def ordered(network: Network) -> Observation:
    sent = [network.must_submit("event", f"thing{i}", f"payload{i}") for i in range(3)]
    responses = opened(network.verifier, specified(sent[0].block))
    found: list[Observation] = []
    for response in responses:
        for event in response.events:
            index = next(i for i, one in enumerate(sent) if one.txid == event.tx_id)
            assert response.block_number == sent[index].block
            found.append([event.chaincode_id, event.event_name, event.payload.decode()])
        if len(found) == len(sent):
            break
    responses.cancel()  # type: ignore[attr-defined]
    return found


@case("after a transaction, without a position")
def after(network: Network) -> Observation:
    sent = [network.must_submit("event", f"after{i}", "") for i in range(3)]
    return first(opened(network.owner, after=sent[0].txid), 2)


@case("after a transaction, whatever the position")
def after_with_position(network: Network) -> Observation:
    sent = [network.must_submit("event", f"position{i}", "") for i in range(3)]
    return {
        "block 0": first(opened(network.owner, specified(0), after=sent[1].txid), 1),
        "a later block": first(opened(network.owner, specified(sent[2].block + 9), after=sent[0].txid), 2),
    }


@case("after a transaction within a block")
def after_in_block(network: Network) -> Observation:
    for attempt in range(20):
        pairs = [network.owner.endorse("event", f"within{i}", str(attempt)) for i in range(3)]
        for pair in pairs:
            network.owner.order(*pair)
        found = [network.await_commit(txid) for txid, _ in pairs]
        if len({block for _, block in found}) == 1:
            break
    assert {code for code, _ in found} == {"VALID"}
    return first(opened(network.owner, after=pairs[0][0]), 2)


@case("after a transaction that emitted none")
def after_silent(network: Network) -> Observation:
    silent = network.must_submit("put", "silent", "x")
    network.must_submit("event", "later", "")
    return refused(network, opened(network.owner, after=silent.txid, timeout=1))


@case("after a transaction that is not on the ledger")
def after_unknown(network: Network) -> Observation:
    sent = network.must_submit("event", "known", "")
    return {
        "with a position": refused(
            network, opened(network.owner, specified(sent.block), after="0" * 64, timeout=1)
        ),
        "without": refused(network, opened(network.owner, after="0" * 64, timeout=1)),
    }


@case("without a position: what is committed from now on")
def live(network: Network) -> Observation:
    before = network.must_submit("event", "before", "")
    del before
    found: list[Observation] = []
    responses = opened(network.owner)
    # The stream begins when the peer has read the request, so events are sent until one arrives.
    network.owner.order(*network.owner.endorse("event", "live", ""))
    call = opened(network.owner, ab_pb2.SeekPosition(next_commit=ab_pb2.SeekNextCommit()))
    for stream in (responses, call):
        sent = 0
        while True:
            sent += 1
            network.must_submit("event", "live", "")
            try:
                found.append(next(iter(stream)).events[0].event_name)
                break
            except grpc.RpcError:
                assert sent < 3, "no event arrived"
        stream.cancel()  # type: ignore[attr-defined]
    return found


@case("from a position that is oldest, newest, or a block to come")
def positions(network: Network) -> Observation:
    sent = network.must_submit("event", "placed", "")
    return {
        "oldest": refused(network, opened(network.owner, ab_pb2.SeekPosition(oldest=ab_pb2.SeekOldest()))),
        "newest": refused(network, opened(network.owner, ab_pb2.SeekPosition(newest=ab_pb2.SeekNewest()))),
        "to come": refused(network, opened(network.owner, specified(sent.block + 1000), timeout=1)),
    }


@case("none of an invalid transaction, and none of a refused one")
def invalid(network: Network) -> Observation:
    failed = network.submit("event", "never", "x", orgs=[OWNER])
    refusal = outcome(network, lambda: network.owner.endorse("event-and-refuse")[0])
    network.must_submit("event", "marker", "")
    return [failed.code, refusal, *first(opened(network.owner, specified(failed.block)), 1)]


@case("the last one that a transaction sets")
def last(network: Network) -> Observation:
    sent = network.must_submit("two-events", "one", "two")
    return first(opened(network.owner, specified(sent.block)), 1)


@case("of a chaincode that has none")
def other_chaincode(network: Network) -> Observation:
    sent = network.must_submit("event", "mine", "")
    return refused(network, opened(network.owner, specified(sent.block), chaincode="absent", timeout=1))


@case("of an unknown channel")
def unknown_channel(network: Network) -> Observation:
    return refused(network, opened(network.owner, specified(0), channel="elsewhere"))


@case("with a signature of a high S")
def high_s(network: Network) -> Observation:
    client = network.client(HighS(network.signer(OWNER)))  # type: ignore[arg-type]
    return refused(network, opened(client, specified(0)))


@case("with an expired certificate")
def expired(network: Network) -> Observation:
    sent = network.must_submit("event", "expired", "")
    folder = ensure_user(network.organisation("V2MSP"), "late", validity=datetime.timedelta(seconds=-1))
    client = network.client(SigningIdentity.load("V2MSP", folder))
    return outcome(network, lambda: first(opened(client, specified(sent.block)), 1))


@case("a request that is empty or cannot be read")
def garbage(network: Network) -> Observation:
    gateway = network.owner.gateway
    return {
        name: refused(
            network,
            gateway.ChaincodeEvents(gateway_pb2.SignedChaincodeEventsRequest(request=data), timeout=30),
        )
        for name, data in (("empty", b""), ("garbage", b"\xff\xff"))
    }
