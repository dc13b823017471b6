"""Endorsement policies.

Those of the chaincode and those of single keys: whose signatures count, and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from fabric_protos.peer import (
    proposal_response_pb2,
    transaction_pb2,
)
from quorumlearn_network.devnet.policy import parse_policy

from tests.conformance.crafting import with_content
from tests.conformance.network import OWNER, VERIFIERS, Network
from tests.conformance.observing import Observation, case, outcome
from tests.conformance.scenarios.conflicts import Pair, in_one_block

QUORUM = VERIFIERS[:2]


@case("the endorsement policy: who has signed")
def endorsers(network: Network) -> Observation:
    found: dict[str, Observation] = {}
    for orgs in ([OWNER], ["V1MSP"], [OWNER, "V1MSP"], ["V1MSP", "V2MSP"], ["V3MSP", "V2MSP", "V1MSP"]):
        found[" ".join(orgs)] = network.submit("put", "signed", "x", orgs=orgs).code
    return found


@case("one endorsement twice")
def doubled(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "twice", "x", orgs=["V1MSP"])

    def change(content: transaction_pb2.ChaincodeActionPayload) -> None:
        content.action.endorsements.append(content.action.endorsements[0])

    return network.order(txid, with_content(network.owner, envelope, change))[0]


@case("endorsements with each other's signatures")
def swapped(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "swapped", "x", orgs=QUORUM)

    def change(content: transaction_pb2.ChaincodeActionPayload) -> None:
        first, second = content.action.endorsements
        first.signature, second.signature = second.signature, first.signature

    return network.order(txid, with_content(network.owner, envelope, change))[0]


@case("a quorum of endorsements and one that does not verify")
def one_bad_beside(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "beside", "x", orgs=VERIFIERS)

    def change(content: transaction_pb2.ChaincodeActionPayload) -> None:
        content.action.endorsements[2].signature = content.action.endorsements[0].signature

    return network.order(txid, with_content(network.owner, envelope, change))[0]


@case("no endorsement at all")
def unendorsed(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "unendorsed", "x")

    def change(content: transaction_pb2.ChaincodeActionPayload) -> None:
        del content.action.endorsements[:]

    return network.order(txid, with_content(network.owner, envelope, change))[0]


@case("a client's signature where a peer's is asked")
def client_endorses(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "client", "x", orgs=["V1MSP"])
    client = network.signer("V2MSP")

    def change(content: transaction_pb2.ChaincodeActionPayload) -> None:
        response = content.action.proposal_response_payload
        content.action.endorsements.add(
            endorser=client.serialized, signature=client.sign(response + client.serialized)
        )

    return network.order(txid, with_content(network.owner, envelope, change))[0]


@case("results changed after endorsement")
def forged(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "forged", "x", orgs=QUORUM)

    def change(content: transaction_pb2.ChaincodeActionPayload) -> None:
        response = proposal_response_pb2.ProposalResponsePayload.FromString(
            content.action.proposal_response_payload
        )
        response.extension = response.extension.replace(b"forged", b"FORGED")
        content.action.proposal_response_payload = response.SerializeToString()

    code = network.order(txid, with_content(network.owner, envelope, change))[0]
    return [code, network.owner.evaluate("get", "FORGED").decode()]


@case("key-level policies: who may write")
def key_policy(network: Network) -> Observation:
    own = parse_policy("OR('OwnerMSP.peer')").SerializeToString()
    found: dict[str, Observation] = {"set": network.submit("put-with-policy", "mine", "1", own).code}
    found["written by a quorum"] = network.submit("put", "mine", "2", orgs=QUORUM).code
    found["written by the owner"] = network.submit("put", "mine", "3", orgs=[OWNER]).code
    found["written by whoever the gateway chooses"] = network.submit("put", "mine", "4").code
    found["deleted by a quorum"] = network.submit("delete", "mine", orgs=QUORUM).code
    found["policy changed by a quorum"] = network.submit("set-policy", "mine", b"", orgs=QUORUM).code
    found["with a key that has none"] = network.submit("put", "not mine", "5", orgs=[OWNER]).code
    found["value"] = network.owner.evaluate("get", "mine").decode()
    found["deleted by the owner"] = network.submit("delete", "mine", orgs=[OWNER]).code
    found["written by a quorum after that"] = network.submit("put", "mine", "6", orgs=QUORUM).code
    return found


@case("key-level policies: a quorum of verifiers")
def key_quorum(network: Network) -> Observation:
    policy = parse_policy("OutOf(2,'V1MSP.peer','V2MSP.peer','V3MSP.peer')").SerializeToString()
    found: dict[str, Observation] = {"set": network.submit("put-with-policy", "block", "1", policy).code}
    for orgs in (["V1MSP"], [OWNER, "V1MSP"], ["V1MSP", "V3MSP"]):
        found[" ".join(orgs)] = network.submit("put", "block", "2", orgs=orgs).code
    return found


@case("key-level policies: changed earlier in the block")
def key_policy_changes(network: Network) -> Observation:
    policy = parse_policy("OR('V1MSP.peer','V2MSP.peer','V3MSP.peer')").SerializeToString()

    def make(attempt: int) -> list[Pair]:
        network.must_submit("put", f"changing{attempt}", "0")
        return [
            network.owner.endorse("set-policy", f"changing{attempt}", policy),
            network.owner.endorse("put", f"changing{attempt}", "1"),
        ]

    return list(in_one_block(network, make))


@case("key-level policies: changed by an invalid transaction earlier in the block")
def key_policy_fails_to_change(network: Network) -> Observation:
    policy = parse_policy("OR('V1MSP.peer')").SerializeToString()

    def make(attempt: int) -> list[Pair]:
        network.must_submit("put", f"unchanged{attempt}", "0")
        return [
            network.owner.endorse("set-policy", f"unchanged{attempt}", policy, orgs=[OWNER]),
            network.owner.endorse("put", f"unchanged{attempt}", "1"),
        ]

    return list(in_one_block(network, make))


def _code_by(network: Network, orgs: Sequence[str]) -> str:
    """What became of a write that these organisations endorsed."""
    return network.submit("put", "locked", "2", orgs=orgs).code


@case("key-level policies: garbage instead of a policy")
def key_policy_garbage(network: Network) -> Observation:
    found: dict[str, Observation] = {
        "set": network.submit("put-with-policy", "locked", "1", b"\xff\xff\xff").code
    }
    for name, orgs in (
        ("a quorum", QUORUM),
        ("all", (OWNER, *VERIFIERS)),
        ("whoever the gateway chooses", ()),
    ):
        found[f"written by {name}"] = outcome(network, partial(_code_by, network, orgs))
    found["value"] = network.owner.evaluate("get", "locked").decode()
    return found


@case("key-level policies: for a key that is not there")
def key_policy_absent(network: Network) -> Observation:
    policy = parse_policy("OR('OwnerMSP.peer')").SerializeToString()
    code = network.submit("set-policy", "absent", policy).code
    found = network.owner.evaluate("get-policy", "absent")
    return [code, len(found), network.submit("put", "absent", "1", orgs=[OWNER]).code]


@case("key-level policies: read back, and kept over new values")
def key_policy_kept(network: Network) -> Observation:
    policy = parse_policy("OR('V1MSP.peer','OwnerMSP.peer')").SerializeToString()
    network.must_submit("put", "guarded", "1")
    codes = [network.submit("set-policy", "guarded", policy).code, network.submit("put", "guarded", "2").code]
    return [*codes, network.owner.evaluate("get-policy", "guarded") == policy]
