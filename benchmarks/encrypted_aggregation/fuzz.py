"""Hostile bytes against everything in `quorumlearn.ckks` that reads foreign ones.

    python -m benchmarks.encrypted_aggregation.fuzz --inputs 1000000 --processes 2      random mutations, counted
    python -m benchmarks.encrypted_aggregation.fuzz --atheris [-runs=1000000 ...]       guided by coverage
    python -m benchmarks.encrypted_aggregation.fuzz --only update --atheris             the parser of updates alone

Rules:
- a reader answers with a value or with its own typed errors; anything else, a crash included, ends the run and the
  input is written to `--crash`;
- what `parse` accepts is written again as the same bytes, so nothing has two forms; partial decryptions that open,
  one of three changed, open to the right values;
- mutated are good containers: bits, bytes, runs, header fields, lengths, residues set to and above their primes,
  pieces of other containers put in; and bytes from nothing.

Guided runs need atheris (not a dependency). Parameters are too small to protect anything: that is what makes a
million inputs cheap; the code is the same for all.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import multiprocessing
import random
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from quorumlearn import ckks
from quorumlearn.ckks.errors import CkksError
from quorumlearn.ckks.keys import SecretPolynomial, read_key, read_public, read_share

BATCH = 20_000


@dataclass(frozen=True)
class Target:
    """One reader, a good input, and the errors it may end in."""

    name: str
    good: bytes
    read: Callable[[bytes], object]
    errors: tuple[type[CkksError], ...]


class Unexpected(Exception):
    """A reader did something that it must not: the target, the input, and what happened."""

    def __init__(self, target: str, data: bytes, what: str) -> None:
        super().__init__(target, data, what)
        self.target, self.data, self.what = target, data, what

    def __str__(self) -> str:
        return f"{self.target}: {self.what} for {len(self.data)} bytes"


def targets() -> list[Target]:
    """A committee of three with its containers, and what reads each kind."""
    p = ckks.Parameters.choose(300, seats=3, threshold=2, sketch_size=20, minimum_security_bits=0)
    seats = (1, 2, 3)
    drawn = {seat: ckks.new_key_share(p, b"fuzz") for seat in seats}
    key = ckks.collective_key(p, b"fuzz", {seat: one.public for seat, one in drawn.items()})
    dealt = {seat: ckks.deal(p, one.secret, seats) for seat, one in drawn.items()}
    shares = {seat: ckks.sum_shares(p, [dealt[other][seat] for other in seats]) for seat in seats}
    values = np.arange(300) - 150
    update = ckks.encrypt(p, key, values)
    parsed = ckks.parse(p, update)
    plan = ckks.SketchPlan.from_beacon(p, b"beacon")
    sketched = ckks.sketch(p, plan, parsed)
    partials = {seat: ckks.partial_decrypt(p, share, parsed) for seat, share in shares.items()}
    sketches = {seat: ckks.sketch_share(p, plan, share, sketched) for seat, share in shares.items()}

    def same(data: bytes) -> None:
        if ckks.parse(p, data).to_bytes() != data:
            raise ValueError("accepted bytes that it writes differently")

    def opened(data: bytes) -> None:
        steps = ckks.open_partials(p, parsed, {1: data, 2: partials[2], 3: partials[3]})
        if not np.array_equal(steps, values):
            raise ValueError("opened to something else, with a spare partial decryption at hand")

    def public(data: bytes) -> None:
        ckks.collective_key(p, b"fuzz", {1: data, 2: drawn[2].public, 3: drawn[3].public})

    return [
        Target("update", update, same, (ckks.MalformedCiphertext,)),
        Target("public share", drawn[1].public, lambda x: read_public(p, x), (ckks.MalformedKey,)),
        Target("public share in a key", drawn[1].public, public, (ckks.MalformedKey,)),
        Target("collective key", key, lambda x: read_key(p, x), (ckks.MalformedKey,)),
        Target("dealt share", dealt[1][2], lambda x: read_share(p, x), (ckks.MalformedShare,)),
        Target(
            "sum of shares",
            dealt[1][2],
            lambda x: ckks.sum_shares(p, [dealt[2][2], x]),
            (ckks.MalformedShare,),
        ),
        Target(
            "secret",
            drawn[1].secret.reveal(p),
            lambda x: SecretPolynomial.restore(p, x),
            (ckks.MalformedShare,),
        ),
        Target(
            "partial decryption",
            partials[1],
            opened,
            (ckks.MalformedShare, ckks.BadPartial),
        ),
        Target(
            "sketch share",
            sketches[1],
            lambda x: ckks.open_sketch(p, plan, sketched, {1: x, 2: sketches[2]}),
            (ckks.MalformedShare, ckks.OutOfRange),
        ),
        Target(
            "sketch share, spare",
            sketches[1],
            lambda x: ckks.sketch_shares_agree(p, sketched, {1: x, 2: sketches[2], 3: sketches[3]}),
            (ckks.MalformedShare,),
        ),
    ]


def mutated(rng: random.Random, good: bytes, others: list[bytes]) -> bytes:
    """`good` after one to four changes."""
    data = bytearray(good)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        at = rng.randrange(len(data)) if data else 0
        kind = rng.randrange(10)
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind == 2 and len(data) > 12:
            data[rng.randrange(12)] ^= rng.randrange(1, 256)
        elif kind == 3 and len(data) >= 12:
            struct.pack_into("<I", data, 8, rng.choice((0, 1, 2**31, 2**32 - 1, rng.getrandbits(32))))
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            data += rng.randbytes(rng.choice((1, 7, 8, 64)))
        elif kind == 6 and data:
            size = min(rng.choice((8, 64, 512, 4096)), len(data) - at)
            data[at : at + size] = rng.choice((b"\0", b"\xff")) * size
        elif kind == 7:
            other = rng.choice(others)
            size = min(rng.choice((4, 44, 76, 512)), len(other))
            data[at : at + size] = other[:size]
        elif kind == 8 and data:
            size = min(rng.choice((1, 8, 64)), len(data) - at)
            data[at : at + size] = rng.randbytes(size)
        elif kind == 9:
            data = bytearray(rng.choice(others) if rng.random() < 0.5 else rng.randbytes(rng.randrange(200)))
    return bytes(data)


def feed(target: Target, data: bytes) -> str:
    """What came of one input: "value" or the error's name. Raises Unexpected."""
    try:
        target.read(data)
    except target.errors as error:
        return type(error).__name__
    except Exception as error:
        raise Unexpected(target.name, data, f"{type(error).__name__}: {error}") from error
    return "value"


