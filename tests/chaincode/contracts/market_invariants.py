"""What holds on the ledger after every transaction, read from the peer's raw state.

Tokens: minted = balances + escrows + stakes (open deposits among them) + burnt, nothing negative, every movement on its
account. Blocks: the good ones are one hash-linked chain from the specification to the head. Committees: whoever
takes part holds its seat and has kept it since the key was made; every token that a verifier lost to a slash
stands in a Misconduct. Decryptions: no update is sketched twice in a task. Views: nothing is left out.
Rounds: each phase is one to which the phase before leads. Ballots: what is shown of one is what was fixed. Places: no organisation has
more than its share, no two joins one number, and who was absent twice in a row stands last.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import Ballot, Block, Phase
from quorumlearn_proto.derived import fixed_ballot
from quorumlearn_proto.protocol import ROUND

from tests.chaincode.contracts.ledger_stub import Peer, identity

BY_LEDGER = ("MISSED_STEP", "FALSE_VOTE")


def rows(peer: Peer, table: str, *attributes: str) -> list[dict[str, Any]]:
    """The records of a table whose keys begin with these attributes, in the keys' order."""
    prefix = "\x00" + "".join(part + "\x00" for part in (table, *attributes))
    keys = sorted(key for key in peer.state if key.startswith(prefix))
    return [json.loads(peer.state[key][0]) for key in keys]


def tokens_are_conserved(peer: Peer) -> None:
    balances = [int(row.get("balance", 0)) for row in rows(peer, "account")]
    escrows = [int(row.get("amount", 0)) for row in rows(peer, "escrow")]
    stakes = [int(row.get("amount", 0)) for row in rows(peer, "stake")]
    deposits = [int(r.get("deposit", 0)) for r in rows(peer, "challenge") if r["status"] == "UNDECIDED"]
    receipts = [int(movement["amount"]) for row in rows(peer, "receipt") for movement in row["movements"]]
    assert all(amount > 0 for amount in receipts)
    assert min([0, *balances, *escrows, *stakes, *deposits]) == 0
    burnt = [int(row.get("slashed", 0)) for row in rows(peer, "stake")]
    burnt += [int(row.get("burnt", 0)) for kind in ("challenge", "escrow") for row in rows(peer, kind)]
    minted = int(rows(peer, "supply")[0].get("minted", 0))
    assert minted == sum(map(sum, (balances, receipts, escrows, stakes, deposits, burnt)))


def every_token_of_the_escrow_is_accounted_for(peer: Peer) -> None:
    for row, task in zip(rows(peer, "escrow"), rows(peer, "task"), strict=True):
        locked = task["spec"]["rounds"] * int(task["spec"]["reward"]["per_round"])
        assert 0 <= int(row.get("carried", 0)) <= int(row.get("amount", 0))
        assert locked == sum(int(row.get(name, 0)) for name in ("amount", "paid", "refunded", "burnt"))
    paid = sum(int(row.get("paid", 0)) for row in rows(peer, "escrow"))
    assert paid == sum(int(row.get("paid", 0)) for row in rows(peer, "stake"))


def the_good_blocks_are_one_chain_to_the_head(peer: Peer) -> None:
    for task, state in zip(rows(peer, "task"), rows(peer, "state"), strict=True):
        blocks = [
            canonical.from_json(Block, json.dumps(row).encode())
            for row in rows(peer, "block", task["spec"]["task_id"])
            if row["status"] == "GOOD_BLOCK"
        ]
        link = task["spec_digest"]
        for block in blocks:
            assert block.core.previous == link
            assert block.digest == canonical.digest(block.core)
            link = block.digest
        assert state["head"]["digest"] == link


def the_movements_of_an_account_add_up_to_its_balance(peer: Peer) -> None:
    for key, entries in peer.history.items():
        if key.startswith("\x00account\x00"):
            last = [json.loads(entry.value) for entry in entries[-2:]]
            before = int(last[0].get("balance", 0)) if len(last) == 2 else 0
            moves = [last[-1]["last"], *last[-1].get("earlier", [])]
            moved = sum(int(move["amount"]) for move in moves)
            assert int(last[-1].get("balance", 0)) == before + moved


