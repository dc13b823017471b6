"""Whoever knows all that is public, and guesses a miner's data rightly, cannot tell that the guess is right.

The attacker is a member of the channel: it reads the task, the base, the beacon, the manifest with its artifacts and the claim, and it runs
our own code. It tries a whole data set, one unknown label, and one record that was used or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from quorumlearn import ckks, learning, seeds
from quorumlearn.learning import Samples, get_workload
from quorumlearn.nodes import exchange, randomness, salts, sealing
from quorumlearn.nodes.encryption import record_of
from quorumlearn.nodes.journal import Journal
from quorumlearn.nodes.models import workload_of, workload_record
from quorumlearn.nodes.randomness import Training
from quorumlearn_proto import block_pb2 as b
from quorumlearn_proto import canonical
from quorumlearn_proto import task_pb2 as t
from quorumlearn_proto.artifact_pb2 import CollectiveKey

from tests.client.nodes.committee import committee_of
from tests.client.nodes.seats import Ledger, miner_in

ME, SEATS = "M/a", (1, 2, 3)
CONFIG = {"batch_size": "16"}


def samples(seed: int) -> Samples:
    random = np.random.default_rng(seed)
    return Samples(random.random((48, 1, 28, 28), dtype=np.float32), random.integers(0, 10, 48))


def guesses(true: Samples) -> dict[str, Samples]:
    """The right one first, then one wrong one of each kind."""
    labels = true.targets.copy()
    labels[7] = (labels[7] + 1) % 10
    kept = np.arange(len(labels)) != 5
    return {
        "right": true,
        "another data set": samples(2),
        "another label": Samples(true.inputs, labels),
        "a record less": Samples(true.inputs[kept], true.targets[kept]),
    }


@dataclass(frozen=True)
class Public:
    """What everybody sees of a miner's round."""

    spec: t.TaskSpec
    now: b.Round
    base: learning.Model
    parameters: ckks.Parameters
    plan: ckks.SketchPlan
    claim: str

    def update(self, data: Samples, drawn: Training, *, nearest: bool = False) -> NDArray[np.int64]:
        """What a miner with these data sends, if it draws this."""
        trained = workload_of(self.spec).train(self.base, data, seed=drawn.seed).model
        secret = None if nearest else drawn.rounding
        return ckks.quantise(learning.difference(trained, self.base), self.parameters, secret)

    def confirms(self, values: NDArray[np.int64], salt: bytes) -> bool:
        return ckks.claim(self.parameters, self.plan, values, ME, salt).hex() == self.claim


@dataclass(frozen=True)
class Sent:
    """A miner's round: what is public, and what only its node, or only a seat, has."""

    public: Public
    values: NDArray[np.int64]
    drawn: Training
    salt: bytes


@pytest.fixture(scope="module", params=[False, True], ids=["secret", "task repeatable"])
def sent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """A miner's node trains, commits and reveals; it was started without `--repeatable`, whatever its task asks for."""
    folder: Path = tmp_path_factory.mktemp("guessed")
    size = learning.size_of(get_workload("mnist-cnn", CONFIG).shapes)
    c = committee_of(3, 2, 1, security=128, size=size)
    spec = t.TaskSpec(
        task_id="task",
        seed=7,
        repeatable=request.param,
        ckks=record_of(c.parameters),
        workload=workload_record(get_workload("mnist-cnn", CONFIG), ["bottom", "top"]),
    )
    spec.committee.CopyFrom(t.Committee(msp_ids=["A", "B", "C"], threshold=2))
    ledger = Ledger()
    miner = miner_in(folder, ledger, lambda _: samples(1), me=ME)
    base = workload_of(spec).initial_model(spec.seed)
    key = exchange.put(miner.store, CollectiveKey(task_id="task", round=1, attempt=1, seats=SEATS, key=c.key))
    now = b.Round(task_id="task", number=1, phase=b.COMMIT, miners=[ME], seats=SEATS, collective_key=key)
    now.base.digest = "ab" * 32
    now.base.model.CopyFrom(miner.store.put(learning.to_bytes(base)))
    state = t.TaskState(task_id="task", status=t.RUNNING, round=1)
    view = b.TaskView(task=t.Task(spec=spec), state=state, round=now, miners=[ME])
    private = {seat: sealing.new_key() for seat in SEATS}
    for seat in SEATS:
        view.contributions.add(round=1, attempt=1, seat=seat, sealing_key=sealing.public_key(private[seat]))
    assert miner.act(view)
    drawn = randomness.training(spec, now, ME, miner.journal, repeatable=False)
    values = miner.trainer.workshop.find("task", 1, ME)
    assert values is not None
    view.round.phase = b.REVEAL
    view.round.beacon = c.plan.beacon.hex()
    view.submissions.add(task_id="task", round=1, miner=ME)
    assert miner.act(view)
    (_, _, _, manifest, claim) = ledger.taken[-1]
    revealed = canonical.from_json(b.Manifest, manifest.encode())
    assert revealed.sample_count == 0
    salt = salts.opened(miner.store, view.round, ME, revealed.salts, private[1], 1)
    public = Public(spec, view.round, base, c.parameters, c.plan, claim)
    return Sent(public, values, drawn, salt)


def tried(public: Public, data: Samples, folder: Path) -> Iterator[NDArray[np.int64]]:
    """The updates that somebody without the miner's secret can make of its data: as a miner's node would in this task, said to be
    repeatable or not, from the task's seed, and each rounded to the nearest step too."""
    own = [
        randomness.training(public.spec, public.now, ME, Journal(folder / str(word)), repeatable=word)
        for word in (False, True)
    ]
    repeated = t.TaskSpec()
    repeated.CopyFrom(public.spec)
    repeated.repeatable = True
    own.append(randomness.training(repeated, public.now, ME, Journal(folder / "task"), repeatable=True))
    own.append(Training(seeds.derive(public.spec.seed, "train", "task", ME, 1), bytes(32)))
    for drawn in own:
        for nearest in (False, True):
            yield public.update(data, drawn, nearest=nearest)


@pytest.mark.parametrize("guess", guesses(samples(1)))
def test_no_guess_is_confirmed_by_what_is_public_the_right_one_as_little_as_the_others(
    sent: Sent, tmp_path: Path, guess: str
) -> None:
    public, data = sent.public, guesses(samples(1))[guess]
    for values in tried(public, data, tmp_path):
        assert not np.array_equal(values, sent.values)
        for salt in (b"", bytes(32), bytes.fromhex(public.now.beacon)):
            assert not public.confirms(values, salt)


@pytest.mark.parametrize("guess", guesses(samples(1)))
def test_a_seat_that_knows_the_salt_confirms_no_guess_by_it_either(
    sent: Sent, tmp_path: Path, guess: str
) -> None:
    data = guesses(samples(1))[guess]
    assert not any(sent.public.confirms(values, sent.salt) for values in tried(sent.public, data, tmp_path))


def test_even_the_update_itself_is_not_confirmed_without_the_salt(sent: Sent) -> None:
    for salt in (b"", bytes(32), sent.salt[::-1]):
        assert not sent.public.confirms(sent.values, salt)


def test_with_the_miners_secret_and_the_salt_the_right_guess_and_no_other_would_be_confirmed(
    sent: Sent,
) -> None:
    """So these two are what protects it: the attack above is the right one."""
    found = {
        name: sent.public.confirms(sent.public.update(data, sent.drawn), sent.salt)
        for name, data in guesses(samples(1)).items()
    }
    assert found == {name: name == "right" for name in found}
