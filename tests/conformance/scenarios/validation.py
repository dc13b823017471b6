"""Validation of ordered transactions.

Every code that a client can bring about: conflicts, policies, tampered envelopes, colluding endorsers.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from quorumlearn_network.devnet.policy import parse_policy

from tests.conformance.crafting import colluded, with_content, with_header, with_payload
from tests.conformance.network import OWNER, VERIFIERS, Network
from tests.conformance.observing import Observation, case, outcome

Pair = tuple[str, common_pb2.Envelope]
QUORUM = VERIFIERS[:2]


def in_one_block(network: Network, make: Callable[[int], list[Pair]]) -> list[str]:
    """The codes of transactions that came into one block; `make` is called until they do."""
    for attempt in range(20):
        pairs = make(attempt)
        for pair in pairs:
            network.owner.order(*pair)
        found = [network.await_commit(txid) for txid, _ in pairs]
        if len({block for _, block in found}) == 1:
            return [code for code, _ in found]
    raise AssertionError("the orderer never put the transactions into one block")


@case("two who read the same version, in one block")
def same_block(network: Network) -> Observation:
    def make(attempt: int) -> list[Pair]:
        network.must_submit("put", f"contended{attempt}", "0")
        return [network.owner.endorse("increment", f"contended{attempt}") for _ in range(2)]

    return list(in_one_block(network, make))


@case("a read of an older version")
def stale(network: Network) -> Observation:
    network.must_submit("put", "stale", "0")
    pair = network.owner.endorse("increment", "stale")
    network.must_submit("put", "stale", "7")
    return [network.order(*pair)[0], network.owner.evaluate("get", "stale").decode()]


@case("a read of nothing, where a key has come since")
def appeared(network: Network) -> Observation:
    pair = network.owner.endorse("increment", "appeared")
    network.must_submit("put", "appeared", "7")
    return network.order(*pair)[0]


@case("a read of a key that has gone since")
def vanished(network: Network) -> Observation:
    network.must_submit("put", "vanished", "1")
    pair = network.owner.endorse("increment", "vanished")
    network.must_submit("delete", "vanished")
    return network.order(*pair)[0]


@case("blind writes of one key in one block")
def blind(network: Network) -> Observation:
    codes = in_one_block(
        network, lambda n: [network.owner.endorse("put", f"blind{n}", str(value)) for value in range(3)]
    )
    return list(codes)


@case("a write between a read and a write of an invalid transaction")
def invalid_does_not_count(network: Network) -> Observation:
    """What an invalid transaction wrote conflicts with nobody."""

    def make(attempt: int) -> list[Pair]:
        network.must_submit("put", f"innocent{attempt}", "0")
        return [
            network.owner.endorse("put", f"innocent{attempt}", "x", orgs=[OWNER]),
            network.owner.endorse("increment", f"innocent{attempt}"),
        ]

    return list(in_one_block(network, make))


@case("a new key in a range of 3 that was read")
def phantom_few(network: Network) -> Observation:
    return _phantom(network, 3)


@case("a new key in a range of 120 that was read")
def phantom_many(network: Network) -> Observation:
    return _phantom(network, 120)


@case("a deleted key in a range that was read")
def phantom_deleted(network: Network) -> Observation:
    network.must_submit("fill", "gone-", "3")
    pair = network.owner.endorse("count-into", "gone-", "gone-~", "gone")
    network.must_submit("delete", "gone-0001")
    return network.order(*pair)[0]


@case("a changed value in a range that was read")
def phantom_changed(network: Network) -> Observation:
    network.must_submit("fill", "chg-", "3")
    pair = network.owner.endorse("count-into", "chg-", "chg-~", "chg")
    network.must_submit("put", "chg-0001", "other")
    return network.order(*pair)[0]


@case("a new key behind the part of a range that was read")
def phantom_behind(network: Network) -> Observation:
    network.must_submit("fill", "behind-", "3")
    pair = network.owner.endorse("first-into", "behind-", "behind-~", "behind")
    network.must_submit("put", "behind-0002x", "new")
    return network.order(*pair)[0]


@case("a phantom within one block")
def phantom_in_block(network: Network) -> Observation:
    def make(attempt: int) -> list[Pair]:
        prefix = f"inblock{attempt}-"
        network.must_submit("fill", prefix, "2")
        return [
            network.owner.endorse("put", f"{prefix}5", "x"),
            network.owner.endorse("count-into", prefix, f"{prefix}~", f"sum{attempt}"),
        ]

    return list(in_one_block(network, make))


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
        found[f"written by {name}"] = outcome(
            network, lambda orgs=orgs: network.submit("put", "locked", "2", orgs=orgs).code
        )
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


@case("one envelope twice in one block, and again later")
def duplicates(network: Network) -> Observation:
    owner = network.owner
    for _ in range(20):
        txid, envelope = owner.endorse("put", "dup", "x")
        owner.order(txid, envelope)
        owner.order(txid, envelope)
        code, block = network.await_commit(txid)
        network.must_submit("put", "dup-marker", "x")
        flags = owner.flags(block)
        if len(flags) == 2:
            break
    owner.order(txid, envelope)
    last = network.must_submit("put", "dup-marker", "y")
    later = [flag for number in range(block + 1, last.block + 1) for flag in owner.flags(number)]
    return {
        "status": code,
        "in its block": list(flags),
        "later": sorted(set(later)),
        "status after all": owner.status(txid)[0],
    }


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
        found[name] = network.order(txid, colluded(network, envelope, change, QUORUM))[0]
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

    return network.order(txid, colluded(network, envelope, change, QUORUM))[0]


@case("blocks of six random transactions over four keys")
def random_blocks(network: Network) -> Observation:
    """Reads, writes, deletions, ranges, policies and missing endorsements, endorsed before any is committed."""
    policy = parse_policy("OutOf(2,'V1MSP.peer','V2MSP.peer','V3MSP.peer')").SerializeToString()
    found: list[Observation] = []
    for number in range(8):
        prefix = ""

        def make(attempt: int, number: int = number) -> list[Pair]:
            nonlocal prefix
            prefix = f"random{number}-{attempt}-"
            network.must_submit("fill", prefix, "3")
            dice = random.Random(number)
            pairs = []
            for _ in range(6):
                key = f"{prefix}{dice.randrange(4):04}"
                choices: list[tuple[str | bytes, ...]] = [
                    ("increment", key),
                    ("increment", key),
                    ("put", key, "7"),
                    ("delete", key),
                    ("count-into", prefix, prefix + "~", key),
                    ("set-policy", key, policy),
                ]
                orgs = [VERIFIERS[0]] if dice.random() < 0.15 else []
                pairs.append(network.owner.endorse(*dice.choice(choices), orgs=orgs))
            return pairs

        codes: list[Observation] = list(in_one_block(network, make))
        values = [network.owner.evaluate("get", f"{prefix}{key:04}").decode() for key in range(4)]
        found.append([*codes, " ".join(value or "-" for value in values)])
    return found


def _phantom(network: Network, count: int) -> Observation:
    prefix = f"ph{count}-"
    network.must_submit("fill", prefix, str(count))
    same = network.owner.endorse("count-into", prefix, prefix + "~", f"sum{count}")
    undisturbed = network.order(*same)[0]
    counted = network.owner.endorse("count-into", prefix, prefix + "~", f"sum{count}")
    network.must_submit("put", prefix + "0001x", "new")
    return {"undisturbed": undisturbed, "disturbed": network.order(*counted)[0]}
