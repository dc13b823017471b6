"""State and simulation.

What a chaincode sees of the ledger, and the read-write sets that come of it.
"""

from __future__ import annotations

import json

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from google.protobuf import json_format

from tests.conformance.crafting import evaluated
from tests.conformance.network import OWNER, Network
from tests.conformance.observing import Observation, case, outcome
from tests.network.devnet.raw_gateway import CHANNEL, action_of


def asked(network: Network, *args: str) -> Observation:
    """The JSON of an evaluated function."""
    found = outcome(network, lambda: network.owner.evaluate(*args))
    return json.loads(found) if isinstance(found, str) else found


def sets_of(envelope: common_pb2.Envelope) -> dict[str, kv_rwset_pb2.KVRWSet]:
    found = rwset_pb2.TxReadWriteSet.FromString(action_of(envelope).results)
    assert found.data_model == rwset_pb2.TxReadWriteSet.KV
    return {entry.namespace: kv_rwset_pb2.KVRWSet.FromString(entry.rwset) for entry in found.ns_rwset}


def shown(envelope: common_pb2.Envelope) -> Observation:
    """A read-write set as JSON, with `block` for every block number and no hashes."""
    found: dict[str, Observation] = {}
    for name, sets in sets_of(envelope).items():
        entry = json_format.MessageToDict(sets, preserving_proto_field_name=True)
        text = json.dumps(entry)
        found[name] = json.loads(text, object_hook=_anonymous)
    return found


def _anonymous(entry: dict[str, Observation]) -> dict[str, Observation]:
    if "block_num" in entry:
        entry["block_num"] = "block"
    if "max_level_hashes" in entry:
        hashes = entry["max_level_hashes"]
        assert isinstance(hashes, list)
        entry["max_level_hashes"] = len(hashes)
    return entry


@case("a value is there after its commit, on every peer")
def visible(network: Network) -> Observation:
    committed = network.submit("put", "greeting", b"hello \x00\xff")
    values = [
        client.evaluate("get", "greeting", orgs=[msp_id]) == b"hello \x00\xff"
        for msp_id, client in network.clients.items()
    ]
    return [committed.code, committed.result.decode(), *values]


@case("a key that was never written")
def missing(network: Network) -> Observation:
    return network.owner.evaluate("get", "never written").decode()


@case("a transaction's own write")
def own_write(network: Network) -> Observation:
    return network.owner.evaluate("own-write", "unseen").decode()


@case("several keys at once")
def several(network: Network) -> Observation:
    network.must_submit("fill", "many-", "3")
    return asked(network, "get-many", "many-0002", "missing", "many-0000")


@case("the transaction as the chaincode sees it")
def transaction(network: Network) -> Observation:
    txid, signed = network.owner.propose("who")
    msp_id, name, channel, seen, timed = json.loads(evaluated(network.owner, txid, signed))
    return [msp_id, name, channel, seen == txid, timed]


@case("the read-write set of a read and a write")
def read_write(network: Network) -> Observation:
    network.must_submit("put", "counter", "41")
    return shown(network.owner.endorse("increment", "counter")[1])


@case("the read-write set of a read of nothing")
def read_nothing(network: Network) -> Observation:
    return shown(network.owner.endorse("increment", "fresh")[1])


@case("the read-write set of no reads and writes")
def no_effect(network: Network) -> Observation:
    return shown(network.owner.endorse("nothing")[1])


@case("the read-write set of writes that are not in order")
def unordered(network: Network) -> Observation:
    return shown(network.owner.endorse("put-composite", "x", "kind", "b", "a")[1])


@case("the read-write set of a deletion")
def deletion(network: Network) -> Observation:
    network.must_submit("put", "doomed", "x")
    return shown(network.owner.endorse("delete", "doomed")[1])


@case("the read-write set of a key-level policy")
def policy(network: Network) -> Observation:
    return shown(network.owner.endorse("put-with-policy", "policied", "x", b"policy")[1])


@case("the read-write set of a policy for a key that is there")
def policy_only(network: Network) -> Observation:
    network.must_submit("put", "policied", "x")
    return shown(network.owner.endorse("set-policy", "policied", b"policy")[1])


@case("the read-write set of a range of 3")
def range_few(network: Network) -> Observation:
    network.must_submit("fill", "few-", "3")
    return shown(network.owner.endorse("count-into", "few-", "few-~", "few")[1])


@case("the read-write set of a range of 120")
def range_many(network: Network) -> Observation:
    network.must_submit("fill", "hundred-", "120")
    return shown(network.owner.endorse("count-into", "hundred-", "hundred-~", "hundred")[1])


@case("the read-write set of an empty range")
def range_empty(network: Network) -> Observation:
    return shown(network.owner.endorse("count-into", "no such-", "no such-~", "none")[1])


@case("the read-write set of a range left after its first result")
def range_left(network: Network) -> Observation:
    network.must_submit("fill", "left-", "3")
    return shown(network.owner.endorse("first-into", "left-", "left-~", "left")[1])