def batch(seed: int, count: int, only: str = "") -> Counter[tuple[str, str]]:
    """`count` inputs from this seed over all targets in turn, or over `only` one; how often each ended how."""
    rng = random.Random(seed)
    chosen = _chosen(only)
    others = [target.good for target in _cached()]
    out: Counter[tuple[str, str]] = Counter()
    for i in range(count):
        target = chosen[i % len(chosen)]
        out[target.name, feed(target, mutated(rng, target.good, others))] += 1
    return out


_TARGETS: list[Target] = []


def _cached() -> list[Target]:
    if not _TARGETS:
        _TARGETS.extend(targets())
    return _TARGETS


def _chosen(only: str) -> list[Target]:
    return [target for target in _cached() if only in ("", target.name)]


def run(inputs: int, processes: int, seed: int, only: str = "") -> Counter[tuple[str, str]]:
    """`inputs` inputs in worker processes. Raises Unexpected; a worker that crashes raises BrokenProcessPool."""
    total: Counter[tuple[str, str]] = Counter()
    sizes = [min(BATCH, inputs - at) for at in range(0, inputs, BATCH)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for found in pool.map(partial(batch, only=only), range(seed, seed + len(sizes)), sizes):
            total += found
    return total


def _guided(arguments: list[str], only: str) -> None:
    import atheris

    for name, module in list(sys.modules.items()):
        if name.startswith("quorumlearn.ckks"):
            for function in vars(module).values():
                if inspect.isfunction(function) and function.__module__ == name:
                    atheris.instrument_func(function)
    all_ = _chosen(only)

    def one(data: bytes) -> None:
        provider = atheris.FuzzedDataProvider(data)
        target = all_[provider.ConsumeIntInRange(0, len(all_) - 1)]
        if provider.ConsumeBool():
            patched = bytearray(target.good)
            for _ in range(provider.ConsumeIntInRange(0, 8)):
                patched[provider.ConsumeIntInRange(0, len(patched) - 1)] = provider.ConsumeIntInRange(0, 255)
            feed(target, bytes(patched))
        else:
            feed(target, provider.ConsumeBytes(len(target.good) + 64))

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.encrypted_aggregation.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--crash", type=Path, default=Path("fuzz-crash.bin"))
    parser.add_argument("--only", default="", metavar="READER", help="one of the readers in the table")
    parser.add_argument("--atheris", action="store_true", help="the other arguments go to libFuzzer")
    options, rest = parser.parse_known_args()
    if not _chosen(options.only):
        parser.error(f"no reader {options.only!r}: there are {', '.join(one.name for one in _cached())}")
    if options.atheris:
        _guided(rest, options.only)
        return 0
    begin = time.monotonic()
    try:
        total = run(options.inputs, options.processes, options.seed, options.only)
    except Unexpected as found:
        options.crash.write_bytes(found.data)
        sys.stderr.write(f"{found}; kept in {options.crash}\n")
        return 1
    width = max(len(name) for name, _ in total)
    for (name, end), count in sorted(total.items()):
        sys.stdout.write(f"{name:<{width}}  {end:<20} {count:>9,}\n")
    digest = hashlib.sha256(repr(sorted(total.items())).encode()).hexdigest()[:12]
    sys.stdout.write(
        f"{total.total():,} inputs, seed {options.seed}, {time.monotonic() - begin:.0f} s, outcome {digest}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
