"""The numbers that fix a task's encryption, whether they fit together, and what they promise.

Rules:
- the numbers come from the ledger, so every one is checked before it sizes anything (`check`);
- a value is an integer of grid steps; one step is 2^(scale_bits - step_bits) in the ciphertext's plaintext;
- the modulus has room for every sum of updates that pass the sketch, not only of honest ones;
- security limits are those of the HomomorphicEncryption.org standard (2018), ternary secret, classical
  attacks.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields, replace
from functools import cached_property

from quorumlearn.ckks import seal
from quorumlearn.ckks.budget import FAILURE_BITS, Budget, budget
from quorumlearn.ckks.errors import ParameterError
from quorumlearn.ckks.residues import MAX_PRIME_BITS, packed_size
from quorumlearn.ckks.shamir import MAX_SEATS, clearing

HEADER_BYTES = 44
"""Magic 4, version 1, kind 1, zero 2, count 4, digest of the parameters 32."""

MAX_UPDATE_SIZE = 1 << 28
MAX_FLOODING_BITS = 80
MIN_PRIME_BITS = 30

_STANDARD = {
    1024: (27, 19, 14),
    2048: (54, 37, 29),
    4096: (109, 75, 58),
    8192: (218, 152, 118),
    16384: (438, 305, 237),
    32768: (881, 611, 476),
}


def security(degree: int, modulus_bits: int) -> int:
    """256, 192 or 128 bits by the standard's table, 0 below it. Raises ParameterError off the table."""
    limits = _STANDARD.get(degree)
    if limits is None:
        raise ParameterError(f"polynomial degree {degree}: take one of {sorted(_STANDARD)}")
    for bits, limit in zip((256, 192, 128), reversed(limits), strict=True):
        if modulus_bits <= limit:
            return bits
    return 0


@dataclass(frozen=True)
class Explanation:
    """What a parameter set promises, in numbers; `lines` says it in sentences.

    security_bits: of the encryption itself, by the standard's table.
    flooding_bits: one opening (of a sum or of a sketch) is within 2^-flooding_bits of one made from its
    result alone.
    failure_bits: a sum of honest updates opens wrongly at most once in 2^failure_bits.
    opening_margin_bits: modulus left above the largest sum of updates that pass the sketch.
    sketch_noise_steps: standard deviation of the noise on one number of a sketch, in grid steps.
    sketch_range_steps: the largest number of a sketch that an honest update reaches, in grid steps.
    sketch_error: relative rms error of a squared distance estimated from sketches, sqrt(2 / k).
    """

    security_bits: int
    flooding_bits: float
    failure_bits: float
    opening_margin_bits: float
    sketch_noise_steps: float
    sketch_range_steps: int
    sketch_error: float
    bytes_per_parameter: float
    chunks: int
    update_bytes: int

    @property
    def lines(self) -> tuple[str, ...]:
        return (
            f"security of the encryption: {self.security_bits} bits",
            f"flooding: an opening is within 2^-{self.flooding_bits:.1f} of one made from its result alone",
            f"opened sums: exact integers; wrong at most once in 2^{self.failure_bits:.0f}",
            f"modulus: {self.opening_margin_bits:.1f} bits above all sums of updates that pass the sketch",
            f"sketch: numbers to +-{self.sketch_range_steps} steps, noise {self.sketch_noise_steps:.3f}, "
            f"squared distances within {100 * self.sketch_error:.1f} % rms",
            f"size: {self.bytes_per_parameter:.2f} bytes a parameter, {self.chunks} ciphertexts, "
            f"{self.update_bytes} bytes an update",
        )


