"""Every validation code that a client can provoke, as Fabric gives it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import proposal_pb2, proposal_response_pb2, transaction_pb2
from quorumlearn_network.devnet.policy import parse_policy

from tests.conformance.crafting import colluded, with_content, with_header, with_payload
from tests.network.devnet.conftest import Members, Net
from tests.network.devnet.raw_gateway import Client, details_of


def code_of(client: Client, envelope: common_pb2.Envelope, txid: str) -> str:
    client.order(txid, envelope)
    return client.status(txid)[0]


def test_two_writers_after_the_same_read_conflict(owner: Client) -> None:
    owner.submit("put", "contended", "0")
    first, second = owner.endorse("increment", "contended"), owner.endorse("increment", "contended")
    owner.order(*first)
    owner.order(*second)
    assert owner.status(first[0])[0] == "VALID"
    assert owner.status(second[0])[0] == "MVCC_READ_CONFLICT"
    assert owner.evaluate("get", "contended") == b"1"


def test_a_read_of_an_older_block_conflicts(owner: Client) -> None:
    owner.submit("put", "stale", "0")
    stale = owner.endorse("increment", "stale")
    assert owner.submit("put", "stale", "7").code == "VALID"
    owner.order(*stale)
    assert owner.status(stale[0])[0] == "MVCC_READ_CONFLICT"


@pytest.mark.parametrize("count", [3, 120])
def test_a_new_key_in_a_range_that_was_read_is_a_phantom(owner: Client, count: int) -> None:
    prefix = f"ph{count}-"
    owner.submit("fill", prefix, str(count))
    same = owner.endorse("count-into", prefix, prefix + "~", f"sum{count}")
    assert code_of(owner, same[1], same[0]) == "VALID"
    counted = owner.endorse("count-into", prefix, prefix + "~", f"sum{count}")
    owner.submit("put", prefix + "0001x", "new")
    assert code_of(owner, counted[1], counted[0]) == "PHANTOM_READ_CONFLICT"


def test_a_phantom_within_the_block_counts_too(owner: Client) -> None:
    owner.submit("fill", "inblock", "2")
    new = owner.endorse("put", "inblock5", "x")
    counted = owner.endorse("count-into", "inblock", "inblock~", "inblock-sum")
    owner.order(*new)
    owner.order(*counted)
    assert owner.status(counted[0])[0] == "PHANTOM_READ_CONFLICT"


def test_too_few_endorsements_fail_the_policy(owner: Client) -> None:
    assert owner.submit("put", "alone", "x", orgs=["V1MSP"]).code == "ENDORSEMENT_POLICY_FAILURE"
    assert owner.submit("put", "alone", "x", orgs=["OwnerMSP", "V1MSP"]).code == "ENDORSEMENT_POLICY_FAILURE"
    assert owner.submit("put", "alone", "x", orgs=["V3MSP", "V1MSP"]).code == "VALID"


def test_one_endorsement_twice_is_one(owner: Client) -> None:
    txid, envelope = owner.endorse("put", "twice", "x", orgs=["V1MSP"])

    def double(content: transaction_pb2.ChaincodeActionPayload) -> None:
        content.action.endorsements.append(content.action.endorsements[0])

    assert code_of(owner, with_content(owner, envelope, double), txid) == "ENDORSEMENT_POLICY_FAILURE"


def test_endorsements_with_each_others_signatures_do_not_count(owner: Client) -> None:
    txid, envelope = owner.endorse("put", "swapped", "x", orgs=["V1MSP", "V2MSP"])

    def swap(content: transaction_pb2.ChaincodeActionPayload) -> None:
        first, second = content.action.endorsements
        first.signature, second.signature = second.signature, first.signature

    assert code_of(owner, with_content(owner, envelope, swap), txid) == "ENDORSEMENT_POLICY_FAILURE"


def test_a_client_cannot_endorse(owner: Client, members: Members) -> None:
    txid, envelope = owner.endorse("put", "client-endorsed", "x", orgs=["V1MSP"])
    client = members.signer("V2MSP")

    def add(content: transaction_pb2.ChaincodeActionPayload) -> None:
        response = content.action.proposal_response_payload
        content.action.endorsements.add(
            endorser=client.serialized, signature=client.sign(response + client.serialized)
        )

    assert code_of(owner, with_content(owner, envelope, add), txid) == "ENDORSEMENT_POLICY_FAILURE"


def test_changed_results_lose_their_endorsements(owner: Client) -> None:
    txid, envelope = owner.endorse("put", "forged", "x", orgs=["V1MSP", "V2MSP"])

    def forge(content: transaction_pb2.ChaincodeActionPayload) -> None:
        response = proposal_response_pb2.ProposalResponsePayload.FromString(
            content.action.proposal_response_payload
        )
        action = proposal_pb2.ChaincodeAction.FromString(response.extension)
        action.results = action.results.replace(b"forged", b"FORGED")
        response.extension = action.SerializeToString()
        content.action.proposal_response_payload = response.SerializeToString()

    assert code_of(owner, with_content(owner, envelope, forge), txid) == "ENDORSEMENT_POLICY_FAILURE"
    assert owner.evaluate("get", "FORGED") == b""


def test_key_level_policies_replace_the_chaincodes(owner: Client) -> None:
    own = parse_policy("OR('OwnerMSP.peer')").SerializeToString()
    assert owner.submit("put-with-policy", "mine", "1", own).code == "VALID"
    assert owner.submit("put", "mine", "2", orgs=["V1MSP", "V2MSP"]).code == "ENDORSEMENT_POLICY_FAILURE"
    assert owner.submit("put", "mine", "3", orgs=["OwnerMSP"]).code == "VALID"
    assert owner.submit("put", "mine", "4").code == "VALID"
    assert owner.submit("put", "not mine", "5", orgs=["OwnerMSP"]).code == "ENDORSEMENT_POLICY_FAILURE"
    assert owner.evaluate("get", "mine") == b"4"


def test_a_key_whose_policy_changes_earlier_in_the_block_is_not_written_under_the_old_one(
    owner: Client,
) -> None:
    policy = parse_policy("OR('V1MSP.peer')").SerializeToString()
    owner.submit("put", "changing", "0")
    change, write = owner.endorse("policy", "changing", policy), owner.endorse("put", "changing", "1")
    owner.order(*change)
    owner.order(*write)
    changed, written = owner.status(change[0]), owner.status(write[0])
    assert changed[0] == "VALID"
    assert changed[1] == written[1]
    assert written[0] == "ENDORSEMENT_POLICY_FAILURE"


def test_a_key_policy_that_is_garbage_locks_the_key(owner: Client, members: Members) -> None:
    assert owner.submit("put-with-policy", "locked", "1", b"\xff\xff\xff").code == "VALID"
    for orgs in ([], ["V1MSP", "V2MSP"]):
        with pytest.raises(grpc.RpcError) as failed:
            owner.endorse("put", "locked", "2", orgs=orgs)
        assert failed.value.code() is grpc.StatusCode.ABORTED
        assert "error unmarshalling SignaturePolicyEnvelope" in details_of(failed.value)[0][1]
    txid, envelope = owner.endorse("put", "unlocked", "2", orgs=["V1MSP", "V2MSP"])
    forced = colluding(
        owner, members, envelope, lambda action: setattr(action, "results", _written("kv", "locked"))
    )
    assert code_of(owner, forced, txid) == "ENDORSEMENT_POLICY_FAILURE"
    assert owner.evaluate("get", "locked") == b"1"


def test_the_same_transaction_again_is_a_duplicate_and_the_first_status_stands(owner: Client) -> None:
    txid, envelope = owner.endorse("put", "dup", "x")
    owner.order(txid, envelope)
    owner.order(txid, envelope)
    assert owner.status(txid)[0] == "VALID"
    after = owner.submit("put", "dup-marker", "x")
    owner.order(txid, envelope)
    last = owner.submit("put", "dup-marker", "y")
    assert owner.status(txid)[0] == "VALID"
    first = owner.status(txid)[1]
    flags = [flag for number in range(first, last.block + 1) for flag in owner.flags(number)]
    assert flags.count("DUPLICATE_TXID") == 2
    assert after.code == last.code == "VALID"


def test_another_transaction_id_than_the_nonces(owner: Client) -> None:
    _, envelope = owner.endorse("put", "txid", "x")

    changed = with_header(owner, envelope, lambda header: setattr(header, "tx_id", "f" * 64))
    assert code_of(owner, changed, "f" * 64) == "BAD_PROPOSAL_TXID"


def test_content_that_cannot_be_read_or_was_not_proposed(owner: Client) -> None:
    txid, envelope = owner.endorse("put", "garbage", "x")
    garbage = with_payload(owner, envelope, lambda payload: setattr(payload, "data", b"\xff\xff"))
    assert code_of(owner, garbage, txid) == "INVALID_ENDORSER_TRANSACTION"
    txid, envelope = owner.endorse("put", "changed", "x")

    def change(content: transaction_pb2.ChaincodeActionPayload) -> None:
        proposed = proposal_pb2.ChaincodeProposalPayload.FromString(content.chaincode_proposal_payload)
        proposed.TransientMap["more"] = b"1"
        content.chaincode_proposal_payload = proposed.SerializeToString()

    assert code_of(owner, with_content(owner, envelope, change), txid) == "INVALID_ENDORSER_TRANSACTION"


def test_types_of_transaction_that_are_not_transactions(owner: Client) -> None:
    def retyped(kind: int) -> tuple[str, common_pb2.Envelope]:
        txid, envelope = owner.endorse("put", "typed", "x")
        return txid, with_header(owner, envelope, lambda header: setattr(header, "type", kind))

    txid, envelope = retyped(common_pb2.MESSAGE)
    assert code_of(owner, envelope, txid) == "BAD_COMMON_HEADER"
    for kind in (common_pb2.CONFIG, common_pb2.CONFIG_UPDATE):
        with pytest.raises(grpc.RpcError, match="the devnet's channel configuration does not change"):
            owner.order(*retyped(kind))


def colluding(
    client: Client,
    members: Members,
    envelope: common_pb2.Envelope,
    change: Callable[[proposal_pb2.ChaincodeAction], None],
) -> common_pb2.Envelope:
    """The envelope with its results changed, endorsed again by two peers who would sign anything."""
    return colluded(client, envelope, change, [members.peer_signer(one) for one in ("V1MSP", "V2MSP")])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda action: setattr(action, "results", b"\xff"), "BAD_RWSET"),
        (lambda action: setattr(action.chaincode_id, "name", "other"), "INVALID_CHAINCODE"),
        (lambda action: setattr(action.chaincode_id, "version", ""), "INVALID_CHAINCODE"),
        (lambda action: action.ClearField("chaincode_id"), "INVALID_OTHER_REASON"),
        (lambda action: setattr(action, "events", b"\xff"), "INVALID_OTHER_REASON"),
        (lambda action: setattr(action, "results", _unknown_namespace()), "INVALID_CHAINCODE"),
        (lambda action: setattr(action, "results", _twice(action.results)), "ILLEGAL_WRITESET"),
    ],
)
def test_what_colluding_endorsers_cannot_get_through(
    owner: Client, members: Members, change: Callable[[proposal_pb2.ChaincodeAction], None], code: str
) -> None:
    txid, envelope = owner.endorse("put", "colluding", "x", orgs=["V1MSP", "V2MSP"])
    assert code_of(owner, colluding(owner, members, envelope, change), txid) == code


def _unknown_namespace() -> bytes:
    return _written("undefined", "k")


def _written(namespace: str, key: str) -> bytes:
    """A read-write set of one blind write."""
    written = kv_rwset_pb2.KVRWSet(writes=[kv_rwset_pb2.KVWrite(key=key, value=b"v")])
    found = rwset_pb2.TxReadWriteSet()
    found.ns_rwset.add(namespace=namespace, rwset=written.SerializeToString())
    return bytes(found.SerializeToString())


def _twice(results: bytes) -> bytes:
    found = rwset_pb2.TxReadWriteSet.FromString(results)
    found.ns_rwset.append(found.ns_rwset[-1])
    return bytes(found.SerializeToString())


def test_definitions_cannot_be_written_by_a_minority(owner: Client, members: Members) -> None:
    txid, envelope = owner.endorse("put", "takeover", "x", orgs=["V1MSP", "V2MSP"])

    def take_over(action: proposal_pb2.ChaincodeAction) -> None:
        found = rwset_pb2.TxReadWriteSet.FromString(action.results)
        found.ns_rwset[0].rwset = found.ns_rwset[1].rwset
        assert found.ns_rwset[0].namespace == "_lifecycle"
        action.results = found.SerializeToString()

    forged = colluding(owner, members, envelope, take_over)
    assert code_of(owner, forged, txid) == "ENDORSEMENT_POLICY_FAILURE"


def test_the_orderer_refuses_what_it_can_see_is_wrong(owner: Client, net: Net) -> None:
    def refusal(envelope: common_pb2.Envelope) -> str:
        with pytest.raises(grpc.RpcError) as failed:
            owner.order("0" * 64, envelope)
        assert failed.value.code() is grpc.StatusCode.ABORTED
        return str(failed.value.details())

    txid, envelope = owner.endorse("put", "signature", "x")
    envelope.signature = owner.signer.sign(b"something else")
    assert "status=FORBIDDEN" in refusal(envelope)
    assert "status=BAD_REQUEST" in refusal(common_pb2.Envelope(payload=b"\xff", signature=b"x"))
    assert "header not set" in refusal(common_pb2.Envelope(signature=b"x"))
    large = with_payload(owner, envelope, lambda payload: setattr(payload, "data", bytes(11 << 20)))
    assert "exceeds maximum allowed 10485760 bytes" in refusal(large)
    with contextlib.suppress(grpc.RpcError):
        owner.status(txid, timeout=0.2)
        pytest.fail("a refused envelope must not be committed")
