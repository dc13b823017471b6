"""Which t of the shares to combine: t-subsets of the seats, one after the other.

With every share good the first subset opens. A few bad shares must not hide among many subsets, so the seats take turns at coming
first: whichever seats are bad, there are early subsets without most of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, islice

MAX_SUBSETS = 2000


def subsets(seats: Iterable[int], threshold: int) -> Iterator[tuple[int, ...]]:
    """Distinct t-subsets of the seats, each ascending: all of them, or MAX_SUBSETS if there are more."""
    ordered = sorted(seats)
    turns: list[Iterator[tuple[int, ...]]] = [
        combinations(ordered[at:] + ordered[:at], threshold) for at in range(len(ordered))
    ]
    return islice(_distinct(turns), MAX_SUBSETS)


def _distinct(turns: list[Iterator[tuple[int, ...]]]) -> Iterator[tuple[int, ...]]:
    """One of each turn after the other, until all have ended."""
    seen: set[tuple[int, ...]] = set()
    while turns:
        for turn in list(turns):
            found = next(turn, None)
            if found is None:
                turns.remove(turn)
            elif (subset := tuple(sorted(found))) not in seen:
                seen.add(subset)
                yield subset
