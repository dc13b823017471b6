"""Random sketches of encrypted updates: k numbers that keep distances, and nothing else opened.

From the round's beacon follow, for each of M = 4 combinations m and each chunk j, a polynomial r_mj with
coefficients -1, 0, 1 (a quarter, a half, a quarter), and k coefficient positions, k/M of each combination.
The sketch is those coefficients of Y_m = sum_j r_mj C_j: each is a random combination of *all* values of the
update, its square on average half the update's squared norm (a Johnson-Lindenstrauss map with negacyclic
rows).

Rules:
- what is sketched is what the miner submitted: Y is computed from the ciphertexts by everybody alike;
- the verifiers open k coefficients, flooded like any opening, never a whole polynomial;
- an honest sketch is whole numbers of steps but for small noise, and in a known range. One value out of
  range or off the grid shows in each coefficient with probability at least 1/2 (0 and +-1 cannot both hide
  it, whatever it is modulo Q), so an update that passes cannot make an aggregate wrap or round differently
  for two verifiers;
- M > 1 keeps an update whose spectrum is one line (which a single combination could map to almost nothing)
  in view.

Source: Freksen and Larsen 2020 (On Using Toeplitz and Circulant Matrices for Johnson-Lindenstrauss
Transforms); Achlioptas 2003 for coefficients -1, 0, 1.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from quorumlearn.ckks import residues as r
from quorumlearn.ckks import seal, shamir
from quorumlearn.ckks.budget import SKETCH_POLYNOMIALS
from quorumlearn.ckks.ciphertexts import Ciphertexts, lifted
from quorumlearn.ckks.container import Kind, read, write
from quorumlearn.ckks.decryption import check_enough, consistent, flooding_key, flooding_terms, scaled
from quorumlearn.ckks.errors import MalformedShare, OutOfRange, ParameterError, QuantiseError
from quorumlearn.ckks.keys import read_share
from quorumlearn.ckks.packing import check_values, lay_out
from quorumlearn.ckks.parameters import Parameters

_BATCH = 15
_LIMB = 1 << 16
KEPT_BYTES = 1 << 26
"""So much a process keeps of a round's plan, so that its miners do not each transform the same signs: that of 2 million values at most."""


@dataclass(frozen=True, eq=False)
class SketchPlan:
    """What one beacon fixes: each combination's positions, ascending, and the signs."""

    parameters: Parameters
    beacon: bytes
    digest: bytes
    positions: tuple[NDArray[np.int64], ...] = field(repr=False)

    @staticmethod
    def from_beacon(p: Parameters, beacon: bytes) -> SketchPlan:
        """The plan of a beacon, by SHAKE-256; the same for everybody."""
        digest = r.stream("sketch plan", p.digest, beacon, size=32)
        degree, many = p.poly_modulus_degree, SKETCH_POLYNOMIALS
        positions = []
        for m in range(many):
            size = p.sketch_size * (m + 1) // many - p.sketch_size * m // many
            keys = np.frombuffer(
                r.stream("sketch positions", digest, bytes([m]), size=8 * degree), dtype="<u8"
            )
            positions.append(np.sort(np.argsort(keys, kind="stable")[:size]))
        return SketchPlan(p, beacon, digest, tuple(positions))

    @cached_property
    def signs(self) -> NDArray[np.int8]:
        """Coefficients -1, 0, 1 of r_mj, (M, chunks, N)."""
        p, many = self.parameters, SKETCH_POLYNOMIALS
        data = r.stream("sketch signs", self.digest, size=many * p.chunks * p.poly_modulus_degree // 4)
        bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little").view(np.int8)
        signs = (bits[::2] + bits[1::2]).reshape(many, p.chunks, p.poly_modulus_degree)
        signs -= np.int8(1)
        signs.setflags(write=False)
        return signs

    @cached_property
    def transformed(self) -> r.Integers:
        """The signs in NTT form, (M, chunks, primes, N), as `residues.dot` wants them; made once a round."""
        p = self.parameters
        q = r.column(p.primes)
        out = np.empty((*self.signs.shape[:2], len(p.primes), p.poly_modulus_degree), dtype=np.int64)
        for m, signs in enumerate(self.signs):
            for at in range(0, p.chunks, _BATCH):
                polynomials = r.from_integers(signs[at : at + _BATCH].astype(np.int64), q)
                polynomials = seal.to_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, polynomials)
                out[m, at : at + _BATCH] = r.halved(polynomials, q)
        return out

    def spectrum(self, m: int) -> NDArray[np.complex128]:
        """The `_spectrum` of one combination's signs; kept, if all of a plan's take no more than KEPT_BYTES."""
        known = self._spectra.get(m)
        if known is None:
            known = _spectrum(self.signs[m])
            if known.nbytes * SKETCH_POLYNOMIALS <= KEPT_BYTES:
                self._spectra[m] = known
        return known

    @cached_property
    def _spectra(self) -> dict[int, NDArray[np.complex128]]:
        return {}

    def pick(self, polynomials: r.Residues) -> r.Residues:
        """The planned coefficients (primes, k) of M polynomials (M, primes, N), coefficient form."""
        return np.concatenate(
            [poly[:, at] for poly, at in zip(polynomials, self.positions, strict=True)], axis=1
        )


