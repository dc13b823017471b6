"""What a parameter set promises, in numbers and in sentences, and the table its security is read from.

Source: HomomorphicEncryption.org, Homomorphic Encryption Security Standard (2018), table 1: ternary secret,
classical attacks.
"""

from __future__ import annotations

from dataclasses import dataclass

from quorumlearn.ckks.errors import ParameterError

STANDARD = {
    1024: (27, 19, 14),
    2048: (54, 37, 29),
    4096: (109, 75, 58),
    8192: (218, 152, 118),
    16384: (438, 305, 237),
    32768: (881, 611, 476),
}


def security(degree: int, modulus_bits: int) -> int:
    """256, 192 or 128 bits by the standard's table, 0 below it. Raises ParameterError off the table."""
    limits = STANDARD.get(degree)
    if limits is None:
        raise ParameterError(f"polynomial degree {degree}: take one of {sorted(STANDARD)}")
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
    public_bits, mask_bits: stored of each coefficient of c0 and of c1, before the last one's padding.
    padding: the part of an update's bytes that fills the last ciphertext.
    """

    security_bits: int
    flooding_bits: float
    failure_bits: float
    opening_margin_bits: float
    sketch_noise_steps: float
    sketch_range_steps: int
    sketch_error: float
    degree: int
    mask_bits: int
    public_bits: int
    padding: float
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
            f"ring: N = {self.degree}; stored are {self.mask_bits} bits of a mask's coefficient and {self.public_bits} of "
            f"a message's: the other {self.mask_bits - self.public_bits} would be noise below the flooding; "
            f"{100 * self.padding:.1f} % padding",
            f"size: {self.bytes_per_parameter:.2f} bytes a parameter, {self.chunks} ciphertexts, "
            f"{self.update_bytes} bytes an update",
        )
