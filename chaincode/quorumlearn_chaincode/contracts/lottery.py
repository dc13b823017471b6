"""What is drawn from a round's beacon (quorumlearn_proto.derived): the order of the proposers.

The lottery draws without replacement, by numbers as quorumlearn_proto.draws has them.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorumlearn_proto.draws import below, words

LABEL = b"quorumlearn/lottery/1"


def draw_order(beacon: str, chances: Sequence[tuple[str, int]]) -> list[str]:
    """All names in a random order; each next one is drawn with its chance (at least 1) among those left."""
    drawn = words(LABEL, beacon)
    left = list(chances)
    order = []
    while left:
        ticket = below(sum(chance for _, chance in left), drawn)
        for position, (name, chance) in enumerate(left):
            if ticket < chance:
                order.append(name)
                del left[position]
                break
            ticket -= chance
    return order
