"""Which t of the shares to combine: the lowest seats that check out, the same for every honest verifier.

Seats are tried in the order of their sorted t-subsets. With every share good the first subset opens; a bad share only costs the
attempts that contain it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from quorumlearn import ckks

MAX_SUBSETS = 2000


def subsets(seats: Iterable[int], threshold: int) -> Iterator[tuple[int, ...]]:
    """The t-subsets of the seats in lexicographic order, at most MAX_SUBSETS of them."""
    return islice(combinations(sorted(seats), threshold), MAX_SUBSETS)


def first_that_opens(
    parameters: ckks.Parameters, ciphertexts: ckks.Ciphertexts, partials: Mapping[int, bytes]
) -> NDArray[np.int64]:
    """The exact integers; ckks.BadPartial if no t of the partial decryptions fit together.

    Units: grid steps, shape (d,).
    """
    failure: ckks.CkksError | None = None
    for seats in subsets(partials, parameters.threshold):
        try:
            return ckks.open_partials(parameters, ciphertexts, {seat: partials[seat] for seat in seats})
        except (ckks.BadPartial, ckks.MalformedShare) as error:
            failure = error
    raise failure or ckks.BadPartial(
        f"{len(partials)} partial decryptions do not open what {parameters.threshold} are needed for"
    )
