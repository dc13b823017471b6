"""Proposals that are refused.

Badly made, badly signed, or of somebody who may not propose: who says so, in which words.
"""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Callable
from pathlib import Path

from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.identities import ensure_user, open_organisation

from tests.conformance.crafting import HighS, OtherData, Parts, endorsed, evaluated, proposed, renamed
from tests.conformance.network import OWNER, Network
from tests.conformance.observing import Observation, case, outcome
from tests.conformance.scenarios.refusals import both, done
from tests.network.devnet.ed25519_identity import ed25519_identity
from tests.network.devnet.raw_gateway import CHANNEL, Client


def crafted(network: Network, change: Callable[[Parts], None]) -> Observation:
    """A proposal with its parts changed, evaluated and endorsed."""
    client = network.owner
    return {
        "Evaluate": outcome(network, lambda: evaluated(client, *proposed(client, change))),
        "Endorse": outcome(network, lambda: done(endorsed(client, *proposed(client, change)))),
    }


@case("an unknown channel")
def unknown_channel(network: Network) -> Observation:
    return crafted(network, lambda parts: setattr(parts.channel, "channel_id", "elsewhere"))


@case("another transaction id than that of nonce and creator")
def wrong_txid(network: Network) -> Observation:
    return crafted(network, lambda parts: setattr(parts.channel, "tx_id", "f" * 64))


@case("no transaction id")
def no_txid(network: Network) -> Observation:
    return crafted(network, lambda parts: setattr(parts.channel, "tx_id", ""))


@case("no timestamp")
def no_timestamp(network: Network) -> Observation:
    return crafted(network, lambda parts: parts.channel.ClearField("timestamp"))


@case("a timestamp of an hour ago")
def old_timestamp(network: Network) -> Observation:
    def change(parts: Parts) -> None:
        parts.channel.timestamp.seconds -= 3600

    return crafted(network, change)


@case("a timestamp in an hour")
def future_timestamp(network: Network) -> Observation:
    def change(parts: Parts) -> None:
        parts.channel.timestamp.seconds += 3600

    return crafted(network, change)


@case("no nonce")
def no_nonce(network: Network) -> Observation:
    def change(parts: Parts) -> None:
        parts.signer.nonce = b""
        renamed(parts)

    return crafted(network, change)


@case("no creator")
def no_creator(network: Network) -> Observation:
    def change(parts: Parts) -> None:
        parts.signer.creator = b""
        renamed(parts)

    return crafted(network, change)


@case("a creator that is no identity")
def garbage_creator(network: Network) -> Observation:
    def change(parts: Parts) -> None:
        parts.signer.creator = b"\xff\xff"
        renamed(parts)

    return crafted(network, change)


@case("an epoch")
def epoch(network: Network) -> Observation:
    return crafted(network, lambda parts: setattr(parts.channel, "epoch", 1))


@case("another type of header")
def header_type(network: Network) -> Observation:
    return crafted(network, lambda parts: setattr(parts.channel, "type", 1000))


@case("no channel")
def no_channel(network: Network) -> Observation:
    return crafted(network, lambda parts: setattr(parts.channel, "channel_id", ""))


@case("no chaincode in the invocation")
def no_chaincode(network: Network) -> Observation:
    return both(network, "nothing", chaincode="")


@case("another chaincode in the header than in the invocation")
def two_chaincodes(network: Network) -> Observation:
    def change(parts: Parts) -> None:
        extension = proposal_pb2.ChaincodeHeaderExtension()
        extension.chaincode_id.name = "other"
        parts.channel.extension = extension.SerializeToString()

    return crafted(network, change)


@case("a payload that cannot be read")
def garbage_payload(network: Network) -> Observation:
    return crafted(network, lambda parts: setattr(parts.payload, "input", b"\xff\xff"))


@case("no input at all")
def no_input(network: Network) -> Observation:
    return crafted(network, lambda parts: setattr(parts.payload, "input", b""))


