"""What the market promises to who stakes and works in it, read from the peer's raw state after any transaction.

Opened is paid: a round of whose aggregate a partial decryption was posted has paid its miners by weight, and every seat left in it that
was sure of its ballot, however it ended. Only t ballots that show a fallen score withhold the miners' part, and the owner does not have
it back either.
No slash without proof: of a miner's stake at most a slash is gone for each update that was malformed, each training whose replay gives
something else, each second withheld reveal in a row, and each candidate that t seats found wrong; of a verifier's for what t seats said
under its name, for a vote against t on what public records give, and for each missed step after one in the round before, while t others
acted.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, TypeVar

from google.protobuf.message import Message
from quorumlearn_proto import canonical
from quorumlearn_proto.block_pb2 import (
    Ballot,
    BallotReason,
    Fault,
    Misconduct,
    Outcome,
    Phase,
    Reason,
    Round,
    Screening,
)
from quorumlearn_proto.gate import score_fell
from quorumlearn_proto.reward_pb2 import Stake
from quorumlearn_proto.task_pb2 import Task

from tests.chaincode.contracts.ledger_stub import Peer
from tests.chaincode.contracts.market_invariants import rows

M = TypeVar("M", bound=Message)
Payouts = Counter[tuple[str, int, str]]


def what_is_opened_is_paid(peer: Peer) -> None:
    paid = _payouts(peer)
    for task, escrow in zip(_records(peer, Task, "task"), rows(peer, "escrow"), strict=True):
        split, kept = task.spec.reward, 0
        for round_ in _opened(peer, task):
            _miners_are_paid(peer, task, round_, paid)
            _seats_are_paid(peer, task, round_, paid)
            kept += split.per_round * (split.miners_bp + split.proposer_bp) // 10_000
            kept -= len(round_.miners) + 1  # shares are rounded down
        assert int(escrow.get("refunded", 0)) <= task.spec.rounds * split.per_round - kept


def _miners_are_paid(peer: Peer, task: Task, round_: Round, paid: Payouts) -> None:
    if round_.outcome == Outcome.REJECTED:
        fallen = [one for one in _ballots(peer, round_) if one.reason == BallotReason.SCORE_FELL]
        assert all(score_fell(one, task.spec) for one in fallen)
        assert len(fallen) >= task.spec.committee.threshold
        return
    part = task.spec.reward.per_round * task.spec.reward.miners_bp // 10_000
    weights = {one.miner: one.share or one.weight for one in round_.selection.verdicts}
    if round_.groups and round_.outcome == Outcome.ACCEPTED:
        together = sum(paid[round_.task_id, round_.number, miner] for miner in weights)
        assert together > part - len(weights)
        return
    for miner, weight in weights.items():
        assert paid[round_.task_id, round_.number, miner] >= part * weight // sum(weights.values())


def _seats_are_paid(peer: Peer, task: Task, round_: Round, paid: Payouts) -> None:
    reward, seats = task.spec.reward, len(task.spec.committee.msp_ids)
    share = reward.per_round * reward.verifiers_bp // 10_000 // seats
    unsure = {one.seat for one in _ballots(peer, round_) if one.reason == BallotReason.UNAVAILABLE}
    for one in _records(peer, Screening, "screening", *_at(round_)):
        if one.seat in round_.seats and one.seat not in unsure:
            assert paid[round_.task_id, round_.number, one.verifier] == share


def no_stake_is_lost_without_proof(peer: Peer) -> None:
    for task in _records(peer, Task, "task"):
        rounds = _records(peer, Round, "round", task.spec.task_id)
        proofs = Counter(one for round_ in rounds for one in _proofs_against_miners(peer, task, round_))
        for stake in _records(peer, Stake, "stake", task.spec.task_id):
            if not stake.account_id.startswith("V"):
                assert stake.slashed <= proofs[stake.account_id] * task.spec.stakes.miner_slash
        _verifiers_were_proven_wrong(peer, task)


def _proofs_against_miners(peer: Peer, task: Task, round_: Round) -> list[str]:
    """The miners of whom the round's records prove something, once for each proof."""
    proven = [
        one.miner
        for one in round_.selection.verdicts
        if one.reason == Reason.MALFORMED or (one.reason == Reason.WRONG_WORK and one.proof.item)
    ]
    if round_.selection.verdicts or {Phase.TRACE, Phase.SCREEN} & {entry.phase for entry in round_.times}:
        before = _withheld(peer, round_.task_id, round_.number - 1)
        proven += _withheld(peer, round_.task_id, round_.number) & before
    for turn, proposer in enumerate(round_.proposers):
        cast = _records(peer, Ballot, "ballot", *_at(round_), f"{turn:05d}")
        wrong = sum(one.reason == BallotReason.WRONG_MODEL for one in cast)
        proven += [proposer] if wrong >= task.spec.committee.threshold else []
    return proven


def _withheld(peer: Peer, task: str, number: int) -> set[str]:
    """Who committed and did not reveal, of a round whose time for it was over."""
    at = f"{number:05d}"
    for round_ in rows(peer, "round", task, at):
        judged = {"TRACE", "SCREEN"} & {one["phase"] for one in round_["times"]}
        if judged or round_.get("reason") == "TOO_FEW_REVEALS":
            return {row["miner"] for row in rows(peer, "submission", task, at) if "manifest" not in row}
    return set()


def _verifiers_were_proven_wrong(peer: Peer, task: Task) -> None:
    found = _records(peer, Misconduct, "misconduct", task.spec.task_id)
    missed = {(one.round, one.verifier) for one in found if one.fault == Fault.MISSED_STEP}
    for one in found:
        if not one.slashed:
            continue
        if one.fault == Fault.MISSED_STEP:
            assert (one.round - 1, one.verifier) in missed
            absent = sum((o.round, o.attempt, o.step) == (one.round, one.attempt, one.step) for o in found)
            assert len(task.spec.committee.msp_ids) - absent >= task.spec.committee.threshold
        elif one.fault == Fault.FALSE_VOTE:
            assert one.step in ("OPEN", "VALIDATE")
        else:
            assert len(one.accusers) >= task.spec.committee.threshold


def _opened(peer: Peer, task: Task) -> list[Round]:
    """The ended rounds of a task of which a partial decryption was posted."""
    return [
        round_
        for round_ in _records(peer, Round, "round", task.spec.task_id)
        if round_.phase == Phase.ENDED
        and any("partial" in row for row in rows(peer, "screening", *_at(round_)))
    ]


def _ballots(peer: Peer, round_: Round) -> list[Ballot]:
    """On its last candidate."""
    return _records(peer, Ballot, "ballot", *_at(round_), f"{round_.proposer_turn:05d}")


def _payouts(peer: Peer) -> Payouts:
    """What accounts were paid, by task, round and account."""
    paid: Payouts = Counter()
    for key, entries in peer.history.items():
        if key.startswith("\x00receipt\x00"):
            receipt: dict[str, Any] = json.loads(entries[0].value)
            for move in receipt["movements"]:
                if move["kind"] == "PAYOUT":
                    paid[move["task_id"], move["round"], receipt["account_id"]] += int(move["amount"])
    return paid


def _records(peer: Peer, kind: type[M], table: str, *attributes: str) -> list[M]:
    return [canonical.from_json(kind, json.dumps(row).encode()) for row in rows(peer, table, *attributes)]


def _at(round_: Round) -> tuple[str, str]:
    return round_.task_id, f"{round_.number:05d}"


PROMISES = (what_is_opened_is_paid, no_stake_is_lost_without_proof)
