"""One number for many samples, as parts of a score: what a fall of it may be by chance, when nobody knows which samples changed.

Whether a model is worse than another by more than chance follows from the samples on which they differ (`learning.scores`). An app that
tells only a mean leaves that out. For values between `least` and `largest` the mean is that of samples which all have one or the other, but
for one, and no other samples vary more. Which ones have which is drawn for each model, so that two models differ on as many samples as two
that know nothing of each other. Models of one task know more of each other than that, and differ less: a fall is so never taken for more
than chance that would not be. The price is a gate that notices less; an app that tells a list, one value a sample, has the sharp one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def spread(mean: float, samples: int, least: float, largest: float, order: bytes) -> NDArray[np.float64]:
    """float64 (samples,) between `least` and `largest`, whose mean is `mean`; `order`, 32 bytes, draws which samples have which."""
    share = samples * (mean - least) / (largest - least)
    whole = round(share) if abs(share - round(share)) < 0.01 else int(share)
    parts = np.zeros(samples)
    parts[:whole] = 1.0
    if whole < samples and share > whole + 0.01:
        parts[whole] = share - whole
    drawn = np.random.default_rng(list(order)).permutation(samples)
    return least + (largest - least) * parts[drawn]
