"""An attacker that knows the rule and k, and searches what still passes.

It looks for mean + gamma * p, with p against the honest mean, that turns the aggregate back the furthest. It cannot
know the round's sketch, since the beacon comes after its commit, so it tries each gamma on sketches of its own
drawing and takes the one that is best on average: with a small k it may gamble on the sketch's error, which is what
makes it stronger than an attacker on exact distances. It also tries how much noise of its own each colluder should add: a
rule may count those who say nearly the same only once.

After Shejwalkar and Houmansadr, "Manipulating the Byzantine" (NDSS 2021): directions and search are theirs, the
test by the rule itself on sketches is ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from quorumlearn.attacks.sight import BehaviourError, Floats, Sight
from quorumlearn.attacks.updates import APART, apart

DRAWS = 3
SEARCH_SEED = 1  # of the attacker's own sketches, which need not be secret: the round's are others
GAMMAS = tuple(float(gamma) for gamma in np.geomspace(0.25, 16.0, 13))
SPREADS = (APART, 1.0, 3.0)
"""The squared norm of a colluder's own noise, in parts of that of what they share."""


@dataclass(frozen=True, eq=False)
class Found:
    """What colluders agree on: the update (d,) that they share, and how much noise of its own each adds."""

    update: Floats = field(repr=False)
    spread: float

    def own(self, seed: int) -> Floats:
        """What the colluder of this seed submits."""
        return apart(self.update, seed, self.spread)


def adaptive(sight: Sight) -> Floats:
    """The update found, apart from other colluders'. BehaviourError if the rule is not known."""
    return search(sight).own(sight.seed)


def search(sight: Sight) -> Found:
    """The same for all who know the same."""
    if sight.weigh is None:
        raise BehaviourError("adaptive works against the task's rule, and none was given")
    known = sight.known
    mean = known.mean(axis=0)
    alongs = known @ mean
    length = float(np.sqrt(((known - mean) ** 2).sum(axis=1).mean())) or float(np.linalg.norm(mean))
    signs = np.sign(mean)
    directions = [-mean, -signs, -known.std(axis=0) * signs]
    directions = [p * (length / size) for p in directions if (size := float(np.linalg.norm(p))) > 0]
    best, most = Found(mean, APART), 0.0
    random = np.random.default_rng(SEARCH_SEED)
    draws = [_sketch(np.vstack([known, mean, *directions]), sight.sketch_size, random) for _ in range(DRAWS)]
    for at, direction in enumerate(directions):
        for gamma in GAMMAS:
            planted = mean + gamma * direction
            for spread in SPREADS:
                harms = [
                    _harm(
                        sight,
                        draw[: len(known)],
                        draw[len(known)] + gamma * draw[len(known) + 1 + at],
                        spread,
                        alongs,
                        float(planted @ mean),
                        random,
                    )
                    for draw in draws
                ]
                harm = float(np.mean(harms))
                if harm > most:
                    best, most = Found(planted, spread), harm
    return best


def _harm(
    sight: Sight,
    honest: Floats,
    planted: Floats,
    spread: float,
    alongs: Floats,
    against: float,
    random: np.random.Generator,
) -> float:
    """How far the aggregate comes back along the honest mean, from the weights that this sketch would bring.

    honest (m, k) and planted (k,) are sketches; alongs (m,) and against are the updates' own products with the mean.
    """
    assert sight.weigh is not None
    own = random.normal(size=(sight.byzantine, len(planted)))
    own *= np.sqrt(spread * float(planted @ planted) / len(planted))
    weights = sight.weigh(np.vstack([honest, planted + own]))
    total = float(weights.sum())
    if total == 0:
        return 0.0
    along = np.append(alongs, np.full(sight.byzantine, against))
    return float(alongs.mean()) - float(weights @ along) / total


def _sketch(vectors: Floats, k: int, random: np.random.Generator) -> Floats:
    """A random sketch (n, k) of the rows: signs, Fourier transform, k numbers of it; keeps norms on average."""
    size = vectors.shape[1]
    spectrum = np.fft.rfft(vectors * random.choice([-1.0, 1.0], size))[:, 1 : (size + 1) // 2]
    if spectrum.shape[1] == 0:
        return vectors
    at = random.integers(spectrum.shape[1], size=k)
    parts = np.where(random.random(k) < 0.5, spectrum.real[:, at], spectrum.imag[:, at])
    sketches: Floats = parts * np.sqrt(2.0 / k)
    return sketches
