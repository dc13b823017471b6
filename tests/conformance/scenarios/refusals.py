"""Refusals of Evaluate and Endorse.

Who is refused, with which code, in which words, and what each peer said in the details.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import proposal_pb2
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.identities import ensure_user, open_organisation

from tests.conformance.crafting import HighS, OtherData, Parts, endorsed, evaluated, proposed, renamed
from tests.conformance.network import OWNER, Network
from tests.conformance.observing import Observation, case, outcome
from tests.network.devnet.raw_gateway import CHANNEL, Client, action_of


def both(
    network: Network, *args: str | bytes, client: Client | None = None, **options: object
) -> Observation:
    """The same call evaluated and endorsed."""
    asking = client or network.owner
    return {
        "Evaluate": outcome(network, lambda: asking.evaluate(*args, **options)),
        "Endorse": outcome(network, lambda: _done(asking.endorse(*args, **options))),
    }


def crafted(network: Network, change: Callable[[Parts], None]) -> Observation:
    """A proposal with its parts changed, evaluated and endorsed."""
    client = network.owner
    return {
        "Evaluate": outcome(network, lambda: evaluated(client, *proposed(client, change))),
        "Endorse": outcome(network, lambda: _done(endorsed(client, *proposed(client, change)))),
    }


def _done(_: object) -> str:
    return "endorsed"


@case("a chaincode that refuses")
def refuses(network: Network) -> Observation:
    return both(network, "refuse", "not today")


@case("a chaincode that refuses, of a verifier's gateway")
def refuses_elsewhere(network: Network) -> Observation:
    return both(network, "refuse", "not today", client=network.verifier)


@case("a response of status 404")
def not_found(network: Network) -> Observation:
    return both(network, "status", "404")


@case("a response of status 400, the lowest error")
def lowest_error(network: Network) -> Observation:
    return both(network, "status", "400")


@case("a response of status 399, the highest that is none")
def highest_success(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("status", "399")
    response = action_of(envelope).response
    return {
        "Evaluate": outcome(network, lambda: network.owner.evaluate("status", "399")),
        "endorsed": [response.status, response.message, response.payload.decode()],
        "committed": network.order(txid, envelope)[0],
    }


@case("a response of status 100")
def below_success(network: Network) -> Observation:
    return both(network, "status", "100")


@case("an exception of the chaincode")
def raises(network: Network) -> Observation:
    return both(network, "get")


@case("a long message of the chaincode")
def long_message(network: Network) -> Observation:
    return both(network, "refuse", "x" * 1000)


@case("what the peer refuses to the chaincode")
def peer_error(network: Network) -> Observation:
    return both(network, "rich")


@case("endorsers that disagree")
def disagree(network: Network) -> Observation:
    return outcome(network, lambda: _done(network.owner.endorse("differ")))


@case("endorsers that disagree, named by the client")
def named_disagree(network: Network) -> Observation:
    return outcome(network, lambda: _done(network.owner.endorse("differ", orgs=["V1MSP", "V2MSP"])))


@case("an unknown chaincode")
def unknown_chaincode(network: Network) -> Observation:
    return both(network, "get", "k", chaincode="absent")


@case("an unknown chaincode, endorsers named")
def unknown_chaincode_named(network: Network) -> Observation:
    return outcome(network, lambda: _done(network.owner.endorse("x", chaincode="absent", orgs=[OWNER])))


@case("an unknown channel")
def unknown_channel(network: Network) -> Observation:
    return crafted(network, lambda parts: setattr(parts.channel, "channel_id", "elsewhere"))


@case("an organisation that is none, asked by name")
def unknown_organisation(network: Network) -> Observation:
    return {
        "Evaluate": outcome(network, lambda: network.owner.evaluate("nothing", orgs=["NobodyMSP"])),
        "Endorse": outcome(network, lambda: _done(network.owner.endorse("nothing", orgs=["NobodyMSP"]))),
        "Endorse, one known": outcome(
            network, lambda: _done(network.owner.endorse("nothing", orgs=["V1MSP", "NobodyMSP"]))
        ),
    }


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
        "Endorse": outcome(network, lambda: _done(endorsed(client, txid, signed))),
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


@case("a peer's own identity as a client")
def peer_as_client(network: Network) -> Observation:
    return both(network, "nothing", client=network.client(network.peer_signer("V1MSP")))


@case("a transaction that is on the ledger already")
def replayed(network: Network) -> Observation:
    client = network.owner
    txid, signed = client.propose("put", "replayed", "x")
    request = gateway_pb2.EndorseRequest(transaction_id=txid, channel_id=CHANNEL, proposed_transaction=signed)
    envelope = client.gateway.Endorse(request, timeout=30).prepared_transaction
    envelope.signature = client.signer.sign(envelope.payload)
    network.order(txid, envelope)
    return {
        "Evaluate": outcome(network, lambda: evaluated(client, txid, signed)),
        "Endorse": outcome(network, lambda: _done(endorsed(client, txid, signed))),
    }


@case("an argument that is not the chaincode's business: none at all")
def no_arguments(network: Network) -> Observation:
    return both(network)


@case("transient data with endorsers named")
def transient(network: Network) -> Observation:
    _, envelope = network.owner.endorse("transient", transient={"a": b"1"}, orgs=["V1MSP", "V2MSP"])
    return {
        "response": action_of(envelope).response.payload.decode(),
        "on the ledger": b"TransientMap" in envelope.payload or envelope.payload.count(b"\x0a\x01a\x12\x011"),
    }


def _as(network: Network, signer: HighS | OtherData) -> Client:
    return network.client(signer)  # type: ignore[arg-type]


def _requests(network: Network, signed: proposal_pb2.SignedProposal | None) -> Observation:
    gateway = network.owner.gateway
    evaluate = gateway_pb2.EvaluateRequest(channel_id=CHANNEL, proposed_transaction=signed)
    endorse = gateway_pb2.EndorseRequest(channel_id=CHANNEL, proposed_transaction=signed)
    return {
        "Evaluate": outcome(network, lambda: _done(gateway.Evaluate(evaluate, timeout=30))),
        "Endorse": outcome(network, lambda: _done(gateway.Endorse(endorse, timeout=30))),
    }