@case("a proposal that cannot be read")
def garbage_proposal(network: Network) -> Observation:
    signed = proposal_pb2.SignedProposal(proposal_bytes=b"\xff\xff", signature=b"x")
    return _requests(network, signed)


@case("a proposal whose header cannot be read")
def garbage_header(network: Network) -> Observation:
    data = proposal_pb2.Proposal(header=b"\xff\xff", payload=b"").SerializeToString()
    return _requests(network, proposal_pb2.SignedProposal(proposal_bytes=data, signature=b"x"))


@case("an empty proposal")
def empty_proposal(network: Network) -> Observation:
    return _requests(network, proposal_pb2.SignedProposal())


@case("a request without a proposal")
def no_proposal(network: Network) -> Observation:
    return _requests(network, None)


@case("a proposal without a signature")
def unsigned(network: Network) -> Observation:
    client = network.owner
    txid, signed = client.propose("nothing")
    signed.ClearField("signature")
    return {
        "Evaluate": outcome(network, lambda: evaluated(client, txid, signed)),
        "Endorse": outcome(network, lambda: done(endorsed(client, txid, signed))),
    }


@case("a signature over something else")
def bad_signature(network: Network) -> Observation:
    return both(network, "nothing", client=_as(network, OtherData(network.signer(OWNER))))


@case("a signature over something else, the peers named")
def bad_signature_named(network: Network) -> Observation:
    return both(network, "nothing", client=_as(network, OtherData(network.signer(OWNER))), orgs=["V1MSP"])


@case("a signature with a high S")
def high_s(network: Network) -> Observation:
    return both(network, "nothing", client=_as(network, HighS(network.signer(OWNER))))


@case("an identity of an unknown organisation")
def stranger(network: Network) -> Observation:
    strange = open_organisation(network.folder / "strangers", "stranger", "StrangerMSP")
    signer = SigningIdentity.load("StrangerMSP", ensure_user(strange, "eve"))
    return both(network, "nothing", client=network.client(signer))


@case("an identity that another authority issued in an organisation's name")
def impostor(network: Network) -> Observation:
    strange = open_organisation(network.folder / "strangers", "stranger", "StrangerMSP")
    signer = SigningIdentity.load(OWNER, ensure_user(strange, "eve"))
    return both(network, "nothing", client=network.client(signer))


@case("an expired certificate")
def expired(network: Network) -> Observation:
    folder = ensure_user(network.organisation("V2MSP"), "late", validity=datetime.timedelta(seconds=-1))
    return both(network, "nothing", client=network.client(SigningIdentity.load("V2MSP", folder)))


@case("an identity with an Ed25519 key, and its signature over something else")
def ed25519(network: Network) -> Observation:
    with tempfile.TemporaryDirectory() as folder:
        msp = ed25519_identity(network.organisation(OWNER), "edward", Path(folder) / "msp")
        signer = SigningIdentity.load(OWNER, msp)
    return {
        "submitted": network.submit("put", "by-edward", "x", by=network.client(signer)).code,
        "something else": both(network, "nothing", client=_as(network, OtherData(signer))),
    }


@case("a peer's own identity as a client")
def peer_as_client(network: Network) -> Observation:
    return both(network, "nothing", client=network.client(network.peer_signer("V1MSP")))


def _as(network: Network, signer: HighS | OtherData) -> Client:
    return network.client(signer)  # type: ignore[arg-type]


def _requests(network: Network, signed: proposal_pb2.SignedProposal | None) -> Observation:
    gateway = network.owner.gateway
    evaluate = gateway_pb2.EvaluateRequest(channel_id=CHANNEL, proposed_transaction=signed)
    endorse = gateway_pb2.EndorseRequest(channel_id=CHANNEL, proposed_transaction=signed)
    return {
        "Evaluate": outcome(network, lambda: done(gateway.Evaluate(evaluate, timeout=30))),
        "Endorse": outcome(network, lambda: done(gateway.Endorse(endorse, timeout=30))),
    }
