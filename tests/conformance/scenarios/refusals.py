"""Endorsement that fails.

Evaluate and Endorse of sound proposals: what the chaincode says, and which peers are asked.
"""

from __future__ import annotations

from typing import Any

from fabric_protos.gateway import gateway_pb2

from tests.conformance.crafting import endorsed, evaluated
from tests.conformance.network import OWNER, Network
from tests.conformance.observing import Observation, case, outcome
from tests.network.devnet.raw_gateway import CHANNEL, Client, action_of


def both(network: Network, *args: str | bytes, client: Client | None = None, **options: Any) -> Observation:
    """The same call evaluated and endorsed."""
    asking = client or network.owner
    return {
        "Evaluate": outcome(network, lambda: asking.evaluate(*args, **options)),
        "Endorse": outcome(network, lambda: done(asking.endorse(*args, **options))),
    }


def done(_: object) -> str:
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
    return outcome(network, lambda: done(network.owner.endorse("differ")))


@case("endorsers that disagree, named by the client")
def named_disagree(network: Network) -> Observation:
    return outcome(network, lambda: done(network.owner.endorse("differ", orgs=["V1MSP", "V2MSP"])))


@case("an unknown chaincode")
def unknown_chaincode(network: Network) -> Observation:
    return both(network, "get", "k", chaincode="absent")


@case("an unknown chaincode, endorsers named")
def unknown_chaincode_named(network: Network) -> Observation:
    return outcome(network, lambda: done(network.owner.endorse("x", chaincode="absent", orgs=[OWNER])))


@case("an organisation that is none, asked by name")
def unknown_organisation(network: Network) -> Observation:
    return {
        "Evaluate": outcome(network, lambda: network.owner.evaluate("nothing", orgs=["NobodyMSP"])),
        "Endorse": outcome(network, lambda: done(network.owner.endorse("nothing", orgs=["NobodyMSP"]))),
        "Endorse, one known": outcome(
            network, lambda: done(network.owner.endorse("nothing", orgs=["V1MSP", "NobodyMSP"]))
        ),
    }


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
        "Endorse": outcome(network, lambda: done(endorsed(client, txid, signed))),
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
