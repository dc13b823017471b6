"""What a chaincode can do with the ledger through its peer's stream."""

from __future__ import annotations

import json

import grpc
import pytest
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from quorumlearn_network.devnet.policy import parse_policy

from tests.network.devnet.raw_gateway import Client, action_of, details_of


def sets_of(envelope: object) -> dict[str, kv_rwset_pb2.KVRWSet]:
    found = rwset_pb2.TxReadWriteSet.FromString(action_of(envelope).results)
    return {entry.namespace: kv_rwset_pb2.KVRWSet.FromString(entry.rwset) for entry in found.ns_rwset}


def reason_of(client: Client, *args: str | bytes) -> str:
    with pytest.raises(grpc.RpcError) as failed:
        client.evaluate(*args)
    assert failed.value.code() is grpc.StatusCode.UNKNOWN
    return str(failed.value.details())


def test_a_value_is_read_back_after_its_commit(owner: Client, verifier: Client) -> None:
    committed = owner.submit("put", "greeting", b"hello \x00\xff")
    assert (committed.code, committed.result) == ("VALID", b"ok")
    assert verifier.evaluate("get", "greeting") == b"hello \x00\xff"
    assert owner.evaluate("get", "never written") == b""


def test_a_transaction_does_not_see_its_own_writes(owner: Client) -> None:
    assert owner.evaluate("own-write", "unseen") == b""


def test_an_empty_value_deletes(owner: Client) -> None:
    owner.submit("put", "short-lived", "x")
    owner.submit("put", "short-lived", "")
    assert json.loads(owner.evaluate("range", "short-lived", "short-lived~")) == []


def test_the_read_write_set_is_fabrics(owner: Client) -> None:
    first = owner.submit("put", "counter", "41")
    _, envelope = owner.endorse("increment", "counter")
    sets = sets_of(envelope)
    assert list(sets) == ["_lifecycle", "kv"]
    assert [read.key for read in sets["_lifecycle"].reads] == ["namespaces/fields/kv/Sequence"]
    (read,) = sets["kv"].reads
    assert (read.key, read.version.block_num, read.version.tx_num) == ("counter", first.block, 0)
    (write,) = sets["kv"].writes
    assert (write.key, write.is_delete, write.value) == ("counter", False, b"42")


def test_a_read_of_nothing_has_no_version(owner: Client) -> None:
    _, envelope = owner.endorse("increment", "fresh")
    (read,) = sets_of(envelope)["kv"].reads
    assert not read.HasField("version")


def test_ranges_are_ordered_by_bytes_and_end_before_their_end(owner: Client) -> None:
    for key in ("r/b", "r/a", "r/é", "r/z"):
        owner.submit("put", key, "x")
    assert json.loads(owner.evaluate("range", "r/", "r/~")) == ["r/a", "r/b", "r/z"]
    assert json.loads(owner.evaluate("range", "r/b", "r0")) == ["r/b", "r/z", "r/é"]
    assert json.loads(owner.evaluate("range", "r/b", "r/z")) == ["r/b"]


def test_composite_keys_are_outside_ranges_of_simple_keys(owner: Client) -> None:
    owner.submit("put", "\x00pair\x00one\x00two\x00", "composite")
    owner.submit("put", "zz", "simple")
    everything = json.loads(owner.evaluate("range", "\x01", ""))
    assert "zz" in everything
    assert not any(key.startswith("\x00") for key in everything)
    found = json.loads(owner.evaluate("range", "\x00pair\x00", "\x00pair\x00\U0010ffff"))
    assert found == ["\x00pair\x00one\x00two\x00"]


def test_long_results_come_in_batches_of_a_hundred(owner: Client) -> None:
    assert owner.submit("fill", "many", "250").code == "VALID"
    assert json.loads(owner.evaluate("batches", "many", "many~")) == [250, 3]
    _, envelope = owner.endorse("count-into", "many", "many~", "total")
    (info,) = sets_of(envelope)["kv"].range_queries_info
    assert (info.start_key, info.end_key, info.itr_exhausted) == ("many", "many~", True)
    assert info.WhichOneof("reads_info") == "reads_merkle_hashes"


def test_pages_follow_their_bookmarks(owner: Client) -> None:
    owner.submit("fill", "page", "7")
    seen: list[str] = []
    bookmark, sizes = "", []
    while True:
        keys, bookmark, count = json.loads(owner.evaluate("page", "page", "page~", "3", bookmark))
        assert len(keys) == count
        seen += keys
        sizes.append(count)
        if not bookmark:
            break
    assert sizes == [3, 3, 1]
    assert seen == [f"page{i:04}" for i in range(7)]


def test_paged_queries_and_writes_exclude_each_other(owner: Client) -> None:
    reason = reason_of(owner, "page-and-put", "page", "page~", "3", "")
    assert "Transaction has already performed a paginated query. Writes are not allowed" in reason