@lru_cache(maxsize=1)
def round_plan(p: Parameters, beacon: bytes) -> SketchPlan:
    """`SketchPlan.from_beacon`, made once for all in a process who ask for a round's; the last one is kept."""
    return SketchPlan.from_beacon(p, beacon)


@dataclass(frozen=True, eq=False)
class SketchCiphertext:
    """One sketch, still encrypted: the public part (primes, k), and c1 (M, primes, N), NTT form."""

    public: r.Residues = field(repr=False)
    masks: r.Residues = field(repr=False)

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over both parts; a sketch share is bound to it."""
        return hashlib.sha256(
            self.public.astype("<u8").tobytes() + self.masks.astype("<u8").tobytes()
        ).digest()


def sketch(p: Parameters, plan: SketchPlan, c: Ciphertexts) -> SketchCiphertext:
    """The encrypted sketch of one update: everybody's is the same."""
    if c.parameters != p or plan.parameters != p or c.kind is not Kind.UPDATE:
        raise ParameterError(f"{c!r} and the plan must be an update and a plan of these parameters")
    signs = plan.transformed
    q, kept_q = r.column(p.primes), r.column(p.kept_primes)
    masks = r.dot(c.c1, signs, q)
    kept = slice(p.dropped, None)
    heads = r.dot(c.c0, signs[:, :, kept], kept_q)
    heads = seal.from_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, heads, p.dropped)
    return SketchCiphertext(lifted(p, plan.pick(heads)), masks)


def sketch_share(p: Parameters, plan: SketchPlan, share: bytes, s: SketchCiphertext) -> bytes:
    """This seat's k flooded coefficients for one sketch; the same bytes each time. Seal them."""
    q = r.column(p.primes)
    secret = r.scale(read_share(p, share), shamir.clearing(p.seats, p.threshold).share_factor, p.primes)
    products = r.multiply(s.masks, secret, q)
    picked = plan.pick(seal.from_ntt(p.poly_modulus_degree, p.coeff_modulus_bits, products))
    key = flooding_key(share, plan.digest, hashlib.sha256(s.masks.tobytes()).digest())
    noise = flooding_terms(p.budget.sketch, key, 0, p.sketch_size, p.primes)
    return write(p, Kind.SKETCH_SHARE, r.add(picked, noise, q)[None], binding=s.digest)


def open_sketch(
    p: Parameters, plan: SketchPlan, s: SketchCiphertext, shares: Mapping[int, bytes]
) -> r.Floats:
    """The sketch, float64 (k,), from exactly t shares; its squared norm estimates the update's, in its own
    units.

    Whole numbers of steps, so the same floats for any t honest shares. Raises OutOfRange for a number that
    no honest update reaches or that is off the grid; MalformedShare, naming the seat; ParameterError for
    another count than t. A wrong share looks like a bad update: ask `sketch_shares_agree` while more than
    t shares are at hand.
    """
    if len(shares) != p.threshold:
        raise ParameterError(f"{len(shares)} sketch shares: use exactly {p.threshold}, everybody the same")
    steps = scaled(p, s.public, read_sketch_shares(p, s, shares))
    _judge(p, steps)
    return _own_units(p, np.rint(steps))


