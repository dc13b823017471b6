"""What each round of a task has to pay, computed again (for nodes.audit.slashes): whole tokens, rounded down, as docs/protocol.md says.

- A round whose aggregate may be open (a partial decryption was posted) pays its miners by share, unless it was rejected, and its seats.
- A rejected round pays its seats. An accepted one pays its proposer too, and shares among its miners what earlier ones left.
- What nobody earns of an opened round is carried over to later contributors: the proposer's part where there is no block, and the
  miners' part of a rejected one.
- Where pay is by contribution, an accepted round's groups share by the lower medians of what its ballots say that they contribute, none
  below 0, and miners of a group by share. By share alone where 2 (t - 1) ballots or fewer tell it, or no group has a part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.classes import shares_of
from quorumlearn_proto.reward_pb2 import MovementKind

from quorumlearn.nodes.audit.records import Record

WHOLE_BP = 10_000
Paid = Counter[tuple[int, str]]
"""Tokens by round and account."""


def paid(record: Record) -> Paid:
    """What accounts were paid."""
    found: Paid = Counter()
    for who, moves in record.money.movements.items():
        for move in moves:
            if move.kind == MovementKind.PAYOUT:
                found[move.round, who] += move.amount
    return found


def due(record: Record) -> tuple[Paid, int]:
    """What the rounds that have ended pay, and what is left of them for later contributors."""
    reward, found, carried = record.spec.reward, Paid(), 0
    proposers = reward.per_round * reward.proposer_bp // WHOLE_BP
    miners = reward.per_round * reward.miners_bp // WHOLE_BP
    share = reward.per_round * reward.verifiers_bp // WHOLE_BP // max(1, len(record.spec.committee.msp_ids))
    for view in record.views:
        now = view.round
        opened = any(one.HasField("partial") for one in view.screenings)
        if now.phase != b.ENDED or not (opened or now.outcome == b.REJECTED):
            continue
        for who in _working(record, view):
            found[now.number, who] += share
        given = shares_of(now.selection.verdicts)
        total = sum(given.values())
        if now.outcome == b.ACCEPTED:
            for who, tokens in _accepted(record, view, miners, given).items():
                found[now.number, who] += tokens
        elif now.outcome != b.REJECTED:
            for who, part in given.items():
                found[now.number, who] += miners * part // total
        if now.outcome == b.ACCEPTED:
            found[now.number, now.candidate.proposer] += proposers
            shares = _accepted(record, view, carried, given)
            found.update({(now.number, who): tokens for who, tokens in shares.items()})
            carried -= sum(shares.values())
        elif opened:
            carried += proposers + (miners if now.outcome == b.REJECTED else 0)
    return +found, carried


def told(view: b.TaskView) -> list[list[int]]:
    """What each ballot on the round's candidate that tells contributions says of each group."""
    return [
        list(one.contributions)
        for one in view.ballots
        if one.contributions and one.reason in (b.GOOD, b.SCORE_FELL) and one.seat in view.round.seats
    ]


def parts(record: Record, view: b.TaskView) -> list[int]:
    """In what proportion the groups of an accepted round share; empty where it pays by share alone."""
    said = told(view)
    if len(said) < 2 * record.spec.committee.threshold - 1:
        return []
    ranked = [sorted(one[group] for one in said) for group in range(len(said[0]))]
    medians = [max(0, one[(len(one) - 1) // 2]) for one in ranked]
    return medians if sum(medians) else []


def _accepted(record: Record, view: b.TaskView, amount: int, given: Mapping[str, int]) -> dict[str, int]:
    """Who of an accepted round has how much of an amount; `given` are the shares above zero."""
    now, of_groups = view.round, parts(record, view)
    if not of_groups:
        total = sum(given.values())
        return {who: amount * part // total for who, part in given.items()}
    group_of = dict(zip(now.miners, now.groups, strict=True))
    whole: Counter[int] = Counter()
    for who, part in given.items():
        whole[group_of[who]] += part
    return {
        who: amount * of_groups[group_of[who] - 1] * part // (sum(of_groups) * whole[group_of[who]])
        for who, part in given.items()
    }


def _working(record: Record, view: b.TaskView) -> Iterator[str]:
    """The verifiers of the seats that the round left in, and that were sure of a candidate that was decided on."""
    now = view.round
    attempt = next((one.attempt for one in view.ceremonies if one.round == now.number), 0)
    parts = record.attempts.get((now.number, attempt), {})
    decided = now.outcome == b.ACCEPTED or now.reason == "VOTED_DOWN"
    for seat in now.seats:
        unsure = any(one.seat == seat and one.reason == b.UNAVAILABLE for one in view.ballots)
        if not (decided and unsure):
            yield parts[seat].verifier if seat in parts else f"seat {seat}"
