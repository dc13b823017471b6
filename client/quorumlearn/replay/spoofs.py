"""The published spoofs of proof of learning, played against traces of exact training.

Proof of learning (Jia et al., S&P 2021, arXiv 2103.05633) has a prover log checkpoints *with* the data points, hyperparameters and order of
batches between them. A verifier replays some, or the Q largest updates of each epoch, and accepts within a tolerance. Both spoofs live on
that: on what the prover may hand in, and on the tolerance. Here data, order and hyperparameters are the task's, checkpoints are drawn by a
beacon after they were committed, and digests are compared. What each spoof has to give up stands with it; what is left of it is a way of
skipping. `tests/client/replay/test_spoofs.py` shows that each deceives the verifier that it was made for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from quorumlearn import ckks
from quorumlearn.learning import Samples
from quorumlearn.learning.exact import State
from quorumlearn.replay.cheats import Forging, Played, less, plus
from quorumlearn.replay.tensors import Arrays
from quorumlearn.replay.work import Work

Craft = Callable[[Work, State, Arrays, int], Samples]
"""Data on which a segment's training (work, start, wanted weights, number of the segment) ends in about the wanted weights."""


def synthesised(
    work: Work, parameters: ckks.Parameters, skipped: Collection[int], wanted: Arrays, craft: Craft
) -> Played:
    """Zhang et al., "'Adversarial Examples' for Proof-of-Learning", S&P 2022, arXiv 2108.09454, attack II.

    There a thief who has a final model sets checkpoints on the line to it, and finds for each pair of neighbours data, each barely changed
    as an adversarial example is, on which one training step leads from the one to the other; the verifier is handed these data. Here the
    model to get to (`wanted`) is made up, checkpoints of skipped segments are what training on crafted data ends in, and so would be
    confirmed to the byte by whoever replays on those data.
    Given up: handing in data. A seat takes the team's chunks and the seed's order. Crafting data costs more than a segment's training, too.
    """
    forging = Forging(work)
    while (number := forging.next) <= work.segments:
        if number not in skipped:
            forging.train()
            continue
        left = work.segments + 1 - number
        target = plus(forging.last.weights, less(wanted, forging.last.weights), 1 / left)
        data = craft(work, forging.last, target, number)
        done = work.training.run(
            forging.last, data, seed=work.seed, total=work.steps, until=work.step_of(number)
        )
        forging.make_up(done.end.weights, done.end.optimiser, done.ties)
    return forging.played(parameters)


def infinitesimal(
    work: Work, parameters: ckks.Parameters, skipped: Collection[int], wanted: Arrays, reach: float
) -> Played:
    """Fang et al., "Proof-of-Learning is Currently More Broken Than You Think", EuroS&P 2023, arXiv 2208.03567: infinitesimal updates.

    There the prover says that its learning rate was tiny. Every true step is shorter than the tolerance then, and checkpoints on the line
    to a stolen model pass whatever the data, if they are as close to each other. Here each skipped segment goes the part `reach` of what is
    left of the way to `wanted`, however far below any tolerance that is.
    Given up: naming the learning rate, which is the task's, and taking as many checkpoints as the way needs, for the task says how many:
    tiny steps get nowhere. And the tolerance, which is none: a state that is off by one bit has another digest.
    """
    forging = Forging(work)
    while (number := forging.next) <= work.segments:
        if number in skipped:
            before = forging.last.weights
            forging.make_up(plus(before, less(wanted, before), reach))
        else:
            forging.train()
    return forging.played(parameters)


def blindfold(work: Work, parameters: ckks.Parameters, trained: int, wanted: Arrays, reach: float) -> Played:
    """Fang et al. 2023, the blindfold top-Q attack, on a verifier that replays the Q largest updates of each epoch.

    There the prover trains Q steps of an epoch truly, so that these are its largest updates and right, and makes up smaller ones else.
    Here it trains the first `trained` segments, and goes on as in `infinitesimal`.
    Given up: knowing what is looked at. The beacon draws segments alike, whatever their size, after the root was committed.
    """
    rest = range(trained + 1, work.segments + 1)
    return infinitesimal(work, parameters, rest, wanted, reach)