def sketch_rounding(p: Parameters) -> float:
    """How far apart opened sketches of one and the same update may lie: an L2 norm in the update's own units.

    Equal updates are equal whole steps, as their miner rounded them, and so are their sketches s. What is opened is
    rint(s + e), where e is the noise of encryption, storing and flooding. Honest noise is rounded away (budget: it fails once in
    2^40). The test for the grid lets pass what has a mean square of at most L steps^2 (`_off_grid`), be it a cheat's own. By Chebyshev
    such noise reaches half a step, and turns its number by a whole one, in at most 4 L k of the k numbers, and

        |rint(s + e) - s|^2 <= 4 L k steps^2,    times 2 / k in own units:    8 L steps^2.

    With the task's usual parameters L is some 10^-4 and 4 L k below 1: equal updates have equal sketches. An update that
    is one step off in one value has a sketch that is off in half of its numbers, k / 2 steps^2: never within this, for L is at most 1/48.
    """
    return math.sqrt(8 * _off_grid(p)) * 2.0**-p.step_bits


def check_sketch_share(p: Parameters, s: SketchCiphertext, share: bytes) -> None:
    """Raises MalformedShare unless the bytes are a share of this sketch; whether a right one, they do not show."""
    read_sketch_share(p, s, share)


def sketch_shares_agree(p: Parameters, s: SketchCiphertext, shares: Mapping[int, bytes]) -> bool:
    """Whether t or more sketch shares lie on one polynomial: always true for t of them. Raises MalformedShare."""
    return consistent(p, read_sketch_shares(p, s, shares), p.budget.sketch.std)


def read_sketch_shares(
    p: Parameters, s: SketchCiphertext, shares: Mapping[int, bytes]
) -> dict[int, r.Residues]:
    """Sketch shares by seat: residues (primes, k). Raises MalformedShare, naming the seat; ParameterError for fewer than t."""
    check_enough(p, list(shares))
    out = {}
    for seat, data in sorted(shares.items()):
        try:
            out[seat] = read_sketch_share(p, s, data)
        except MalformedShare as error:
            raise MalformedShare(f"seat {seat}: {error}") from None
    return out


def claim(p: Parameters, plan: SketchPlan, values: r.Integers, who: str, salt: bytes) -> bytes:
    """What a miner says, once the beacon is out, of the sketch that its own values (d,) have: 32 bytes. Who has not the salt learns
    nothing from it, not even whether a guess of the values is right.

    A ciphertext made from something its miner does not know, a share's or the secret's own coefficients say,
    has a sketch that its miner cannot foretell. To be asked for before any share of a sketch is shown.
    """
    return claim_of(p, plan, plain_sketch(p, plan, values), who, salt)


def claim_of(p: Parameters, plan: SketchPlan, opened: r.Floats, who: str, salt: bytes) -> bytes:
    """The `claim` of an update with this sketch (k,): what the miner's must equal once the sketch is opened."""
    steps = _steps(p, opened).astype("<i8").tobytes()
    return r.stream("sketch claim", plan.digest, who.encode(), salt, steps, size=32)


