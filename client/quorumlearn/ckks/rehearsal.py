"""The ceremony's second test of a key: what every miner of the round will send under it, rehearsed in public.

A seat may draw a far larger error e_i than it should. Its public share looks like any other, and a sum still opens; but under
the key that it is part of, every honest update is so noisy that its sketch looks like a cheat's. So the seats sketch and open
an update of zeros before a key is used, with randomness that follows from the key itself.

The sketch of an update of zeros, with randomness u_j in chunk j and the plan's signs r_mj, is (b U_m, a U_m) with
U_m = sum_j r_mj u_j. Here U_m itself is drawn, as large as that sum is: so is the noise e_i U_m, at a cost that does not grow
with the model.

Rules:
- nobody can choose an error by the rehearsal: its randomness is known only once all public shares are, which were committed to;
- the opening is flooded like that of any sketch, and shows as much of the key as one;
- it is opened by the t seats whose combination adds least noise: with a seat to spare an error that passes here is well inside
  what an honest update may be off the grid with any t.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

from quorumlearn.ckks import residues as r
from quorumlearn.ckks import seal, shamir
from quorumlearn.ckks.budget import SKETCH_POLYNOMIALS
from quorumlearn.ckks.decryption import consistent, scaled
from quorumlearn.ckks.errors import BadPartial
from quorumlearn.ckks.keys import read_key
from quorumlearn.ckks.parameters import Parameters
from quorumlearn.ckks.sketches import SketchCiphertext, SketchPlan, read_sketch_shares, sketch_share


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """The sketch of an update of zeros under one key, still encrypted; the same for everybody."""

    parameters: Parameters
    plan: SketchPlan
    ciphertext: SketchCiphertext

    def share(self, share: bytes) -> bytes:
        """A seat's part of its opening, from the seat's share of the key; the same bytes each time."""
        return sketch_share(self.parameters, self.plan, share, self.ciphertext)

    def check(self, shares: Mapping[int, bytes]) -> None:
        """Raises BadPartial if the seats' parts disagree, or open to more noise than honest keys give; MalformedShare,
        naming the seat; ParameterError for fewer than t."""
        p, noise = self.parameters, self.parameters.budget
        parts = read_sketch_shares(p, self.ciphertext, shares)
        if not consistent(p, parts, noise.sketch.std):
            raise BadPartial(f"the seats {sorted(shares)} open the rehearsal to different numbers")
        seats = min(combinations(sorted(parts), p.threshold), key=_norm)
        steps = scaled(p, self.ciphertext.public, {seat: parts[seat] for seat in seats})
        factor = shamir.clearing(p.seats, p.threshold).share_factor
        limit = math.sqrt(noise.sketch_square_limit) * noise.sketch.std * _norm(seats) / factor / 2.0**p.shift
        found = math.sqrt(float((steps**2).mean()))
        if found > limit:
            raise BadPartial(
                f"the rehearsal opens with {found:.3g} steps (rms) of noise, honest keys give at most {limit:.3g}"
            )


@lru_cache(maxsize=2)
def rehearsal(p: Parameters, key: bytes, seed: bytes) -> Rehearsal:
    """The rehearsal under this collective key. Raises MalformedKey."""
    public = hashlib.sha256(key).digest()
    plan = SketchPlan.from_beacon(p, r.stream("rehearsal plan", seed, public, size=32))
    b, a = read_key(p, key)
    q, degree, bits = r.column(p.primes), p.poly_modulus_degree, p.coeff_modulus_bits
    combined = seal.to_ntt(degree, bits, r.from_integers(_combined_randomness(p, seed, public), q))
    heads = seal.from_ntt(degree, bits, r.multiply(b, combined, q))
    return Rehearsal(p, plan, SketchCiphertext(plan.pick(heads), r.multiply(a, combined, q)))


def _combined_randomness(p: Parameters, seed: bytes, public: bytes) -> r.Integers:
    """Polynomials (M, N) of the size that sum_j r_mj u_j has, from a public seed: uniform integers up to its root mean square
    times the root of 3, which is the root of the number of values."""
    degree, most = p.poly_modulus_degree, math.isqrt(p.chunks * p.poly_modulus_degree)
    data = r.stream("rehearsal randomness", seed, public, size=8 * SKETCH_POLYNOMIALS * degree)
    words = np.frombuffer(data, dtype="<u8") % np.uint64(2 * most + 1)
    return words.astype(np.int64).reshape(SKETCH_POLYNOMIALS, degree) - most


def _norm(seats: tuple[int, ...]) -> float:
    """By how much combining the parts of these seats multiplies their noise."""
    return math.sqrt(sum(float(part) ** 2 for part in shamir.lagrange(seats, 0)))
