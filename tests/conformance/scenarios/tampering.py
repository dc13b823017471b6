"""Tampered transactions.

What a client changes after endorsement, and what endorsers who collude with it cannot get through.
"""

from __future__ import annotations

import hashlib

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    proposal_pb2,
    transaction_pb2,
)

from tests.conformance.crafting import colluded, with_content, with_header, with_payload
from tests.conformance.network import VERIFIERS, Network
from tests.conformance.observing import Observation, case

QUORUM = VERIFIERS[:2]


@case("another transaction id than that of nonce and creator")
def txid_changed(network: Network) -> Observation:
    _, envelope = network.owner.endorse("put", "txid", "x")
    other = hashlib.sha256(envelope.signature).hexdigest()  # another one at each run
    changed = with_header(network.owner, envelope, lambda header: setattr(header, "tx_id", other))
    return network.order(other, changed)[0]


@case("content that cannot be read")
def garbage(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "garbage", "x")
    changed = with_payload(network.owner, envelope, lambda payload: setattr(payload, "data", b"\xff\xff"))
    return network.order(txid, changed)[0]


@case("no content")
def no_content(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "empty", "x")
    changed = with_payload(network.owner, envelope, lambda payload: payload.ClearField("data"))
    return network.order(txid, changed)[0]


@case("two actions in one transaction")
def two_actions(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "two", "x")

    def change(payload: common_pb2.Payload) -> None:
        transaction = transaction_pb2.Transaction.FromString(payload.data)
        transaction.actions.append(transaction.actions[0])
        payload.data = transaction.SerializeToString()

    return network.order(txid, with_payload(network.owner, envelope, change))[0]


@case("another proposal than the endorsed one")
def other_proposal(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "changed", "x")

    def change(content: transaction_pb2.ChaincodeActionPayload) -> None:
        proposed = proposal_pb2.ChaincodeProposalPayload.FromString(content.chaincode_proposal_payload)
        proposed.TransientMap["more"] = b"1"
        content.chaincode_proposal_payload = proposed.SerializeToString()

    return network.order(txid, with_content(network.owner, envelope, change))[0]


@case("another header in the action than in the envelope")
def other_action_header(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "header", "x")

    def change(payload: common_pb2.Payload) -> None:
        transaction = transaction_pb2.Transaction.FromString(payload.data)
        header = common_pb2.SignatureHeader.FromString(transaction.actions[0].header)
        header.nonce = b"another nonce of 24 byte"
        transaction.actions[0].header = header.SerializeToString()
        payload.data = transaction.SerializeToString()

    return network.order(txid, with_payload(network.owner, envelope, change))[0]


@case("another chaincode in the header")
def other_chaincode(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "chaincode", "x")

    def change(header: common_pb2.ChannelHeader) -> None:
        extension = proposal_pb2.ChaincodeHeaderExtension()
        extension.chaincode_id.name = "other"
        header.extension = extension.SerializeToString()

    return network.order(txid, with_header(network.owner, envelope, change))[0]


@case("a header of another type")
def header_type(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "type", "x")
    changed = with_header(network.owner, envelope, lambda header: setattr(header, "type", common_pb2.MESSAGE))
    return network.order(txid, changed)[0]


@case("a header with an epoch")
def header_epoch(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "epoch", "x")
    changed = with_header(network.owner, envelope, lambda header: setattr(header, "epoch", 1))
    return network.order(txid, changed)[0]


@case("colluding endorsers: what they cannot get through")
def collusion(network: Network) -> Observation:
    def results(action: proposal_pb2.ChaincodeAction) -> None:
        action.results = b"\xff"

    def other_name(action: proposal_pb2.ChaincodeAction) -> None:
        action.chaincode_id.name = "other"

    def no_version(action: proposal_pb2.ChaincodeAction) -> None:
        action.chaincode_id.version = ""

    def other_version(action: proposal_pb2.ChaincodeAction) -> None:
        action.chaincode_id.version = "2.0"

    def no_chaincode(action: proposal_pb2.ChaincodeAction) -> None:
        action.ClearField("chaincode_id")

    def bad_event(action: proposal_pb2.ChaincodeAction) -> None:
        action.events = b"\xff"

    def foreign_event(action: proposal_pb2.ChaincodeAction) -> None:
        event = chaincode_event_pb2.ChaincodeEvent(chaincode_id="other", event_name="x")
        action.events = event.SerializeToString()

    def unknown_namespace(action: proposal_pb2.ChaincodeAction) -> None:
        written = kv_rwset_pb2.KVRWSet(writes=[kv_rwset_pb2.KVWrite(key="k", value=b"v")])
        action.results = rwset_pb2.TxReadWriteSet(
            ns_rwset=[
                rwset_pb2.NsReadWriteSet(namespace="undefined", rwset=written.SerializeToString()),
            ]
        ).SerializeToString()

    def twice(action: proposal_pb2.ChaincodeAction) -> None:
        found = rwset_pb2.TxReadWriteSet.FromString(action.results)
        found.ns_rwset.append(found.ns_rwset[-1])
        action.results = found.SerializeToString()

    def failure(action: proposal_pb2.ChaincodeAction) -> None:
        action.response.status = 500

    def nothing(action: proposal_pb2.ChaincodeAction) -> None:
        del action

    changes = {
        "nothing changed": nothing,
        "results that cannot be read": results,
        "another chaincode": other_name,
        "no version": no_version,
        "another version": other_version,
        "no chaincode": no_chaincode,
        "an event that cannot be read": bad_event,
        "an event of another chaincode": foreign_event,
        "a write to a chaincode that is none": unknown_namespace,
        "one chaincode's writes twice": twice,
        "a response of status 500": failure,
    }
    found: dict[str, Observation] = {}
    for name, change in changes.items():
        txid, envelope = network.owner.endorse("put", "colluding", "x", orgs=QUORUM)
        peers = [network.peer_signer(one) for one in QUORUM]
        found[name] = network.order(txid, colluded(network.owner, envelope, change, peers))[0]
    return found


@case("colluding endorsers: a definition of a chaincode written by a quorum of it")
def takeover(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("put", "takeover", "x", orgs=QUORUM)

    def change(action: proposal_pb2.ChaincodeAction) -> None:
        found = rwset_pb2.TxReadWriteSet.FromString(action.results)
        written = kv_rwset_pb2.KVRWSet(
            writes=[kv_rwset_pb2.KVWrite(key="namespaces/fields/kv/Sequence", value=b"\x08\x02")]
        )
        found.ns_rwset[0].rwset = written.SerializeToString()
        assert found.ns_rwset[0].namespace == "_lifecycle"
        action.results = found.SerializeToString()

    peers = [network.peer_signer(one) for one in QUORUM]
    return network.order(txid, colluded(network.owner, envelope, change, peers))[0]
