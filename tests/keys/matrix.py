"""Who can write which key of the ledger past the contracts: every organisation alone, every pair, and all but a quorum of verifiers.

    python -m tests.keys.matrix devnet      writes docs/keys.md from what a devnet lets them do
    python -m tests.keys.matrix fabric      the same on Fabric 3.1

A coalition signs a transaction with the keys of its peers, whatever their chaincode would have said, and the network decides.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from quorumlearn_chaincode.contracts.tables import TABLES
from quorumlearn_chaincode.runtime import OutOf, SignedBy, policy_bytes
from quorumlearn_network.devnet.lifecycle import LIFECYCLE, sequence_key
from quorumlearn_network.spec import NetworkSpec

from tests.keys.forging import Forger, Forgery, deleting, repolicing, writing
from tests.keys.played import OTHERS, VERIFIERS, played

DEFINITION = "the chaincode's definition"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "keys.md"

Coalition = tuple[str, ...]
AGREED: Coalition = (*OTHERS[:2], *VERIFIERS[:2])
"""A majority of all organisations with a quorum of verifiers among them."""
Able = dict[str, list[Coalition]]
"""By what is written: the coalitions that can."""


def coalitions() -> list[Coalition]:
    """All organisations alone, all pairs, everybody else with one verifier, and those that may agree to anything."""
    every = (*OTHERS, *VERIFIERS)
    alone: list[Coalition] = [(one,) for one in every]
    return [*alone, *itertools.combinations(every, 2), *((*OTHERS, one) for one in VERIFIERS), AGREED]


def forgeries(spec: NetworkSpec, values: dict[str, tuple[str, bytes]]) -> Iterator[tuple[str, Forgery]]:
    """What is tried; `values` has a key and its value of each kind."""
    name = spec.chaincode.name
    task, _ = values["task"]
    same = policy_bytes(OutOf(spec.chaincode.quorum, tuple(SignedBy(one) for one in VERIFIERS)))
    for kind, (key, value) in sorted(values.items()):
        yield f"`{kind}`", writing(name, key, value)
    yield "a key that is not there yet", writing(name, "\x00payment\x00", b"{}")
    yield "`task`: its endorsement policy", repolicing(name, task, same)
    yield "`task`: deleted", deleting(name, task)
    yield DEFINITION, writing(LIFECYCLE, sequence_key(name), b"\x08\x01")


def observe(kind: str, folder: Path) -> Able:
    """What each coalition can do on a network of this kind, `devnet` or `fabric`."""
    with played(kind, folder) as spec:
        forger = Forger(spec, folder)
        try:
            values = forger.records()
            missing = {table.name for table in TABLES} ^ values.keys()
            if missing:
                raise RuntimeError(f"the ledger and the tables differ in {', '.join(sorted(missing))}")
            return {what: list(able(forger, forgery)) for what, forgery in forgeries(spec, values)}
        finally:
            forger.close()


def render(able: Able) -> str:
    """docs/keys.md."""
    lines = [
        "# Who can write which key",
        "",
        "The peers of a coalition may endorse whatever they like, past all contracts. What stands between them and the ledger is",
        "each key's endorsement policy. The table was made by trying: on a network of seven organisations (treasury, owner, two of",
        "miners, three of verifiers, of whom two are a quorum), with a record of every kind on its ledger, each coalition signed a",
        "transaction that overwrites the record. *All others and one verifier* are the treasury, the owner, both miners'",
        "organisations and one verifier organisation together, a majority. *Majority with two verifiers* are the treasury, the owner",
        "and two verifier organisations. The devnet and Fabric 3.1 answer alike. Nothing changes the configuration of a devnet's",
        "channel; on Fabric that takes administrators of the same coalitions as the chaincode's definition takes peers of.",
        "",
        "| what is written | alone | in pairs | all others and one verifier | majority with two verifiers |",
        "| --- | --- | --- | --- | --- |",
    ]
    for what, who in able.items():
        alone = [one for one in who if len(one) == 1]
        pairs = [one for one in who if len(one) == 2]
        many = [one for one in who if len(one) > 2 and one != AGREED]
        can = ["can" if found else "cannot" for found in (many, AGREED in who)]
        lines.append(f"| {what} | {_named(alone)} | {_named(pairs)} | {can[0]} | {can[1]} |")
    lines += [
        "",
        "This page is written by `python -m tests.keys.matrix devnet`, and tests hold both networks to it.",
    ]
    return "\n".join(lines) + "\n"


def _named(able: Sequence[Coalition]) -> str:
    if not able:
        return "nobody"
    if set(able) == set(itertools.combinations(VERIFIERS, 2)):
        return "any two verifiers"
    return ", ".join(" + ".join(one) for one in able)


def able(forger: Forger, forgery: Forgery) -> Iterator[Coalition]:
    """The coalitions whose transaction is valid. All others are tried at once, whoever may succeed one by one: two changes of a
    key's policy in one block disturb each other."""
    quorums = [one for one in coalitions() if is_quorum(one)]
    together = [(one, forger.send(forgery, one)) for one in coalitions() if one not in quorums]
    for who, txid in together:
        if valid(forger.code(txid), who):
            yield who
    for who in quorums:
        if valid(forger.code(forger.send(forgery, who)), who):
            yield who


def is_quorum(who: Coalition) -> bool:
    return len(set(who) & set(VERIFIERS)) > 1


def valid(code: str, who: Coalition) -> bool:
    if code not in ("VALID", "ENDORSEMENT_POLICY_FAILURE"):
        raise RuntimeError(f"what {', '.join(who)} endorsed ended as {code}")
    return code == "VALID"


def main(kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(render(observe(kind, Path(folder) / "network")), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