def who_takes_part_has_kept_its_seat_since_its_key_was_made(peer: Peer) -> None:
    for state in rows(peer, "state"):
        if state["status"] != "RUNNING":
            continue
        task, number = state["task_id"], state["round"]
        held = {row["seat"]: row.get("verifier") for row in rows(peer, "seat", task)}
        round_ = rows(peer, "round", task, f"{number:05d}")[0]
        taking_part = set(round_.get("seats", []))
        for ceremony in rows(peer, "ceremony", task):
            late = ceremony["round"] > number or round_["phase"] == "KEY"
            if ceremony["round"] >= number and late and ceremony["step"] != "KEY_FAILED":
                assert all(held.get(seat) for seat in ceremony.get("seats", []))
            if ceremony["round"] == number:
                at = (f"{number:05d}", f"{ceremony['attempt']:05d}")
                parts = {row["seat"]: row["verifier"] for row in rows(peer, "contribution", task, *at)}
                assert all(parts[seat] == held[seat] for seat in taking_part)
        seats = [verifier.split("/")[0] for verifier in held.values() if verifier]
        assert len(set(seats)) == len(seats)


def what_verifiers_lost_is_what_misconducts_say(peer: Peer) -> None:
    said: Counter[tuple[str, str]] = Counter()
    for row in rows(peer, "misconduct"):
        said[row["task_id"], row["verifier"]] += int(row.get("slashed", 0))
        assert ("accusers" in row) == (row["fault"] not in BY_LEDGER)
    for stake in rows(peer, "stake"):
        if stake["account_id"].startswith("V"):
            assert said[stake["task_id"], stake["account_id"]] == int(stake.get("slashed", 0))


def no_update_is_sketched_twice(peer: Peer) -> None:
    for task in rows(peer, "task"):
        allowed = rows(peer, "authorisation", task["spec"]["task_id"])
        assert len({(row["round"], row["purpose"]) for row in allowed}) == len(allowed)
        sketched = [
            ref["digest"]
            for row in allowed
            if row["purpose"] == "SKETCH_DECRYPTION"
            for ref in row["updates"]
        ]
        assert len(set(sketched)) == len(sketched)
        for row in allowed:
            if row["purpose"] == "AGGREGATE_DECRYPTION":
                assert len(row["updates"]) == len(row["weights"]) >= 2
                assert {ref["digest"] for ref in row["updates"]} <= set(sketched)


def no_combination_of_the_sums_on_a_base_shows_fewer_than_the_least_aggregate(peer: Peer) -> None:
    """Whatever is computed from opened sums, miners whom all of them weigh alike stay together; read from the rounds themselves."""
    for task in rows(peer, "task"):
        spec, sums = task["spec"], defaultdict(list)
        name, least = spec["task_id"], spec.get("min_aggregate") or spec.get("byzantine", 0) + 2
        opened = [
            one for one in rows(peer, "authorisation", name) if one["purpose"] == "AGGREGATE_DECRYPTION"
        ]
        for authorised in opened:
            round_ = rows(peer, "round", name, f"{authorised['round']:05d}")[0]
            verdicts = round_["selection"]["verdicts"]
            weights = {one["miner"]: one["weight"] for one in verdicts if one.get("weight")}
            assert list(weights.values()) == authorised["weights"]
            assert sum(weights.values()) <= 8 * len(verdicts)
            sums[round_["base"]["digest"]].append(weights)
        for on_base in sums.values():
            miners = {miner for weights in on_base for miner in weights}
            alike = Counter(tuple(weights.get(miner, 0) for weights in on_base) for miner in miners)
            assert min(alike.values()) >= least


def a_view_shows_all_that_there_is(peer: Peer) -> None:
    """Of the round and of its ceremony and the next, found by whatever keys or ranges."""
    for state in rows(peer, "state"):
        task, current = state["task_id"], state.get("round", 0)
        for number in range(1, current + 1):
            view = json.loads(
                peer.evaluate(identity("OwnerMSP/anyone"), "blocks:RoundView", task, str(number))
            )
            _shows(peer, view, task, number)
        view = json.loads(peer.evaluate(identity("OwnerMSP/anyone"), "blocks:View", task))
        undecided = [row for row in rows(peer, "challenge", task) if row["status"] == "UNDECIDED"]
        assert view.get("challenges", []) == undecided
        assert view.get("seats", []) == [row for row in rows(peer, "seat", task) if "verifier" in row]


