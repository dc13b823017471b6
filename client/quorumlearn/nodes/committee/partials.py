"""From partial decryptions to the aggregate: which count, and whose do not (phases PROPOSE and VALIDATE).

While no more seats are faulty than a round can do without (v - t):
- What all seats agree on is what t honest ones open. A proposer, who has no sketches, opens only that; while they disagree it waits
  until the ledger has put a seat out. Of exactly t partial decryptions nobody can say that they agree.
- A verifier has the sketches: of the sum that it opens the sketch must be the weighted sum of those opened, in whole numbers. Where
  seats disagree, the t that open to such a sum are right, and who is in no such t is at fault (BAD_PARTIAL).
- It cannot be told whose fault it is if none fit, if two different sums fit (they differ by something that all k rows of the sketch map to
  nothing), if all agree on a sum that does not fit (then a sketch was false), or if seats contradict the sketch of a contributor.
  Such an aggregate is `undecided`: no verifier calls its model good.
- A verifier to which a contributor's sketch did not open believes what a proposer does, with one to spare: what all agree on.
- What remains: with exactly t seats left, a shift that the k rows map to nothing is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quorumlearn_proto import block_pb2 as b

from quorumlearn import ckks
from quorumlearn.nodes.committee.attempt import Finding
from quorumlearn.nodes.committee.subsets import subsets
from quorumlearn.nodes.sums import Sums, Values


@dataclass(frozen=True)
class Verified:
    """The exact integers (sums, d) of what is opened, or None with the reason in `undecided`; and the seats at fault."""

    values: Values | None
    false: tuple[Finding, ...] = ()
    undecided: str = ""


def verify(
    threshold: int,
    total: Sums,
    partials: Mapping[int, bytes],
    fits: Callable[[Values], bool],
    *,
    contested: bool,
) -> Verified:
    """`partials` are well-formed; `fits`: whether sums have the sketches that they must have; `contested`: whether seats contradict
    one of those sketches."""
    if len(partials) < threshold:
        return Verified(None, undecided=f"{len(partials)} partial decryptions, {threshold} are needed")
    agreed = _opened(total, partials)
    if agreed is not None and fits(agreed):
        return Verified(agreed)
    if agreed is not None:
        return Verified(None, undecided="the sketch of the opened sum is not the sum of the sketches")
    if len(partials) == threshold:
        return Verified(None, undecided="the partial decryptions do not open, with none to spare")
    if contested:
        return Verified(
            None, undecided="partial decryptions disagree, and so do the sketch shares of a contributor"
        )
    found: Values | None = None
    right: set[int] = set()
    for seats in subsets(partials, threshold):
        if right.issuperset(seats):
            continue
        values = _opened(total, {seat: partials[seat] for seat in seats})
        if values is None or not fits(values):
            continue
        if found is not None and (values != found).any():
            return Verified(
                None, undecided="partial decryptions disagree, and different sums fit the sketches"
            )
        found = values
        right.update(seats)
    if found is None:
        return Verified(None, undecided="partial decryptions disagree, and no sum fits the sketches")
    why = f"seats {sorted(right)} open a sum that fits the sketches, and none with its partial decryption"
    return Verified(found, tuple(Finding(seat, b.BAD_PARTIAL, why) for seat in sorted(set(partials) - right)))


def believed(threshold: int, total: Sums, partials: Mapping[int, bytes], lacking: str) -> Verified:
    """What a verifier knows of the sum that lacks the sketch of `lacking`, who has weight in it."""
    if len(partials) > threshold and (agreed := _opened(total, partials)) is not None:
        return Verified(agreed)
    return Verified(None, undecided=f"{lacking} was selected, and its sketch does not open here")


def _opened(total: Sums, partials: Mapping[int, bytes]) -> Values | None:
    try:
        return total.open(partials)
    except ckks.BadPartial:
        return None