@dataclass(frozen=True)
class Parameters:
    """One task's CKKS parameters; the fields are those of the record on the ledger, and the committee's size.

    coeff_modulus_bits: data primes, then the special prime. sign_scale_bits: 0, since the sketch's
    coefficients are the integers -1, 0 and 1. bound_steps: values lie in +-bound_steps. seats, threshold: v
    and t.
    """

    poly_modulus_degree: int
    coeff_modulus_bits: tuple[int, ...]
    scale_bits: int
    sign_scale_bits: int
    step_bits: int
    bound_steps: int
    max_weight_sum: int
    flooding_bits: int
    sketch_size: int
    update_size: int
    seats: int
    threshold: int

    @staticmethod
    def choose(
        update_size: int,
        *,
        seats: int,
        threshold: int,
        bound: float = 1.0,
        step_bits: int = 14,
        max_weight_sum: int = 8,
        flooding_bits: int = 40,
        sketch_size: int = 256,
        minimum_security_bits: int = 128,
    ) -> Parameters:
        """The set with the smallest encrypted update that fits and checks out.

        `minimum_security_bits=0` admits sets that protect nothing: for tests only, and `check` refuses them
        unless told the same. Raises ParameterError, with what every candidate lacks, when none fits.
        """
        if not (math.isfinite(bound) and bound > 0 and 0 <= step_bits <= 30):
            raise ParameterError(
                f"bound {bound} and step_bits {step_bits}: need bound > 0, 0 <= step_bits <= 30"
            )
        best: Parameters | None = None
        reasons: list[str] = []
        for degree in _STANDARD:
            try:
                found = _smallest(
                    Parameters(
                        poly_modulus_degree=degree,
                        coeff_modulus_bits=(MIN_PRIME_BITS, MIN_PRIME_BITS),
                        scale_bits=step_bits,
                        sign_scale_bits=0,
                        step_bits=step_bits,
                        bound_steps=max(1, round(bound * 2**step_bits)),
                        max_weight_sum=max_weight_sum,
                        flooding_bits=flooding_bits,
                        sketch_size=sketch_size,
                        update_size=update_size,
                        seats=seats,
                        threshold=threshold,
                    ),
                    minimum_security_bits,
                )
            except ParameterError as error:
                reasons.append(f"N = {degree}: {error}")
                continue
            if best is None or found.update_bytes < best.update_bytes:
                best = found
        if best is None:
            raise ParameterError("no parameters fit: " + "; ".join(reasons))
        return best

    def check(self, minimum_security_bits: int = 128) -> None:
        """Raises ParameterError that names the first thing that does not fit, its value and its limit."""
        self._check_numbers()
        level = security(self.poly_modulus_degree, sum(self.coeff_modulus_bits))
        if level < minimum_security_bits:
            raise ParameterError(
                f"{sum(self.coeff_modulus_bits)} bits of modulus at N = {self.poly_modulus_degree} give {level} "
                f"bits of security, wanted {minimum_security_bits}: take a larger N or fewer bits"
            )
        noise = self.budget
        if 2.0 ** (self.shift - 1) < noise.half_step:
            raise ParameterError(
                f"scale_bits {self.scale_bits}: half a grid step is 2^{self.shift - 1}, the noise reaches "
                f"2^{math.log2(noise.half_step):.1f}; raise scale_bits, or lower flooding_bits or step_bits"
            )
        available = math.log2(math.prod(self.data_primes))
        if noise.modulus_bits > available:
            raise ParameterError(
                f"data primes of {available:.1f} bits, {noise.modulus_bits:.1f} needed: add bits to "
                f"coeff_modulus_bits, or lower scale_bits, bound_steps, max_weight_sum or flooding_bits"
            )

    def _check_numbers(self) -> None:
        security(self.poly_modulus_degree, 0)
        clearing(self.seats, self.threshold)
        limits = {
            "update_size": (1, MAX_UPDATE_SIZE),
            "sign_scale_bits": (0, 0),
            "step_bits": (0, 30),
            "scale_bits": (self.step_bits, 200),
            "bound_steps": (1, 1 << 31),
            "max_weight_sum": (1, 1 << 16),
            "flooding_bits": (1, MAX_FLOODING_BITS),
            "sketch_size": (4, self.poly_modulus_degree),
            "seats": (1, MAX_SEATS),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ParameterError(f"{name} {value} is outside {low}..{high}")
        bits = self.coeff_modulus_bits
        if not 2 <= len(bits) <= 8 or not all(MIN_PRIME_BITS <= b <= MAX_PRIME_BITS for b in bits):
            raise ParameterError(
                f"coeff_modulus_bits {bits}: need 1 to 7 data primes and a special one, "
                f"of {MIN_PRIME_BITS} to {MAX_PRIME_BITS} bits each"
            )

    @property
    def shift(self) -> int:
        """Bits of one grid step in the plaintext polynomial."""
        return self.scale_bits - self.step_bits

    @property
    def chunks(self) -> int:
        """Ciphertexts of one update."""
        return -(-self.update_size // self.poly_modulus_degree)

    @cached_property
    def primes(self) -> tuple[int, ...]:
        """The primes themselves, data primes then the special one."""
        return seal.ring(self.poly_modulus_degree, self.coeff_modulus_bits).primes

    @property
    def data_primes(self) -> tuple[int, ...]:
        """The primes of a ciphertext's residues."""
        return self.primes[:-1]

    @property
    def update_bytes(self) -> int:
        """Exact length of an encrypted update."""
        return HEADER_BYTES + self.chunks * 2 * packed_size(self.data_primes, self.poly_modulus_degree)

    @property
    def bytes_per_parameter(self) -> float:
        """Length of an encrypted update over the parameters in it, padding of the last one included."""
        return self.update_bytes / self.update_size

    @cached_property
    def budget(self) -> Budget:
        """All noises of this set at its own scale."""
        return self.budget_at(self.shift)

    def budget_at(self, shift: int | None) -> Budget:
        """All noises with a grid step of 2^shift, by default the smallest that holds them."""
        return budget(
            degree=self.poly_modulus_degree,
            special_bits=self.coeff_modulus_bits[-1],
            update_size=self.update_size,
            seats=self.seats,
            threshold=self.threshold,
            bound_steps=self.bound_steps,
            max_weight_sum=self.max_weight_sum,
            flooding_bits=self.flooding_bits,
            sketch_size=self.sketch_size,
            shift=shift,
        )

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over every field, by name; 32 bytes, in the header of everything made with it."""
        text = "\n".join(f"{f.name}={getattr(self, f.name)}" for f in fields(self))
        return hashlib.sha256(b"quorumlearn.ckks.parameters/1\n" + text.encode()).digest()

    def explain(self) -> Explanation:
        """What this set promises. Raises nothing: a set that `check` refuses shows why in its margins."""
        noise = self.budget
        return Explanation(
            security_bits=security(self.poly_modulus_degree, sum(self.coeff_modulus_bits)),
            flooding_bits=min(noise.opening.security_bits, noise.sketch.security_bits),
            failure_bits=noise.failure_bits,
            opening_margin_bits=math.log2(math.prod(self.data_primes)) - noise.modulus_bits,
            sketch_noise_steps=noise.sketch_std / 2.0**self.shift,
            sketch_range_steps=noise.range_steps,
            sketch_error=math.sqrt(2 / self.sketch_size),
            bytes_per_parameter=self.bytes_per_parameter,
            chunks=self.chunks,
            update_bytes=self.update_bytes,
        )


def _smallest(draft: Parameters, minimum_security_bits: int) -> Parameters:
    """`draft` with the fewest bits of modulus, and the scale, that pass `check` at its degree."""
    draft._check_numbers()
    for total in range(MIN_PRIME_BITS, _STANDARD[32768][0]):
        count = -(-total // MAX_PRIME_BITS)
        if total % count or total // count < MIN_PRIME_BITS:
            continue
        bits = (total // count,) * (count + 1)
        noise = replace(draft, coeff_modulus_bits=bits).budget_at(None)
        if noise.modulus_bits > total:
            continue
        found = replace(draft, coeff_modulus_bits=bits, scale_bits=noise.shift + draft.step_bits)
        if noise.modulus_bits > math.log2(math.prod(found.data_primes)):
            continue
        found.check(minimum_security_bits)
        return found
    raise ParameterError(
        "the noise leaves no room in any modulus; lower flooding_bits or the number of seats"
    )


__all__ = ["FAILURE_BITS", "HEADER_BYTES", "Explanation", "Parameters", "security"]
