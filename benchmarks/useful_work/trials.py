"""How often each cheat is found, beside how often it should be.

A trial is a training of 100 segments, played by a cheat on the functions of `quorumlearn.replay`, of which a beacon draws 5 and the last
checkpoint, and the check that seats do of each. It is found if one item is wrong. Every training, beacon and choice of what to skip is new.
The rate to expect of w false segments is 1 - C(100 - w, 5) / C(100, 5), some 1 - (1 - w/100)^5, and 1 where the update is false: its item
is always checked. An item that is judged otherwise than it is counts as misjudged.

Trials take the classifier of one layer (`linear`, 15 parameters), and rows that end in "torch" a network of 256, in 20 segments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import repeat
from multiprocessing import get_context

import numpy as np
from quorumlearn import ckks, learning
from quorumlearn.learning import Model
from quorumlearn.learning.exact import ExactTraining
from quorumlearn.replay import Outcome, Work, cheats, check, spoofs
from quorumlearn.replay.cheats import Played, Way
from quorumlearn.replay.tensors import Arrays
from quorumlearn_proto.block_pb2 import Manifest, Submission
from quorumlearn_proto.recompute import drawn_segments

from benchmarks.useful_work.crafting import crafted
from benchmarks.useful_work.linear import LinearTraining
from benchmarks.useful_work.networks import networks
from benchmarks.useful_work.options import Options

SEGMENTS, DRAWN = 100, 5
SHARES = (1, 5, 20, 50, 100)
ROUNDS = 10
MINER = "Org1MSP/miner-1"
NORMAL = 1.959964
"""Of a 95 % interval."""


@dataclass(frozen=True)
class Trial:
    """What one trial is played with: the work that was assigned, the task's parameters, and where its choices are drawn from."""

    work: Work
    parameters: ckks.Parameters
    drawn: np.random.Generator

    def some(self, share: int) -> frozenset[int]:
        """So many hundredths of the segments, drawn; one at least."""
        count = max(1, self.work.segments * share // 100)
        return frozenset(int(one) + 1 for one in self.drawn.permutation(self.work.segments)[:count])

    def stretch(self, share: int) -> frozenset[int]:
        """As many, one after the other."""
        count = max(1, self.work.segments * share // 100)
        start = int(self.drawn.integers(1, self.work.segments - count + 2))
        return frozenset(range(start, start + count))


Play = Callable[[Trial], Played]


@dataclass(frozen=True)
class Cheat:
    """A row: what is done, in how many hundredths of the segments (0 where all of it is false), in how many rounds, and with what."""

    name: str
    share: int
    play: Play
    rounds: int = 1
    model: str = "linear"
    segment_steps: int = 1


def plays() -> list[Cheat]:
    """All rows, in the table's order."""
    rows = [Cheat("honest", 0, lambda t: cheats.honest(t.work, t.parameters))]
    for way in Way:
        rows += [Cheat(f"skips: {way.value}", share, _skip(way, share)) for share in SHARES]
    rows.append(Cheat("skips 10 % in each of 10 rounds", 10, _skip(Way.EXTRAPOLATE, 10), rounds=ROUNDS))
    rows.append(
        Cheat(
            "leaves out every other step",
            0,
            lambda t: cheats.thinning(t.work, t.parameters, 1),
            segment_steps=2,
        )
    )
    rows += [Cheat(name, 0, play) for name, play in _WHOLE.items()]
    for name, spoof in _SPOOFS.items():
        rows += [Cheat(name, share, spoof(share)) for share in SHARES]
    rows.append(Cheat("float32 passed off as exact, torch", 0, _float32_in_torch, model="torch"))
    rows.append(Cheat("honest, torch", 0, lambda t: cheats.honest(t.work, t.parameters), model="torch"))
    return rows


def _skip(way: Way, share: int) -> Play:
    def play(trial: Trial) -> Played:
        skipped = trial.stretch(share) if way is Way.INTERPOLATE else trial.some(share)
        return cheats.skipping(trial.work, trial.parameters, skipped, way)

    return play


def _other(done: Callable[[Trial], Work]) -> Play:
    """Other work than was assigned."""
    return lambda trial: cheats.other_work(trial.work, trial.parameters, done(trial))


def _copied(trial: Trial) -> Played:
    theirs = replace(trial.work, seed=trial.drawn.bytes(32), data=LinearTraining().samples(200, 99))
    return cheats.copied(trial.work, trial.parameters, cheats.honest(theirs, trial.parameters))


def _last_step(trial: Trial) -> learning.Update:
    size = trial.parameters.update_size
    return trial.drawn.normal(0, 0.1, size)


def _public_step(trial: Trial) -> Played:
    return cheats.public_step(trial.work, trial.parameters, _last_step(trial), 0.1, trial.drawn)


def _public_step_behind_a_trace(trial: Trial) -> Played:
    step = cheats.public_step(trial.work, trial.parameters, _last_step(trial), 0.1, trial.drawn)
    return cheats.other_update(cheats.honest(trial.work, trial.parameters), step.values)


def _a_step_off(trial: Trial) -> Played:
    played = cheats.honest(trial.work, trial.parameters)
    values = played.values.copy()
    values[trial.drawn.integers(len(values))] += 1
    return cheats.other_update(played, values)


_WHOLE: dict[str, Play] = {
    "other data": _other(
        lambda t: replace(t.work, data=LinearTraining().samples(200, int(t.drawn.integers(1 << 32))))
    ),
    "half of the samples, twice": _other(
        lambda t: replace(t.work, data=cheats.fewer_samples(t.work.data, 100))
    ),
    "another seed": _other(lambda t: replace(t.work, seed=t.drawn.bytes(32))),
    "another learning rate": _other(lambda t: replace(t.work, training=LinearTraining(rate=0.09))),
    "float32 gradients passed off as exact": _other(
        lambda t: replace(t.work, training=LinearTraining(arithmetic=np.float32))
    ),
    "a copied trace": _copied,
    "the last public step and 10 % of noise": _public_step,
    "an honest trace, the last public step encrypted": _public_step_behind_a_trace,
    "an honest trace, one value a grid step off": _a_step_off,
}


def _wanted(trial: Trial) -> Arrays:
    """A model to get to that no training led to. What moves all classes alike does nothing, and is left out."""
    begin = trial.work.begin.weights
    moved = {name: trial.drawn.normal(0, 0.3, one.shape) for name, one in begin.items()}
    return {name: one + moved[name] - moved[name].mean(axis=-1, keepdims=True) for name, one in begin.items()}


_SPOOFS: dict[str, Callable[[int], Play]] = {
    "synthesised data (Zhang et al. 2022)": lambda share: (
        lambda t: spoofs.synthesised(t.work, t.parameters, t.some(share), _wanted(t), crafted)
    ),
    "infinitesimal updates (Fang et al. 2023)": lambda share: (
        lambda t: spoofs.infinitesimal(t.work, t.parameters, t.some(share), _wanted(t), 1e-6)
    ),
    "blindfold top-Q (Fang et al. 2023)": lambda share: (
        lambda t: spoofs.blindfold(
            t.work, t.parameters, SEGMENTS - max(1, SEGMENTS * share // 100), _wanted(t), 1e-6
        )
    ),
}


def _float32_in_torch(trial: Trial) -> Played:
    due, cheap = _network(True)[0], _network(False)[0]
    done = replace(trial.work, training=cheats.Disguised(due, cheap))
    return cheats.other_work(trial.work, trial.parameters, done)


@lru_cache
def _network(portable: bool) -> tuple[ExactTraining, Model, ckks.Parameters]:
    network = networks()[0]
    return network.training(portable), network.base(1), network.parameters


def _parameters(size: int) -> ckks.Parameters:
    """Small ones: nothing is encrypted in a trial, and the sketch has its usual 256 numbers."""
    return ckks.Parameters.choose(size, seats=3, threshold=2, minimum_security_bits=0)


@lru_cache
def _linear() -> tuple[ExactTraining, Model, ckks.Parameters]:
    training = LinearTraining()
    return training, training.base(1), _parameters(15)


def _assigned(cheat: Cheat, drawn: np.random.Generator) -> Trial:
    if cheat.model == "linear":
        (training, base, parameters), count = _linear(), SEGMENTS
        data = LinearTraining().samples(2 * count * cheat.segment_steps, int(drawn.integers(1 << 32)))
    else:
        (training, base, parameters), count = _network(True), 20
        data = networks()[0].samples(drawn, 2 * count)
    steps = count * cheat.segment_steps
    work = Work(training, base, data, drawn.bytes(32), steps, cheat.segment_steps)
    return Trial(work, parameters, drawn)


@dataclass(frozen=True)
class Judged:
    """What came of a trial: whether it was found, the chance that it should be, and how many items were judged otherwise than they are."""

    found: bool
    chance: float
    misjudged: int


def judged(cheat: Cheat, place: tuple[int, ...]) -> Judged:
    """Play one trial, whose `place` fixes all that it draws: its rounds, until one is found."""
    drawn = np.random.default_rng(place)
    misjudged = 0
    for _ in range(cheat.rounds):
        one = _round(cheat, drawn)
        misjudged += one.misjudged
        if one.found:
            break
    return Judged(one.found, 1 - (1 - one.chance) ** cheat.rounds, misjudged)


def _round(cheat: Cheat, drawn: np.random.Generator) -> Judged:
    trial = _assigned(cheat, drawn)
    work, p = trial.work, trial.parameters
    played = cheat.play(trial)
    beacon, salt = drawn.bytes(32), drawn.bytes(32)
    items = [*drawn_segments(beacon.hex(), MINER, work.segments, DRAWN), work.last_item]
    claim = ckks.claim(p, ckks.round_plan(p, beacon), played.values, MINER, salt).hex()
    manifest = Manifest(trace_root=played.root, steps=work.steps)
    submission = Submission(task_id="trials", round=1, miner=MINER, manifest=manifest, claim=claim)
    opening = played.open(items, task_id="trials", number=1, miner=MINER, salt=salt).SerializeToString()
    findings = check(opening, submission, work, p, beacon, drawn=items, items=items)
    wrong = {one.item for one in findings if one.outcome is Outcome.WRONG}
    right = {one.item for one in findings if one.outcome is Outcome.RIGHT}
    misjudged = len(items) - len(right - played.false) - len(wrong & played.false)
    return Judged(bool(wrong), expected(played, work.segments), misjudged)


def expected(played: Played, segments: int) -> float:
    """The chance that a false item of these is drawn."""
    if segments + 1 in played.false:
        return 1.0
    left = segments - len(played.false)
    return 1 - math.comb(left, DRAWN) / math.comb(segments, DRAWN)


def measure(options: Options) -> list[dict[str, object]]:
    """A row for each cheat and share."""
    if options.quick:
        return [_row(cheat, [judged(cheat, (options.seed, at, 0))]) for at, cheat in enumerate(plays())]
    rows = []
    context = get_context("forkserver")
    with ProcessPoolExecutor(options.processes, mp_context=context) as pool:
        for at, cheat in enumerate(plays()):
            places = [(options.seed, at, number) for number in range(options.trials)]
            some = max(1, options.trials // 20)
            rows.append(_row(cheat, pool.map(_numbered, repeat(at), places, chunksize=some)))
    return rows


def _numbered(at: int, place: tuple[int, ...]) -> Judged:
    return judged(plays()[at], place)


def _row(cheat: Cheat, done: Iterable[Judged]) -> dict[str, object]:
    done = list(done)
    found, count = sum(one.found for one in done), len(done)
    chance = sum(one.chance for one in done) / count
    low, high = interval(found, count)
    return {
        "cheat": cheat.name,
        "skipped": f"{cheat.share} %" if cheat.share else "",
        "found": f"{found} of {count}",
        "expected": f"{chance:.2%}",
        "95 % interval of what was found": f"{low:.1%} to {high:.1%}",
        "within": "yes" if low - 1e-9 <= chance <= high + 1e-9 else "no",
        "items misjudged": sum(one.misjudged for one in done),
    }


def interval(found: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a rate of which `found` of `count` were seen (Wilson 1927)."""
    rate, square = found / count, NORMAL**2
    middle = (rate + square / (2 * count)) / (1 + square / count)
    half = NORMAL * math.sqrt(rate * (1 - rate) / count + square / (4 * count**2)) / (1 + square / count)
    return max(0.0, middle - half), min(1.0, middle + half)