def test_a_closed_query_has_no_next(owner: Client) -> None:
    owner.submit("fill", "closing", "2")
    assert "QUERY_STATE_NEXT failed" in reason_of(owner, "close", "closing", "closing~")


def test_history_is_newest_first_with_deletes(owner: Client) -> None:
    one = owner.submit("put", "historic", "1")
    two = owner.submit("put", "historic", "2")
    three = owner.submit("delete", "historic")
    assert json.loads(owner.evaluate("history", "historic")) == [
        [three.txid, "", True, True],
        [two.txid, "2", False, True],
        [one.txid, "1", False, True],
    ]
    assert json.loads(owner.evaluate("history", "nothing ever")) == []


def test_batched_writes_and_reads(owner: Client) -> None:
    assert owner.submit("fill-batch", "batched", "5").code == "VALID"
    values = json.loads(owner.evaluate("get-many", "batched0000", "missing", "batched0004"))
    assert values == ["batched", "", "batched"]


def test_key_policies_are_kept_with_the_key_and_survive_new_values(owner: Client) -> None:
    policy = parse_policy("OR('V1MSP.peer','OwnerMSP.peer')").SerializeToString()
    owner.submit("put", "guarded", "1")
    assert owner.submit("policy", "guarded", policy).code == "VALID"
    assert owner.submit("put", "guarded", "2").code == "VALID"
    assert json.loads(owner.evaluate("get-policy", "guarded")) == {"VALIDATION_PARAMETER": policy.hex()}
    assert owner.evaluate("get", "guarded") == b"2"


def test_a_key_policy_for_a_key_that_does_not_exist_is_nothing(owner: Client) -> None:
    assert owner.submit("policy", "absent", b"").code == "VALID"
    assert json.loads(owner.evaluate("get-policy", "absent")) == {}


def test_rich_queries_fail_as_on_leveldb(owner: Client) -> None:
    reason = reason_of(owner, "rich", "{}")
    assert "GET_QUERY_RESULT failed: transaction ID: " in reason
    assert "ExecuteQuery not supported for leveldb" in reason


def test_private_data_is_refused_clearly(owner: Client) -> None:
    """In Fabric's words for a collection that is not defined, and why it cannot be."""
    reason = reason_of(owner, "private", "k")
    assert "collection quorumlearn/kv/secrets could not be found" in reason
    assert "private data collections are not supported by the devnet" in reason


def test_another_chaincode_runs_in_the_same_transaction(verifier: Client) -> None:
    txid, envelope = verifier.endorse("call", "other", "put", "from-kv", "v")
    assert json.loads(action_of(envelope).response.payload) == ["COMPLETED", 200, "ok"]
    sets = sets_of(envelope)
    assert [write.key for write in sets["other"].writes] == ["from-kv"]
    assert {read.key for read in sets["_lifecycle"].reads} == {
        "namespaces/fields/kv/Sequence",
        "namespaces/fields/other/Sequence",
    }
    verifier.order(txid, envelope)
    assert verifier.status(txid)[0] == "VALID"
    assert verifier.evaluate("get", "from-kv", chaincode="other") == b"v"
    assert verifier.evaluate("get", "from-kv") == b""


def test_calls_that_cannot_be_made_are_errors_of_the_chaincode(owner: Client, verifier: Client) -> None:
    assert "chaincode nothing not found" in reason_of(verifier, "call", "nothing", "get", "k")
    assert "exists, but chaincode is not installed" in reason_of(owner, "call", "other", "get", "k")
    assert "Failed to get policy manager for channel [elsewhere]" in reason_of(
        verifier, "call", "other/elsewhere", "get"
    )
    assert "exists" in reason_of(verifier, "call", "kv", "get", "k")


def test_transient_data_reaches_the_chaincode_and_not_the_ledger(owner: Client) -> None:
    txid, envelope = owner.endorse("transient", transient={"secret": b"only here"}, orgs=["V1MSP", "V2MSP"])
    assert json.loads(action_of(envelope).response.payload) == {"secret": "only here"}
    owner.order(txid, envelope)
    _, number = owner.status(txid)
    assert owner.evaluate("get", "had-transient") == b"yes"
    # The chaincode chose to return it; the proposal on the ledger itself is without.
    payload = owner.block(number).data.data[0]
    assert payload.count(b"only here") == 1


def test_errors_of_the_chaincode_keep_their_status_and_text(owner: Client) -> None:
    assert reason_of(owner, "no such") == (
        "evaluate call to endorser returned error: chaincode response 500, ValueError: no function no such"
    )
    assert "chaincode response 404, status 404" in reason_of(owner, "status", "404")
    with pytest.raises(grpc.RpcError) as failed:
        owner.endorse("no such")
    assert failed.value.code() is grpc.StatusCode.ABORTED
    assert failed.value.details() == "failed to endorse transaction, see attached details for more info"
    assert details_of(failed.value) == [
        ("OwnerMSP", "chaincode response 500, ValueError: no function no such")
    ]
