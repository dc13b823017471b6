"""What contracts and nodes must derive alike from the same records: votes as they are compared, a round's beacon, what may be opened,
by which digest a specification is known, whether tokens are conserved.

An opened sum is a sum of many. Weights are public, so a sum of few updates with unequal weights is a knapsack: whole numbers of a
known range can be told apart again. So of each weight above zero there are at least as many miners as a sum must hold, and what
any sum, or any combination of sums, shows of one of them it shows of all of them together. Updates of one miner on one base are much
alike, also in two rounds, so this is asked of all the sums that were opened on a base together: miners whom all of them weigh alike are
a group, and a group with weight in any of them has as many members.

The beacon is SHA-256 over `seat (4 bytes, big endian) || secret (32 bytes)` of the seats that revealed, by seat. Each seat
committed to SHA-256 of its secret together with its key, before a miner committed to anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from . import canonical
from .block_pb2 import Ballot, Blame, BlameVote, KeyContribution, OpenedBase, Reason, Selection, Verdict
from .reward_pb2 import Totals
from .task_pb2 import TaskSpec

_BY_SKETCH = (
    Reason.CONTRIBUTES,
    Reason.DUPLICATE,
    Reason.OUTLIER,
    Reason.NOT_SELECTED,
    Reason.NOTHING_NEW,
    Reason.REPLICA,
)
WEIGHT_A_MINER = 8
"""What the whole weights of a sum may add up to, for each miner of the round, where all weigh alike by their data."""


def bare_selection(selection: Selection) -> Selection:
    """The selection without its details, which are for people: votes are compared by it."""
    return Selection(
        verdicts=[
            Verdict(
                miner=v.miner,
                weight=v.weight,
                reason=v.reason,
                share=v.share,
                proof=v.proof if v.HasField("proof") else None,
            )
            for v in selection.verdicts
        ]
    )


def judged_by_sketch(selection: Selection) -> list[str]:
    """The miners of whom a selection says what only an opened sketch tells, in its order: its basis is of their sketches.

    OUT_OF_RANGE is left out, since it is also said of a sketch that does not open.
    """
    return [one.miner for one in selection.verdicts if one.reason in _BY_SKETCH]


def fixed_ballot(ballot: Ballot) -> bytes:
    """A ballot as the artifact that its seat fixes by digest, and shows once all have: all but its verifier, and what was fixed."""
    kept = Ballot()
    kept.CopyFrom(ballot)
    kept.ClearField("fixed")
    kept.ClearField("verifier")
    return canonical.to_json(kept)


def bare_blame(vote: BlameVote) -> BlameVote:
    """The vote by seat and without its details, which are for people: votes are compared by it."""
    ordered = sorted(vote.blames, key=lambda blame: blame.seat)
    return BlameVote(blames=[Blame(seat=blame.seat, fault=blame.fault) for blame in ordered])


def attempt_failed(parts: Iterable[KeyContribution]) -> bool:
    """Whether these parts of an attempt show why it gives no key: a complaint, or confirmations of two keys."""
    given = list(parts)
    confirmed = {
        (part.confirmed_key.digest, part.confirmed_key.size)
        for part in given
        if part.HasField("confirmed_key")
    }
    return len(confirmed) > 1 or any(part.complaint for part in given)


def spec_digest(spec: TaskSpec) -> str:
    """What a task's state, its block 0 and its nodes' journals know its specification by: canonical.digest, remembered."""
    return _spec_digest(spec.SerializeToString(deterministic=True))


def least_aggregate(spec: TaskSpec) -> int:
    """How many miners a sum must hold to be opened, and as many of each weight: of f + 2 what f take out still mixes two."""
    return spec.min_aggregate or spec.byzantine + 2


def top_class(spec: TaskSpec) -> int:
    """How often an update can count in a sum, by its miner's data (quorumlearn_proto.classes); 1 where all weigh alike."""
    return len(spec.sample_classes) + 1


def most_weight(spec: TaskSpec, miners: int) -> int:
    """What the weights of a sum may add up to in a round of so many miners."""
    return min(spec.ckks.max_weight_sum, WEIGHT_A_MINER * top_class(spec) * miners)


def places_of_organisation(spec: TaskSpec) -> int:
    """How many miners of one organisation a round takes: half of its places, rounded up, unless the task says otherwise."""
    return spec.max_per_organisation or (spec.max_miners + 1) // 2


def weights_of(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """The weights above zero, by miner."""
    return {verdict.miner: verdict.weight for verdict in verdicts if verdict.weight}


def miner_groups(opened: OpenedBase) -> list[list[str]]:
    """Its groups, each the names of its miners."""
    return [list(group.miners) for group in opened.groups]


def weighed_alike(groups: Iterable[Sequence[str]], weights: Mapping[str, int]) -> list[list[str]]:
    """The groups of miners whom all sums on a base weigh alike, once one more sum is opened, of these weights by miner.

    Both are sorted; a miner that no sum has is in no group. The same sum once more changes nothing.
    """
    group_of = {miner: number for number, group in enumerate(groups, 1) for miner in group}
    split: dict[tuple[int, int], list[str]] = {}
    for miner in sorted(group_of.keys() | weights.keys()):
        split.setdefault((group_of.get(miner, 0), weights.get(miner, 0)), []).append(miner)
    split.pop((0, 0), None)
    return sorted(split.values())


def sum_fault(
    spec: TaskSpec, miners: int, groups: Iterable[Sequence[str]], weights: Mapping[str, int]
) -> str:
    """Why a sum of these weights by miner may not be opened in a round of so many miners, after others on its base; "" if it may.

    `groups` are `weighed_alike` by the sums opened on that base before, also with this one already among them.
    """
    total, most = sum(weights.values()), most_weight(spec, miners)
    if total > most:
        return f"its weights add up to {total}: at most {most}"
    least = least_aggregate(spec)
    few = min(weighed_alike(groups, weights), key=len, default=[])
    if few and len(few) < least:
        return (
            f"only {len(few)} miners are weighed like {few[0]} by all sums on its base: at least {least}, "
            "or their updates could be told apart"
        )
    return ""


def conserved(totals: Totals) -> bool:
    """Whether every token that was minted is somewhere, or burnt."""
    return bool(totals.minted == totals.balances + totals.escrows + totals.stakes + totals.burnt)


def beacon_commitment(secret: bytes) -> str:
    """What a seat commits to with its key, 64 hex digits, for the 32 secret bytes that it reveals in BEACON."""
    return hashlib.sha256(secret).hexdigest()


def beacon_of(secrets: Mapping[int, str]) -> str:
    """The beacon, 64 hex digits, from each seat's revealed secret in hex."""
    parts = hashlib.sha256()
    for seat in sorted(secrets):
        parts.update(seat.to_bytes(4, "big") + bytes.fromhex(secrets[seat]))
    return parts.hexdigest()


@lru_cache(maxsize=256)
def _spec_digest(spec: bytes) -> str:
    return canonical.digest(TaskSpec.FromString(spec))