def sum_fits(
    p: Parameters, plan: SketchPlan, values: r.Integers, sketches: Iterable[tuple[int, r.Floats]]
) -> bool:
    """Whether an opened sum (d,) has exactly the sum of these weights times opened sketches (k,) as its sketch.

    What is wrong with the sum shows unless the sketch's k rows all map it to zero.
    """
    if values.dtype != np.int64 or values.shape != (p.update_size,):
        raise QuantiseError(f"values are {values.dtype} {values.shape}, wanted int64 ({p.update_size},)")
    expected = np.zeros(p.sketch_size, dtype=np.int64)
    for weight, opened in sketches:
        expected += weight * _steps(p, opened)
    low = (values + _LIMB // 2) % _LIMB - _LIMB // 2
    found, high = _plain_steps(plan, low, (values - low) // _LIMB)
    return bool((found + _LIMB * high == expected).all())


def plain_sketch(p: Parameters, plan: SketchPlan, values: r.Integers) -> r.Floats:
    """The sketch (k,) of plain values (d,) by numpy's Fourier transform: the oracle of `open_sketch`."""
    return plain_sketches(p, plan, [values])[0]


def plain_sketches(p: Parameters, plan: SketchPlan, many: Sequence[r.Integers]) -> list[r.Floats]:
    """`plain_sketch` of each, for which the signs are transformed but once."""
    if not many:
        return []
    for values in many:
        check_values(p, values)
    return [_own_units(p, steps.astype(np.float64)) for steps in _plain_steps(plan, *many)]


def _plain_steps(plan: SketchPlan, *values: r.Integers) -> r.Integers:
    """The sketches in steps, (m, k), of m vectors (d,) that are small enough for float64 to round rightly: within 2^24, say."""
    p = plan.parameters
    spectra = [_spectrum(lay_out(p, one)) for one in values]
    out: list[list[r.Integers]] = [[] for _ in values]
    for m, at in enumerate(plan.positions):
        spectrum = plan.spectrum(m)
        for one, found in zip(spectra, out, strict=True):
            found.append(np.rint(_coefficients((one * spectrum).sum(axis=0))[at]).astype(np.int64))
    return np.stack([np.concatenate(found) for found in out])


def _spectrum(polynomials: NDArray[np.int64] | NDArray[np.int8]) -> NDArray[np.complex128]:
    """Real polynomials (m, N) at the roots zeta^-(4k + 1) of X^N + 1, (m, N/2): at the others they are the conjugates.

    There X^(N/2) is -i, so that a Fourier transform of half the length does.
    """
    half = polynomials.shape[-1] // 2
    folded = polynomials[..., :half] - 1j * polynomials[..., half:]
    return np.fft.fft(folded * _twist(half).conj())


def _coefficients(spectrum: NDArray[np.complex128]) -> r.Floats:
    """The inverse of `_spectrum` for one polynomial."""
    folded = np.fft.ifft(spectrum) * _twist(len(spectrum))
    return np.concatenate([folded.real, -folded.imag])


def _twist(half: int) -> NDArray[np.complex128]:
    twist: NDArray[np.complex128] = np.exp(0.5j * np.pi * np.arange(half) / half)
    return twist


def _steps(p: Parameters, sketch: r.Floats) -> r.Integers:
    """An opened sketch (k,) back in the whole steps that it is."""
    return np.rint(np.ldexp(sketch / math.sqrt(2 / p.sketch_size), p.step_bits)).astype(np.int64)


def _own_units(p: Parameters, steps: r.Floats) -> r.Floats:
    scaled_down: r.Floats = np.ldexp(steps, -p.step_bits) * math.sqrt(2 / p.sketch_size)
    return scaled_down


def _judge(p: Parameters, steps: r.Floats) -> None:
    noise = p.budget
    largest = float(np.abs(steps).max())
    if largest > noise.range_steps:
        raise OutOfRange(
            f"a number of the sketch is {largest:.3g} steps, an update inside +-{p.bound_steps} reaches "
            f"{noise.range_steps} at most"
        )
    away = float(((steps - np.rint(steps)) ** 2).mean())
    limit = _off_grid(p)
    if away > limit:
        raise OutOfRange(
            f"the sketch lies {math.sqrt(away):.3f} steps (rms) off the grid, "
            f"noise alone reaches {math.sqrt(limit):.3f}"
        )


def _off_grid(p: Parameters) -> float:
    """The largest mean square, in steps^2, of what a sketch that passes lies off the grid."""
    noise = p.budget
    return noise.sketch_square_limit * (noise.sketch_std / 2.0**p.shift) ** 2


def read_sketch_share(p: Parameters, s: SketchCiphertext, share: bytes) -> r.Residues:
    """A share of this sketch as residues (primes, k). Raises MalformedShare."""
    counts = ((1, len(p.primes)),)
    (parts,), binding = read(p, Kind.SKETCH_SHARE, share, MalformedShare, counts=counts, length=p.sketch_size)
    if binding != s.digest:
        raise MalformedShare("this share is of another sketch")
    part: r.Residues = parts[0]
    return part
