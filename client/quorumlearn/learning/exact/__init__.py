"""Training that can be replayed to the byte: from any checkpoint, in any process, and where it is portable on any processor.

    training = exact_training(workload, portable=True, grid_bits=20)
    begun = training.begin(base)
    first = training.run(begun, data, seed=seed, total=240, until=100)
    again = training.run(begun, data, seed=seed, total=240, until=100, ties=first.ties)
    assert again.end == first.end and again.receipt == first.receipt

Rules:
1. What a step does is a function of (state, data, seed, number of the step): order of batches, dropout and whatever else is drawn come
   from a stream of (seed, step), and no generator's state is carried over. So run(a to b) and run(b to c) equal run(a to c).
2. Portable: float64, gradients and buffers on a grid (`grid`), optimisers of operations that are rounded one by one (`optimisers`),
   randomness of whole numbers (`streams`), and a module's own draws lent from it or refused (`operations`).
3. Not portable: float32 as it comes, the same to the byte within one numeric profile (`profile`).
4. What cannot be replayed is refused before its first step, with the way out.
"""

from quorumlearn.learning.errors import WrongTie
from quorumlearn.learning.exact.choice import exact_training
from quorumlearn.learning.exact.grid import LEAST_GRID_BITS, MOST_GRID_BITS
from quorumlearn.learning.exact.stretch import ExactTraining, NearTie, State, Stretch

__all__ = [
    "LEAST_GRID_BITS",
    "MOST_GRID_BITS",
    "ExactTraining",
    "NearTie",
    "State",
    "Stretch",
    "WrongTie",
    "exact_training",
]
