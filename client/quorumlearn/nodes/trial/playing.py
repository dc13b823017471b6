"""A workload tried out on its user's own data, before anything is staked on it: two rounds as miners train them, without a ledger.

Rules:
- everything is done as nodes do it: the initial model of a seed, a training of each part, the difference, their mean, a score of the
  public model with the private part that the seed begins;
- whatever the user's code dies of is one sentence, a finding that fails; what was found before it is told all the same;
- a check fails where a miner would lose rounds or its owner's model, and is a note where somebody should look.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from quorumlearn import ckks, learning, robust, seeds
from quorumlearn.learning.own_code import own_code
from quorumlearn.nodes.trial import misuse
from quorumlearn.nodes.trial.fitting import Fit, fit
from quorumlearn.nodes.trial.looking import judged, seen
from quorumlearn.nodes.trial.outcome import Finding, Report, Scored, Settings, Travels, Verdict
from quorumlearn.nodes.trial.price import Price, measured

ROUNDS = 2
_SEED = 1
_SAID_EVERY = 5.0  # seconds of training
_WITHIN_ROUNDING = 1e-3  # of the largest value of an update: what a GPU's kernels differ by

Say = Callable[[str], None]


def tried(settings: Settings, say: Say = lambda _: None) -> Report:
    """Try it. WorkloadError if the workload is not installed or refuses its configuration, ParameterError for an unknown preset;
    everything else that goes wrong is a finding."""
    if settings.preset not in ckks.PRESETS:
        raise ckks.ParameterError(
            f"no parameters named {settings.preset!r}: there are {', '.join(ckks.PRESETS)}"
        )
    trial = _Trial(settings, learning.get_workload(settings.workload, settings.config), say)
    try:
        trial.play()
    except learning.LearningError as error:
        trial.find(trial.doing, "fails", str(error))
    return trial.report()


class _Trial:
    """What is known so far."""

    def __init__(self, settings: Settings, workload: learning.Workload, say: Say) -> None:
        self.settings, self.workload, self.say = settings, workload, say
        self.doing = "model"
        self.findings: list[Finding] = []
        self.travels: Travels | None = None
        self.shards: list[learning.Data] = []
        self.test: learning.Data | None = None
        self.rounds: list[Scored] = []
        self.updates: list[learning.Update] = []
        self.fit: Fit | None = None
        self.encrypted: float | None = None
        self.price: Price | None = None

    def find(self, check: str, verdict: Verdict, said: str) -> None:
        self.findings.append(Finding(check, verdict, said))

    def report(self) -> Report:
        metric = self.workload.metric
        return Report(
            workload=self.workload.name,
            version=self.workload.version,
            metric=metric.name,
            lower_is_better=metric.lower_is_better,
            travels=self.travels,
            miners=tuple(len(shard) for shard in self.shards),
            test=0 if self.test is None else len(self.test),
            rounds=tuple(self.rounds),
            fit=self.fit,
            encrypted=self.encrypted,
            price=self.price,
            findings=tuple(dict.fromkeys(self.findings)),
        )

    def play(self) -> None:
        self.say("making the model")
        whole = self._begun()
        learning.warm_up(self.workload, training=True)
        built = self._times_built()
        self.doing = "data"
        self._take_data()
        self.doing = "rounds"
        base = self._play_rounds(whole)
        self.doing = "repeats"
        self._repeat(whole)
        self.doing = "shapes"
        self.find("shapes", "holds", "every training gave the tensors that it was given")
        self._count_building(built)
        self.doing = "exceptions"
        self.say("giving it what it cannot use")
        self.findings += misuse.findings(self.workload, whole, self.shards[0])
        self.doing = "encryption"
        self._encrypt(base)

    def _begun(self) -> learning.Model:
        """The whole model of the seed; and what of it travels."""
        with own_code(self.workload.name, "making the model", "correct the workload", learning.ModelError):
            shapes = dict(self.workload.shapes)
            public = self._public()
            whole = self.workload.initial_model(_SEED)
            again = self.workload.initial_model(_SEED)
        travelling = learning.public_shapes(shapes, public)
        if learning.shapes_of(whole) != shapes:
            raise learning.ModelError(
                f"{self.workload.name}: the initial model has not the tensors that `shapes` says"
            )
        blocks: dict[str, int] = {}
        for name, shape in travelling.items():
            block = name.partition(".")[0]
            blocks[block] = blocks.get(block, 0) + learning.size_of({name: shape})
        self.travels = Travels(
            parameters=learning.size_of(travelling),
            blocks=blocks,
            tensors=travelling,
            stays=tuple(block for block in self.workload.blocks if block not in public),
            fixed=dict(self.workload.fixed),
            digest=learning.digest_of(self.workload, public),
        )
        same = learning.to_bytes(whole) == learning.to_bytes(again)
        self.find(
            "begins",
            "holds" if same else "fails",
            "the initial model is the same each time"
            if same
            else "the initial model differs from one time to the next: draw from torch's, numpy's or Python's global generator only",
        )
        return whole

    def _public(self) -> tuple[str, ...]:
        public = self.settings.public
        return tuple(self.workload.blocks) if public == ("all",) else public

    def _take_data(self) -> None:
        self.say("reading the data")
        kept = self.settings
        with own_code(
            kept.workload, "reading the data", "correct the reader or the data", learning.DataCorrupt
        ):
            parts = [
                self.workload.load(kept.source, learning.Part("train", text, f"TrialMSP/miner{number}"))
                for number, text in enumerate(kept.parts or ("",), start=1)
            ]
            test_text = kept.test_part or (kept.parts[0] if kept.parts else "")
            self.test = self.workload.load(kept.source, learning.Part("test", test_text, "TrialMSP/verifier"))
            digests = [parts[0].digest() for _ in range(2)]
        for what, data in (("training", parts[0]), ("test", self.test)):
            self.findings += seen(what, data)
        if len(set(digests)) > 1 or len(digests[0]) != 64:
            self.find(
                "digest", "fails", "the data's digest is no SHA-256 that stays: data_budget counts by it"
            )
        first = parts[0]
        if kept.parts or not isinstance(first, learning.Samples):
            self.shards = parts
            return
        try:
            self.shards = [
                first.take(part) for part in learning.iid(np.arange(len(first)), kept.miners, _SEED)
            ]
        except learning.ShardError as error:
            raise learning.ShardError(f"{error}; use more data, or fewer --miners") from error

    def _train(self, whole: learning.Model, place: int, seed: int, what: str) -> learning.TrainResult:
        said = time.monotonic()

        def on_step(done: int, of: int) -> None:
            nonlocal said
            if time.monotonic() - said > _SAID_EVERY:
                said = time.monotonic()
                self.say(f"{what}: step {done} of {of}")

        self.say(what)
        with own_code(self.workload.name, "training", "correct the workload or the data"):
            result = self.workload.train(whole, self.shards[place], seed=seed, on_step=on_step)
        if learning.shapes_of(result.model) != learning.shapes_of(whole):
            raise learning.ModelError(
                f"{self.workload.name}: training gave tensors of other names or shapes; it must keep them"
            )
        learning.to_bytes(result.model)
        return result

    def _play_rounds(self, whole: learning.Model) -> learning.Model:
        """The base of the last round; its updates are the last of `updates`."""
        public, initial = learning.split(whole, self._public())
        private = [initial] * len(self.shards)
        self.rounds.append(self._scored(0, public, initial, 0.0))
        base = public
        for number in range(1, ROUNDS + 1):
            base, began, updates = public, time.perf_counter(), []
            for place in range(len(self.shards)):
                what = f"round {number} of {ROUNDS}, miner {place + 1} of {len(self.shards)}"
                seed = seeds.derive(_SEED, "trial", number, place)
                result = self._train(learning.merge(public, private[place]), place, seed, what)
                after, private[place] = learning.split(result.model, self._public())
                updates.append(learning.difference(after, public))
            seconds = time.perf_counter() - began
            self.updates += updates
            public = learning.apply_update(public, np.mean(updates, axis=0))
            self.rounds.append(self._scored(number, public, initial, seconds))
        first, last = self.rounds[0].score, self.rounds[-1].score
        if (last > first) if self.workload.metric.lower_is_better else (last < first):
            self.find(
                "learns",
                "note",
                f"the score became worse, from {first:.4f} to {last:.4f}: look at learning_rate and the data",
            )
        return base

    def _scored(self, number: int, public: learning.Model, private: learning.Model, seconds: float) -> Scored:
        assert self.test is not None
        self.say("scoring")
        with own_code(self.workload.name, "scoring", "correct the metric or the test data"):
            score = self.workload.evaluate(learning.merge(public, private), self.test)
        if score.samples != len(self.test):
            raise learning.ScoreError(
                f"{self.workload.name}: the metric gave {score.samples} parts for {len(self.test)} samples; it must give one for each"
            )
        return Scored(number, score.value, score.loss, seconds)

    def _repeat(self, whole: learning.Model) -> None:
        """Train the first miner's first round again with its seed, and with another."""
        public = learning.split(whole, self._public())[0]
        found = []
        for seed in (seeds.derive(_SEED, "trial", 1, 0), seeds.derive(_SEED, "trial", "another")):
            result = self._train(whole, 0, seed, "training again, to compare")
            found.append(learning.difference(learning.split(result.model, self._public())[0], public))
        first, again, other = self.updates[0], *found
        apart = float(np.abs(first - again).max(initial=0.0))
        if np.array_equal(first, again):
            self.find("repeats", "holds", "a training repeats from its seed, to the byte")
        elif apart <= _WITHIN_ROUNDING * float(np.abs(first).max(initial=0.0)):
            self.find("repeats", "note", "a training repeats from its seed within rounding, as on a GPU")
        else:
            self.find(
                "repeats",
                "fails",
                f"a training does not repeat from its seed, values differ by up to {apart:.3g}: draw from torch's, numpy's or Python's "
                "global generator only, and keep nothing from one training to the next",
            )
        if np.array_equal(first, other) and first.any():
            self.find(
                "seeds",
                "note",
                "another seed gives the same update, so whoever guesses the data can confirm it: lower batch_size",
            )

    def _times_built(self) -> int | None:
        return self.workload.times_built if isinstance(self.workload, learning.Building) else None

    def _count_building(self, before: int | None) -> None:
        after = self._times_built()
        if before is None or after is None:
            return
        if after > before:
            self.find(
                "built", "fails", f"the model was made {after - before} times more in training and scoring"
            )
        else:
            self.find("built", "holds", f"the model was made {'once' if after == 1 else f'{after} times'}")

    def _encrypt(self, base: learning.Model) -> None:
        assert self.travels is not None
        if not np.any(self.updates):
            self.find(
                "learns",
                "fails",
                "no training changed anything that travels: look at what is frozen, and at learning_rate",
            )
            return
        self.say("measuring the encryption")
        miners, shapes = max(2, len(self.shards)), self.travels.tensors
        try:
            self.fit = fit(self.updates, shapes, preset=self.settings.preset, miners=miners)
        except (ckks.ParameterError, robust.RobustError) as error:
            self.find("encryption", "fails", str(error))
            return
        self.findings += judged(self.fit)
        p, last = self.fit.parameters, self.updates[-len(self.shards) :]
        mean = np.mean([ckks.quantise(one, p, b"trial") for one in last], axis=0) * 2.0**-p.step_bits
        initial = learning.split(self.workload.initial_model(_SEED), self._public())[1]
        self.encrypted = self._scored(ROUNDS, learning.apply_update(base, mean), initial, 0.0).score
        self.price = measured(p, self.updates, miners)
        self.find(
            "exact",
            "holds" if self.price.exact else "fails",
            f"the encrypted sum of {miners} updates opens to "
            + (
                "the plain sum, number for number" if self.price.exact else "other numbers than the plain sum"
            ),
        )
