"""Conflicts.

Transactions that read what others write, in one block and over several, and transactions that come twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from fabric_protos.common import common_pb2
from quorumlearn_network.devnet.policy import parse_policy

from tests.conformance.network import OWNER, VERIFIERS, Network
from tests.conformance.observing import Observation, case

Pair = tuple[str, common_pb2.Envelope]


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
        "later": [*sorted(set(later))],
        "status after all": owner.status(txid)[0],
    }


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
