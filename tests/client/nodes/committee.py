"""A committee of any size with its keys, miners' updates under them, and what honest and other seats post.

The ring is too small to protect anything unless asked for: fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from quorumlearn import ckks
from quorumlearn.ckks import residues as r
from quorumlearn.ckks import shamir, sketches
from quorumlearn.ckks.container import Kind, write
from quorumlearn.nodes.committee.openings import Opened, Shares, open_sketches
from quorumlearn.nodes.screening import Sketched
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto.artifact_pb2 import Coverage

SEED = b"common"
SIZE = 700
Steps = NDArray[np.int64] | int


class Committee:
    """`seats` seats of which `threshold` open; `sent` are the submissions as (miner, update, claim)."""

    def __init__(
        self, seats: int, threshold: int, miners: int, sketch_size: int, security: int, size: int
    ) -> None:
        self.parameters = ckks.Parameters.choose(
            size,
            seats=seats,
            threshold=threshold,
            max_weight_sum=8,
            sketch_size=sketch_size,
            minimum_security_bits=security,
        )
        self.miners = tuple(f"M/{letter}" for letter in "abcdefgh"[:miners])
        self.key, self.shares = self._ceremony()
        self.foreign = self._ceremony()[1]
        self.plan = ckks.SketchPlan.from_beacon(self.parameters, b"beacon")
        random = np.random.default_rng(5)
        self.salts = {miner: random.bytes(32) for miner in self.miners}
        self.values = {miner: random.integers(-900, 901, size) for miner in self.miners}
        self.sketched = [self.sketched_one(miner, self.update(self.values[miner])) for miner in self.miners]

    def _ceremony(self) -> tuple[bytes, dict[int, bytes]]:
        p = self.parameters
        seats = range(1, p.seats + 1)
        drawn = {seat: ckks.new_key_share(p, SEED) for seat in seats}
        dealt = [ckks.deal(p, one.secret, seats) for one in drawn.values()]
        key = ckks.collective_key(p, SEED, {seat: one.public for seat, one in drawn.items()})
        return key, {seat: ckks.sum_shares(p, [part[seat] for part in dealt]) for seat in seats}

    def update(self, values: NDArray[np.int64]) -> bytes:
        return ckks.encrypt(self.parameters, self.key, values)

    def sketched_one(self, miner: str, update: bytes) -> Sketched:
        ciphertext = ckks.sketch(self.parameters, self.plan, ckks.parse(self.parameters, update))
        return Sketched(Coverage(miner=miner, reason=b.CONTRIBUTES), ciphertext)

    def claims(self, **false: str) -> dict[str, str]:
        """Everybody's true claim; `a="00"` replaces that of M/a."""
        return {
            miner: ckks.claim(self.parameters, self.plan, self.values[miner], miner, self.salts[miner]).hex()
            for miner in self.miners
        } | {f"M/{letter}": claim for letter, claim in false.items()}

    def posted(self, seat: int, sketched: list[Sketched], *, lies: bool = False) -> Shares:
        """What a seat says that covers everything; a liar's shares are of another key."""
        share = (self.foreign if lies else self.shares)[seat]
        return Shares(
            {one.coverage.miner: b.CONTRIBUTES for one in sketched},
            {
                one.coverage.miner: ckks.sketch_share(self.parameters, self.plan, share, one.ciphertext)
                for one in sketched
                if one.ciphertext is not None
            },
            {one.coverage.miner: self.salts[one.coverage.miner] for one in sketched},
        )

    def shifted(self, posted: Shares, steps: Mapping[str, Steps], scale: Fraction = Fraction(1)) -> Shares:
        """The same with these miners' shares moved, as `moved` says."""
        sketched = {one.coverage.miner: one.ciphertext for one in self.sketched}
        out = dict(posted.shares)
        for miner, by in steps.items():
            ciphertext = sketched[miner]
            assert ciphertext is not None
            share = sketches.read_sketch_share(self.parameters, ciphertext, out[miner])
            share = moved(self.parameters, share, by, scale)
            out[miner] = write(self.parameters, Kind.SKETCH_SHARE, share[None], binding=ciphertext.digest)
        return replace(posted, shares=out)

    def opened(
        self,
        shares: Mapping[int, Shares],
        claims: dict[str, str] | None = None,
        byzantine: int = 0,
        sketched: list[Sketched] | None = None,
    ) -> Opened:
        sketched = self.sketched if sketched is None else sketched
        return open_sketches(self.parameters, self.plan, sketched, claims or self.claims(), shares, byzantine)

    def plain(self, miner: str) -> NDArray[np.float64]:
        return ckks.plain_sketch(self.parameters, self.plan, self.values[miner])


def moved(p: ckks.Parameters, share: r.Residues, steps: Steps, scale: Fraction = Fraction(1)) -> r.Residues:
    """A share's residues (..., primes, n) plus whole steps times `scale`.

    What t seats open with it is off by `scale` times this seat's Lagrange coefficient times the steps: where that is whole, in range
    and on the grid like anything honest.
    """
    unit = shamir.clearing(p.seats, p.threshold).share_factor << p.shift
    factor = [[unit * scale.numerator * pow(scale.denominator, -1, q) % q] for q in p.primes]
    q = r.column(p.primes)
    by = np.broadcast_to(np.asarray(steps, dtype=np.int64), (*share.shape[:-2], share.shape[-1]))
    added = r.multiply(r.from_integers(by, q), np.array(factor, dtype=np.uint64), q)
    return r.add(share, added, q)


@lru_cache(maxsize=8)
def committee_of(
    seats: int, threshold: int, miners: int, sketch_size: int = 64, security: int = 0, size: int = SIZE
) -> Committee:
    return Committee(seats, threshold, miners, sketch_size, security, size)