@case("the read-write set of a page")
def range_page(network: Network) -> Observation:
    network.must_submit("fill", "paged-", "5")
    return shown(network.owner.endorse("page", "paged-", "paged-~", "2", "")[1])


@case("ranges: order of bytes, the end excluded, open sides")
def ranges(network: Network) -> Observation:
    for key in ("r/b", "r/a", "r/é", "r/z", "r/\U0001f600"):
        network.must_submit("put", key, "x")
    everything = asked(network, "range", "", "")
    assert isinstance(everything, list)
    return {
        "to ~": asked(network, "range", "r/", "r/~"),
        "beyond ASCII": asked(network, "range", "r/b", "r0"),
        "end excluded": asked(network, "range", "r/b", "r/z"),
        "backwards": asked(network, "range", "r/z", "r/a"),
        "everything holds them": all(f"r/{end}" in everything for end in "abzé"),
        "everything is in order": everything == sorted(everything, key=lambda key: str(key).encode()),
        "everything has composite keys": any(str(key).startswith("\0") for key in everything),
    }


@case("ranges: 250 results")
def long_range(network: Network) -> Observation:
    network.must_submit("fill", "long-", "250")
    found = asked(network, "range", "long-", "long-~")
    assert isinstance(found, list)
    return [len(found), found[0], found[-1]]


@case("pages and their bookmarks")
def pages(network: Network) -> Observation:
    network.must_submit("fill", "page-", "7")
    seen: list[Observation] = []
    bookmark = ""
    while True:
        found = asked(network, "page", "page-", "page-~", "3", bookmark)
        assert isinstance(found, list)
        seen.append(found)
        bookmark = str(found[1])
        if not bookmark:
            return seen


@case("pages: one that is just full")
def full_page(network: Network) -> Observation:
    network.must_submit("fill", "full-", "4")
    first = asked(network, "page", "full-", "full-~", "4", "")
    return [first, asked(network, "page", "full-", "full-~", "2", "full-0002")]


@case("pages and writes in one transaction")
def page_and_write(network: Network) -> Observation:
    return {
        "page, then write": asked(network, "page-and-put", "page-", "page-~"),
        "write, then page": asked(network, "put-and-page", "page-", "page-~"),
    }


@case("composite keys")
def composite_keys(network: Network) -> Observation:
    for attributes in (["a", "1"], ["a", "2"], ["ab", "1"], ["b", "1"]):
        network.must_submit("put-composite", "-".join(attributes), "pair", *attributes)
    return {
        "all": asked(network, "composites", "pair"),
        "of a": asked(network, "composites", "pair", "a"),
        "of a 2": asked(network, "composites", "pair", "a", "2"),
        "of another type": asked(network, "composites", "pai"),
        "a page": asked(network, "composite-page", "2", "", "pair"),
    }


@case("history, newest first, with deletions")
def history(network: Network) -> Observation:
    sent = [
        network.must_submit("put", "historic", "1"),
        network.must_submit("put", "historic", "2"),
        network.must_submit("delete", "historic"),
        network.must_submit("put", "historic", "3"),
    ]
    failed = network.submit("put", "historic", "never", orgs=[OWNER])
    assert failed.code != "VALID"
    names = {one.txid: f"transaction {number}" for number, one in enumerate(sent, 1)}
    found = json.loads(network.owner.evaluate("history", "historic"))
    return [[names[txid], *rest] for txid, *rest in found]


@case("history of a key that never was")
def no_history(network: Network) -> Observation:
    return asked(network, "history", "nothing ever")


@case("rich queries on LevelDB")
def rich(network: Network) -> Observation:
    return asked(network, "rich")


@case("private data without a collection")
def private(network: Network) -> Observation:
    return {
        "get": asked(network, "private", "k"),
        "hash": asked(network, "private-hash", "k"),
        "put": asked(network, "put-private", "k"),
    }


@case("a chaincode that calls chaincodes it cannot call")
def calls(network: Network) -> Observation:
    return {
        "itself": asked(network, "call", "kv", "", "get", "k"),
        "none": asked(network, "call", "absent", "", "get", "k"),
        "on another channel": asked(network, "call", "kv", "elsewhere", "get", "k"),
    }


@case("a chaincode that calls qscc")
def calls_qscc(network: Network) -> Observation:
    found = asked(network, "call", "qscc", "", "GetChainInfo", CHANNEL)
    return found[:2] if isinstance(found, list) else found


@case("transient data reaches the chaincode, and not the ledger")
def transient(network: Network) -> Observation:
    txid, envelope = network.owner.endorse("transient", transient={"secret": b"only here"}, orgs=[OWNER])
    _, block = network.order(txid, envelope)
    # The chaincode chose to return it; the proposal on the ledger itself is without.
    return [
        action_of(envelope).response.payload.decode(),
        network.owner.block(block).SerializeToString().count(b"only here"),
    ]
