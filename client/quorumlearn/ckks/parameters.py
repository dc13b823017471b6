"""The numbers that fix a task's encryption, whether they fit together, and what they promise.

Rules:
- the numbers come from the ledger, so every one is checked before it sizes anything (`check`);
- a value is an integer of grid steps; one step is 2^(scale_bits - step_bits) in the ciphertext's plaintext;
- the modulus has room for every sum of updates that pass the sketch, not only of honest ones;
- security limits are those of the standard (see explanation);
- of every c0 the leading primes are divided away before it is stored, as far as what is lost stays below the
  flooding (`dropped`): sums and sketches have that much noise anyway, and c0 takes half the room.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, fields, replace
from functools import cached_property

from quorumlearn.ckks import seal
from quorumlearn.ckks.budget import Budget, budget, storable_bits
from quorumlearn.ckks.errors import ParameterError
from quorumlearn.ckks.explanation import STANDARD, Explanation, security
from quorumlearn.ckks.residues import MAX_PRIME_BITS, packed_size
from quorumlearn.ckks.shamir import MAX_SEATS, clearing

HEADER_BYTES = 44
"""Magic 4, version 1, kind 1, zero 2, count 4, digest of the parameters 32."""

MAX_UPDATE_SIZE = 1 << 28
MAX_FLOODING_BITS = 80
MIN_PRIME_BITS = 30


@dataclass(frozen=True)
class Preset:
    """A choice of strength by name. Bits of flooding and of the encryption's security, k, bits of the grid."""

    flooding_bits: int
    minimum_security_bits: int
    sketch_size: int
    step_bits: int


PRESETS = {
    "fast": Preset(flooding_bits=30, minimum_security_bits=128, sketch_size=128, step_bits=12),
    "default": Preset(flooding_bits=40, minimum_security_bits=128, sketch_size=256, step_bits=14),
    "paranoid": Preset(flooding_bits=64, minimum_security_bits=256, sketch_size=256, step_bits=14),
}


