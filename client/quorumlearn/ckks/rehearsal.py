"""The ceremony's second test of a key: what every miner of the round will send under it, rehearsed in public.

A seat may draw a far larger error e_i than it should. Its public share looks like any other, and a sum still opens; but under
the key that it is part of, every honest update is so noisy that its sketch looks like a cheat's. So the seats sketch and open
an update of zeros before a key is used: encrypted as a miner encrypts, with randomness that follows from the key itself.

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
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations

import numpy as np

from quorumlearn.ckks import residues as r
from quorumlearn.ckks import seal, shamir
from quorumlearn.ckks.ciphertexts import Ciphertexts, stored
from quorumlearn.ckks.decryption import consistent, scaled
from quorumlearn.ckks.errors import BadPartial
from quorumlearn.ckks.keys import read_key
from quorumlearn.ckks.parameters import Parameters
from quorumlearn.ckks.sketches import SketchCiphertext, SketchPlan, read_sketch_shares, sketch, sketch_share

_BATCH = 15


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
        numbers = p.chunks * p.poly_modulus_degree
        std = math.hypot(noise.sketch.std * _norm(seats) / factor, noise.stored_std * math.sqrt(numbers / 2))
        limit = math.sqrt(noise.sketch_square_limit) * std / 2.0**p.shift
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
    q, degree = r.column(p.primes), p.poly_modulus_degree
    c0 = np.empty((p.chunks, len(p.kept_primes), degree), dtype=np.uint64)
    c1 = np.empty((p.chunks, len(p.primes), degree), dtype=np.uint64)
    for at in range(0, p.chunks, _BATCH):
        u = seal.to_ntt(degree, p.coeff_modulus_bits, r.from_integers(_ternary(p, seed, public, at), q))
        c0[at : at + _BATCH] = stored(p, seal.from_ntt(degree, p.coeff_modulus_bits, r.multiply(b, u, q)))
        c1[at : at + _BATCH] = r.multiply(a, u, q)
    encrypted = sketch(p, plan, Ciphertexts(p, c0, c1, p.update_size))
    without_transforms = replace(plan)  # they are large, and not needed again
    return Rehearsal(p, without_transforms, encrypted)


def _ternary(p: Parameters, seed: bytes, public: bytes, at: int) -> r.Integers:
    """The randomness (m, N) of the chunks from `at`: -1, 0, 1, equally likely, from a public seed."""
    count = min(_BATCH, p.chunks - at)
    data = r.stream(
        "rehearsal randomness", seed, public, at.to_bytes(4, "little"), size=8 * count * p.poly_modulus_degree
    )
    words = np.frombuffer(data, dtype="<u8") % np.uint64(3)
    return words.astype(np.int64).reshape(count, -1) - 1


def _norm(seats: tuple[int, ...]) -> float:
    """By how much combining the parts of these seats multiplies their noise."""
    return math.sqrt(sum(float(part) ** 2 for part in shamir.lagrange(seats, 0)))
