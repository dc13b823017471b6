"""Threshold CKKS for updates: keys without a dealer, exact sums, random sketches, flooded partial
decryptions.

p = Parameters.choose(d, seats=3, threshold=2)
mine = new_key_share(p, seed)                       # each seat; publishes mine.public
key = collective_key(p, seed, {1: ..., 2: ...})     # everybody
for_seat = deal(p, mine.secret, (1, 2, 3))          # each seat, sealed to the others
share = sum_shares(p, [...])                        # each seat, from what it was dealt
data = encrypt(p, key, quantise(update, p))         # a miner
plan = SketchPlan.from_beacon(p, beacon)            # verifiers
s = sketch(p, plan, parse(p, data))
y = open_sketch(p, plan, s, {seat: sketch_share(p, plan, share, s), ...})
total = aggregate(p, [(weight, parse(p, data)), ...])
steps = open_partials(p, total, {seat: partial_decrypt(p, share, total), ...})
mean = dequantise(steps, weight_sum, p)
"""

from quorumlearn.ckks.audit import Flaw, Wrong, audit_dealing
from quorumlearn.ckks.ciphertexts import Ciphertexts, aggregate, encrypt, parse
from quorumlearn.ckks.decryption import (
    check_partial,
    open_partials,
    partial_decrypt,
    test_ciphertext,
    test_values,
)
from quorumlearn.ckks.errors import (
    BadPartial,
    CkksError,
    MalformedCiphertext,
    MalformedKey,
    MalformedShare,
    OutOfRange,
    ParameterError,
    QuantiseError,
    WorkerDied,
    WorkerFailed,
)
from quorumlearn.ckks.explanation import Explanation
from quorumlearn.ckks.keys import (
    KeyShare,
    SecretPolynomial,
    collective_key,
    deal,
    new_key_share,
    read_public,
    read_share,
    sum_shares,
)
from quorumlearn.ckks.packing import dequantise, quantise
from quorumlearn.ckks.parameters import PRESETS, Parameters, Preset
from quorumlearn.ckks.rehearsal import Rehearsal, rehearsal
from quorumlearn.ckks.sketches import (
    SketchCiphertext,
    SketchPlan,
    check_sketch_share,
    claim,
    claim_of,
    open_sketch,
    plain_sketch,
    plain_sketches,
    round_plan,
    sketch,
    sketch_rounding,
    sketch_share,
    sketch_shares_agree,
    sum_fits,
)
from quorumlearn.ckks.workers import Workers

__all__ = [
    "PRESETS",
    "BadPartial",
    "Ciphertexts",
    "CkksError",
    "Explanation",
    "Flaw",
    "KeyShare",
    "MalformedCiphertext",
    "MalformedKey",
    "MalformedShare",
    "OutOfRange",
    "ParameterError",
    "Parameters",
    "Preset",
    "QuantiseError",
    "Rehearsal",
    "SecretPolynomial",
    "SketchCiphertext",
    "SketchPlan",
    "WorkerDied",
    "WorkerFailed",
    "Workers",
    "Wrong",
    "aggregate",
    "audit_dealing",
    "check_partial",
    "check_sketch_share",
    "claim",
    "claim_of",
    "collective_key",
    "deal",
    "dequantise",
    "encrypt",
    "new_key_share",
    "open_partials",
    "open_sketch",
    "parse",
    "partial_decrypt",
    "plain_sketch",
    "plain_sketches",
    "quantise",
    "read_public",
    "read_share",
    "rehearsal",
    "round_plan",
    "sketch",
    "sketch_rounding",
    "sketch_share",
    "sketch_shares_agree",
    "sum_fits",
    "sum_shares",
    "test_ciphertext",
    "test_values",
]