@dataclass(frozen=True)
class Parameters:
    """One task's CKKS parameters; the fields are those of the record on the ledger, and the committee's size.

    coeff_modulus_bits: of every prime; nothing is key-switched, so none is special. sign_scale_bits: 0, since the sketch's
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
    def named(
        name: str,
        update_size: int,
        *,
        seats: int,
        threshold: int,
        bound: float = 1.0,
        max_weight_sum: int = 8,
        step_bits: int | None = None,
        flooding_bits: int | None = None,
        sketch_size: int | None = None,
    ) -> Parameters:
        """`choose` with what the preset of this name says, but for what is given here. Raises ParameterError."""
        preset = PRESETS.get(name)
        if preset is None:
            raise ParameterError(f"no parameters named {name!r}: there are {', '.join(PRESETS)}")
        return Parameters.choose(
            update_size,
            seats=seats,
            threshold=threshold,
            bound=bound,
            max_weight_sum=max_weight_sum,
            step_bits=preset.step_bits if step_bits is None else step_bits,
            flooding_bits=preset.flooding_bits if flooding_bits is None else flooding_bits,
            sketch_size=preset.sketch_size if sketch_size is None else sketch_size,
            minimum_security_bits=preset.minimum_security_bits,
        )

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
        for degree in STANDARD:
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
        self.check_numbers()
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
        available = math.log2(math.prod(self.primes))
        if noise.modulus_bits > available:
            raise ParameterError(
                f"primes of {available:.1f} bits, {noise.modulus_bits:.1f} needed: add bits to "
                f"coeff_modulus_bits, or lower scale_bits, bound_steps, max_weight_sum or flooding_bits"
            )

    def check_numbers(self) -> None:
        """Raises ParameterError unless each number by itself lies within its limits."""
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
                f"coeff_modulus_bits {bits}: need 2 to 8 primes "
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
        """The primes themselves."""
        return seal.primes(self.poly_modulus_degree, self.coeff_modulus_bits)

    @cached_property
    def storable_bits(self) -> int:
        """How many bits of a c0 may be divided away before it is stored."""
        return storable_bits(
            degree=self.poly_modulus_degree,
            update_size=self.update_size,
            seats=self.seats,
            threshold=self.threshold,
            flooding_bits=self.flooding_bits,
            sketch_size=self.sketch_size,
        )

    @cached_property
    def dropped(self) -> int:
        """How many leading primes a stored c0 is divided by; c0 is kept modulo the others."""
        room = self.storable_bits
        count = 0
        while count < len(self.coeff_modulus_bits) - 1 and sum(self.coeff_modulus_bits[: count + 1]) <= room:
            count += 1
        return count

    @property
    def kept_primes(self) -> tuple[int, ...]:
        """The primes of a stored c0."""
        return self.primes[self.dropped :]

    @property
    def update_bytes(self) -> int:
        """Exact length of an encrypted update."""
        pair = packed_size(self.primes, self.poly_modulus_degree) + packed_size(
            self.kept_primes, self.poly_modulus_degree
        )
        return HEADER_BYTES + self.chunks * pair

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
            dropped_bits=sum(self.coeff_modulus_bits[: self.dropped]),
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
            opening_margin_bits=math.log2(math.prod(self.primes)) - noise.modulus_bits,
            sketch_noise_steps=noise.sketch_std / 2.0**self.shift,
            sketch_range_steps=noise.range_steps,
            sketch_error=math.sqrt(2 / self.sketch_size),
            degree=self.poly_modulus_degree,
            mask_bits=sum(self.coeff_modulus_bits),
            public_bits=sum(self.coeff_modulus_bits[self.dropped :]),
            padding=1 - self.update_size / (self.chunks * self.poly_modulus_degree),
            bytes_per_parameter=self.bytes_per_parameter,
            chunks=self.chunks,
            update_bytes=self.update_bytes,
        )


def _smallest(draft: Parameters, minimum_security_bits: int) -> Parameters:
    """`draft` with the primes and the scale that pass `check` at its degree with the smallest update.

    Each prime more makes everything slower in proportion, so it has to save a twentieth of the size.
    """
    draft.check_numbers()
    best: Parameters | None = None
    refusal: ParameterError | None = None
    for first in _leading(draft.storable_bits):
        found = _with_primes(draft, first)
        if found is None:
            continue
        try:
            found.check(minimum_security_bits)
        except ParameterError as error:
            refusal = error
            continue
        if best is None or _cost(found) < _cost(best):
            best = found
    if best is None:
        raise refusal or ParameterError(
            "the noise leaves no room in any modulus; lower flooding_bits or the number of seats"
        )
    return best


def _cost(p: Parameters) -> float:
    return p.update_bytes * 1.05 ** len(p.coeff_modulus_bits)


def _leading(room: int) -> list[tuple[int, ...]]:
    """What c0 might drop of `room` bits: nothing, or one or two primes that nearly fill it."""
    one = [(bits,) for bits in range(min(room, MAX_PRIME_BITS), MIN_PRIME_BITS - 1, -1)][:6]
    both = range(min(room, 2 * MAX_PRIME_BITS), 2 * MIN_PRIME_BITS - 1, -1)
    return [(), *one, *[(bits // 2, bits - bits // 2) for bits in both][:4]]


def _with_primes(draft: Parameters, first: tuple[int, ...]) -> Parameters | None:
    """`draft` with `first` as the primes c0 drops, the fewest bits that fit after them, and its scale."""
    trial = replace(draft, coeff_modulus_bits=(*first, MAX_PRIME_BITS))
    if trial.dropped != len(first):
        return None
    noise = trial.budget_at(None)
    scaled = replace(draft, scale_bits=noise.shift + draft.step_bits)
    start = max(math.ceil(noise.modulus_bits) - sum(first), MIN_PRIME_BITS)
    for rest in range(start, start + 4):
        count = max(-(-rest // MAX_PRIME_BITS), 2 - len(first))
        sizes = [rest // count + (i < rest % count) for i in range(count)]
        if min(sizes) < MIN_PRIME_BITS or len(first) + count > 8:
            continue
        found = replace(scaled, coeff_modulus_bits=(*first, *sizes))
        if security(found.poly_modulus_degree, sum(found.coeff_modulus_bits)) == 0:
            return found  # `check` says so; primes of that size need not even exist
        if found.dropped == len(first) and noise.modulus_bits <= math.log2(math.prod(found.primes)):
            return found
    return None
