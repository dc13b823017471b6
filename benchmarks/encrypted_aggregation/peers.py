"""What others do for the same round, on one core of the same machine.

Rules:
- pairwise: distances between encrypted updates, as Lancelot's CPU path computes them: for each pair the squares of
  the differences, ciphertext by ciphertext, added up at size three and relinearised once (lazily), then decrypted. Real
  slots, [60, 40, 60] bits at N = 8192, one depth. Only the arithmetic is timed, on `SAMPLE` pairs, and scaled to
  n (n - 1) / 2; encryption, reading and checking are left out, in its favour;
- flare: NVIDIA FLARE's parameters and packing: TenSEAL vectors of [60, 40, 60] bits, real slots, a vector for each of
  eight tensors in the proportions of a small CNN, plain sums, one key that every client holds. Nothing is screened;
- plain: multi-Krum's distances and scores on plain float32 updates, as Flower computes them: each pair's difference.

Sources: Jiang et al. 2024 (Lancelot); NVFlare, app_opt/he; Flower, server/strategy/krum.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import numpy as np
import tenseal as ts
import tenseal.sealapi as seal

from benchmarks.encrypted_aggregation.ours import timed

SAMPLE = 3
DEGREE, BITS, SCALE = 8192, [60, 40, 60], 2.0**40
TENSORS = (0.006, 0.0006, 0.09, 0.0012, 0.87, 0.0025, 0.0289, 0.0002)
"""Sizes of eight tensors: weights and biases of two convolutions and two dense layers."""


@dataclass(frozen=True)
class Pairwise:
    """Seconds of one pair (median of a sample) and of all pairs (scaled)."""

    pair_seconds: float
    all_seconds: float
    pairs_measured: int


@dataclass(frozen=True)
class Flare:
    """Seconds and bytes of one client's encrypted update, seconds of the sum of n and of its decryption."""

    encryption_seconds: float
    aggregation_seconds: float
    decryption_seconds: float
    bytes_per_parameter: float
    one_vector_bytes_per_parameter: float


def pairwise(miners: int, size: int) -> Pairwise:
    """Distances of `SAMPLE` pairs of encrypted updates, checked against the plain ones."""
    settings = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
    settings.set_poly_modulus_degree(DEGREE)
    settings.set_coeff_modulus(list(seal.CoeffModulus.Create(DEGREE, BITS)))
    context = seal.SEALContext(settings, True, seal.SEC_LEVEL_TYPE.TC128)
    keys = seal.KeyGenerator(context)
    public, relinearisation = seal.PublicKey(), seal.RelinKeys()
    keys.create_public_key(public)
    keys.create_relin_keys(relinearisation)
    encoder, evaluator = seal.CKKSEncoder(context), seal.Evaluator(context)
    encryptor, decryptor = seal.Encryptor(context, public), seal.Decryptor(context, keys.secret_key())
    slots = DEGREE // 2
    rng = np.random.default_rng(size)
    plain = [rng.normal(scale=0.05, size=size) for _ in range(SAMPLE)]

    def encrypted(values: np.ndarray) -> list[object]:
        out = []
        for at in range(0, size, slots):
            text, ciphertext = seal.Plaintext(), seal.Ciphertext()
            encoder.encode(values[at : at + slots].tolist(), SCALE, text)
            encryptor.encrypt(text, ciphertext)
            out.append(ciphertext)
        return out

    updates = [encrypted(values) for values in plain]
    seconds = []
    for i, j in ((a, (a + 1) % SAMPLE) for a in range(SAMPLE)):
        begin = time.process_time()
        total = None
        for a, b in zip(updates[i], updates[j], strict=True):
            difference = seal.Ciphertext()
            evaluator.sub(a, b, difference)
            evaluator.square_inplace(difference)
            if total is None:
                total = difference
            else:
                evaluator.add_inplace(total, difference)
        evaluator.relinearize_inplace(total, relinearisation)
        evaluator.rescale_to_next_inplace(total)
        text = seal.Plaintext()
        decryptor.decrypt(total, text)
        distance = float(np.sum(encoder.decode_double(text)))
        seconds.append(time.process_time() - begin)
        expected = float(((plain[i] - plain[j]) ** 2).sum())
        if abs(distance - expected) > 1e-2 * expected:
            raise AssertionError(f"pairwise distance {distance}, plainly {expected}")
    each = median(seconds)
    return Pairwise(each, each * miners * (miners - 1) / 2, SAMPLE)


def flare(miners: int, size: int, repeats: int) -> Flare:
    """FLARE's packing through TenSEAL; the sum is checked against the plain one."""
    context = ts.context(ts.SCHEME_TYPE.CKKS, DEGREE, -1, BITS)
    context.global_scale = SCALE
    rng = np.random.default_rng(size)
    values = rng.normal(scale=0.05, size=size)
    cuts = np.minimum((np.cumsum(TENSORS)[:-1] * size).astype(int), size)
    tensors = [part.tolist() for part in np.split(values, cuts) if len(part)]

    def encrypt() -> list[bytes]:
        return [ts.ckks_vector(context, part).serialize() for part in tensors]

    update = encrypt()
    encryption = timed(encrypt, repeats)
    whole = len(ts.ckks_vector(context, values.tolist()).serialize())
    loaded = [ts.ckks_vector_from(context, data) for data in update]
    sums: list[ts.CKKSVector] = []

    def add_up() -> None:
        sums[:] = [ts.ckks_vector_from(context, data) for data in update]
        for _ in range(miners - 1):
            for total, data in zip(sums, update, strict=True):
                total += ts.ckks_vector_from(context, data)  # noqa: PLW2901 in place

    aggregation = timed(add_up, 1)
    opened: list[float] = []

    def decrypt() -> None:
        opened[:] = [x for total in sums for x in total.decrypt()]

    decryption = timed(decrypt, repeats)
    if np.abs(np.array(opened) - miners * values).max() > 1e-3:
        raise AssertionError("the peer's sum is wrong")
    del loaded
    return Flare(encryption, aggregation, decryption, sum(len(data) for data in update) / size, whole / size)


def plain_multi_krum(miners: int, size: int, repeats: int) -> float:
    """Seconds of multi-Krum's distances and scores on plain updates."""
    rng = np.random.default_rng(size)
    few = [rng.normal(size=size).astype(np.float32) for _ in range(min(miners, 10))]
    updates = [few[i % len(few)] for i in range(miners)]
    near = miners - miners // 5 - 2

    def score() -> None:
        distances = np.zeros((miners, miners))
        for i in range(miners):
            for j in range(i):
                distances[i, j] = distances[j, i] = np.linalg.norm(updates[i] - updates[j]) ** 2
        np.sort(distances, axis=1)[:, 1 : near + 1].sum(axis=1).argsort()

    return timed(score, repeats)
