"""Who is paid what for a round: whole tokens, rounded down; what is left over stays in escrow.

What is opened is paid. From the first partial decryption of a round's aggregate that is posted, its sum may be known: t - 1 seats may
keep theirs to themselves, and one more opens it. From then on, however the round ends:
- the miners with weight are owed their part, and every seat that is left in the round its own. Only t ballots SCORE_FELL, whose scores the
  gate confirms (quorumlearn_proto.gate), withhold the miners' part;
- what is withheld, and the proposer's part where no block came of it, is carried over to the contributors of the next accepted
  round, or burnt if there is none. The owner has the model, so nothing goes back to it.

Where the task says so, an accepted round's miners are paid by what groups of them contribute (quorumlearn_proto.contribution).
"""

from __future__ import annotations

from collections.abc import Sequence

from quorumlearn_proto.block_pb2 import Round, Verdict
from quorumlearn_proto.classes import shares_of
from quorumlearn_proto.contribution import by_contribution
from quorumlearn_proto.task_pb2 import RewardSplit

WHOLE_BP = 10_000


def miners_part(split: RewardSplit) -> int:
    return split.per_round * split.miners_bp // WHOLE_BP


def shared_out(amount: int, round_: Round, parts: Sequence[int]) -> list[tuple[str, int]]:
    """An amount over the round's miners: by share or, where there are any, by these parts of its groups."""
    return by_contribution(amount, round_, parts) if parts else by_share(amount, round_.selection.verdicts)


def by_share(amount: int, verdicts: Sequence[Verdict]) -> list[tuple[str, int]]:
    """An amount split by what the rule alone gives each: its weight, or its share where the task weighs by data."""
    shares = shares_of(verdicts)
    total = sum(shares.values())
    return [(miner, amount * share // total) for miner, share in shares.items()]


def verifier_share(split: RewardSplit, seats: int) -> int:
    """What one seat gets: the verifiers' part, split evenly over all of the committee's seats."""
    return split.per_round * split.verifiers_bp // WHOLE_BP // seats


def proposer_share(split: RewardSplit) -> int:
    return split.per_round * split.proposer_bp // WHOLE_BP