def a_round_goes_where_the_protocols_table_leads(peer: Peer) -> None:
    for row in rows(peer, "round"):
        phases = [Phase.Value(entry["phase"]) for entry in row["times"]]
        assert phases[0] == Phase.KEY
        assert phases[-1] == Phase.Value(row["phase"])
        assert all(after in ROUND[before].leads_to for before, after in pairwise(phases))  # type: ignore[index]


def a_shown_ballot_is_the_one_that_its_seat_had_fixed(peer: Peer) -> None:
    """And of who has only fixed one nothing is known; once one is shown, nobody fixes another."""
    for row in rows(peer, "ballot"):
        ballot = canonical.from_json(Ballot, json.dumps(row).encode())
        if ballot.reason:
            assert hashlib.sha256(fixed_ballot(ballot)).hexdigest() == ballot.fixed.digest
        else:
            assert not (ballot.model or ballot.total or ballot.nonce)


def no_organisation_has_more_than_its_share_of_a_rounds_places(peer: Peer) -> None:
    for task in rows(peer, "task"):
        spec = task["spec"]
        share = spec.get("max_per_organisation") or (spec["max_miners"] + 1) // 2
        for round_ in rows(peer, "round", spec["task_id"]):
            assert spec["min_miners"] <= len(round_["miners"]) <= spec["max_miners"]
            assert max(Counter(miner.split("/")[0] for miner in round_["miners"]).values()) <= share
            absentees = round_.get("absentees", [])
            assert set(absentees) <= set(round_["miners"])
            assert len(set(absentees)) == len(absentees)


def every_join_has_a_number_of_its_own(peer: Peer) -> None:
    for task in rows(peer, "task"):
        numbers = [row["number"] for row in rows(peer, "miner", task["spec"]["task_id"])]
        given = [row["joined"] for row in rows(peer, "queue", task["spec"]["task_id"])]
        assert len(set(numbers)) == len(numbers)
        assert max([0, *numbers]) <= sum(given)


def who_was_absent_twice_in_a_row_stands_behind_all_who_had_joined(peer: Peer) -> None:
    for task in rows(peer, "task"):
        name = task["spec"]["task_id"]
        since = {row["miner"]: row.get("waits_since", 0) for row in rows(peer, "miner", name)}
        for before, after in pairwise(rows(peer, "round", name)):
            asked = "COMMIT" in [entry["phase"] for entry in after["times"]]
            if asked and after["phase"] == "ENDED":
                twice = set(before.get("absentees", [])) & set(after.get("absentees", []))
                assert all(since[miner] > after["number"] for miner in twice)


def _shows(peer: Peer, view: dict[str, Any], task: str, number: int) -> None:
    at, following = f"{number:05d}", f"{number + 1:05d}"
    turn = f"{view['round'].get('proposer_turn', 0):05d}"
    ceremonies = [row for n in (at, following) for row in rows(peer, "ceremony", task, n)]
    assert view.get("ceremonies", []) == ceremonies
    assert view.get("contributions", []) == [
        row
        for ceremony in ceremonies
        for row in rows(peer, "contribution", task, f"{ceremony['round']:05d}", f"{ceremony['attempt']:05d}")
    ]
    for field in ("submission", "screening", "accusation", "authorisation"):
        assert view.get(f"{field}s", []) == rows(peer, field, task, at)
    assert view.get("ballots", []) == rows(peer, "ballot", task, at, turn)
    opened = rows(peer, "opened", task, view["round"]["base"]["digest"])
    assert ([view["opened"]] if "opened" in view else []) == opened
    misconducts = [row for n in (at, following) for row in rows(peer, "misconduct", task, n)]
    assert view.get("misconducts", []) == misconducts


INVARIANTS = (
    tokens_are_conserved,
    every_token_of_the_escrow_is_accounted_for,
    the_good_blocks_are_one_chain_to_the_head,
    the_movements_of_an_account_add_up_to_its_balance,
    who_takes_part_has_kept_its_seat_since_its_key_was_made,
    what_verifiers_lost_is_what_misconducts_say,
    no_update_is_sketched_twice,
    no_combination_of_the_sums_on_a_base_shows_fewer_than_the_least_aggregate,
    a_view_shows_all_that_there_is,
    a_round_goes_where_the_protocols_table_leads,
    a_shown_ballot_is_the_one_that_its_seat_had_fixed,
    no_organisation_has_more_than_its_share_of_a_rounds_places,
    every_join_has_a_number_of_its_own,
    who_was_absent_twice_in_a_row_stands_behind_all_who_had_joined,
)
