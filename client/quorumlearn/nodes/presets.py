"""Settings of published systems, by name, for a task's file: `preset: learningchain`. And two of our own, `useful-work` and `veiled`.

A preset fills in what the file leaves out; what the file says wins. `rule` is filled in as a whole or not at all, for a rule's
parameters mean nothing to another rule. Where a system's own means are others than ours, the preset takes the nearest that the
protocol has, and docs/presets.md says what differs.

Sources: Liang et al., "OmniLytics", https://arxiv.org/abs/2107.05252; Chen et al., "When Machine Learning Meets Blockchain",
IEEE Big Data 2018 (LearningChain); Korkmaz et al., "Chain FL", BCCA 2020; Blanchard et al., "Machine Learning with
Adversaries", NeurIPS 2017 (Krum).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quorumlearn import robust

Byzantine = Callable[[int], int]
LEAST = "f + 2"
"""A parameter of a preset's rule that stands for this number."""


@dataclass(frozen=True)
class Setting:
    """One field of a task's file, as a path of keys joined by dots, what the preset gives it, and why."""

    field: str
    value: object
    why: str


@dataclass(frozen=True)
class Preset:
    """A published system: `byzantine` gives its f for the fewest miners of a round, `assumed` says how."""

    source: str
    byzantine: Byzantine
    assumed: str
    settings: tuple[Setting, ...]


def _nobody(_: int) -> int:
    return 0


def _with_two_more(miners: int) -> int:
    return max(0, (miners - 2) // 2)


_KRUM_NEEDS = "the most that multi-Krum's guarantee allows, miners.minimum > 2f + 2"
_NO_GATE = Setting("tolerance", "100%", "the system has no gate: whatever its rule lets pass is accepted")

PRESETS: Mapping[str, Preset] = {
    "chainfl": Preset(
        "Korkmaz et al., Chain FL: decentralized federated machine learning via blockchain, BCCA 2020",
        _nobody,
        "0: no miner is assumed to cheat, the authorities' test sets judge what they make together",
        (
            Setting(
                "workload.name", "mnist-cnn", "a convolutional network on handwritten digits, shared whole"
            ),
            Setting("workload.config.late_rounds", "1", "online averaging: who is late is averaged in next"),
            Setting("rule", {"name": "mean"}, "plain averaging of whatever has arrived"),
            Setting("timeouts.commit", 120, "a round does not wait for its slowest miner"),
            Setting("tolerance", "1%", "proof of authority: authorities refuse a model that scores worse"),
        ),
    ),
    "krum": Preset(
        "Blanchard et al., Machine learning with adversaries: Byzantine tolerant gradient descent, NeurIPS 2017",
        robust.largest_byzantine,
        _KRUM_NEEDS,
        (
            Setting("workload.name", "mnist-mlp", "a perceptron on handwritten digits"),
            Setting(
                "public_blocks", ["top"], "its last layers, which are small enough to encrypt every round"
            ),
            Setting(
                "rule",
                {"name": "multi-krum", "parameters": {"selected": LEAST}},
                "Krum takes the one update nearest to its neighbours; here as many as a sum must hold, or it would be read",
            ),
            _NO_GATE,
        ),
    ),
    "learningchain": Preset(
        "Chen et al., When machine learning meets blockchain, IEEE Big Data 2018",
        _with_two_more,
        "the most of which a sum of f + 2 is left if f are kept out, miners.minimum >= 2f + 2",
        (
            Setting("workload.name", "mnist-cnn", "every parameter is shared"),
            Setting("workload.config.batch_size", "64", "larger batches drown less in the noise"),
            Setting("workload.config.learning_rate", "0.3", "clipped gradients are short"),
            Setting("workload.config.momentum", "0.0", "plain gradient descent, as published"),
            Setting(
                "workload.config.dp_clip", "1.0", "each sample's gradient counts for no more than this norm"
            ),
            Setting("workload.config.dp_noise", "1.0", "differentially private gradients: noise of one clip"),
            Setting(
                "workload.config.dp_delta", "1e-05", "less than one over the number of a miner's samples"
            ),
            Setting("rule", {"name": "l-nearest"}, "l-nearest aggregation, by cosine to the sum; l = n - f"),
            Setting("tolerance", "2%", "a model that scores worse is not built on"),
            Setting("challenge_window", 3600, "roll-back: an accepted block found bad is reverted"),
        ),
    ),
    "omnilytics": Preset(
        "Liang et al., OmniLytics, https://arxiv.org/abs/2107.05252",
        robust.largest_byzantine,
        _KRUM_NEEDS,
        (
            Setting("workload.name", "mnist-mlp", "the perceptron of LG-FedAvg, on which it builds"),
            Setting(
                "public_blocks", ["top"], "split model: 15.79 % of the parameters are shared, the rest stays"
            ),
            Setting("rule", {"name": "multi-krum"}, "multi-Krum on what is encrypted; m = n - f"),
            _NO_GATE,
        ),
    ),
    "useful-work": Preset(
        "our own: training on the task's own data, of which the committee replays a part that nobody can foresee; docs/useful-work.md",
        _nobody,
        "0: no update has to be told apart by a rule, for the work behind each is verified",
        (
            Setting("mode", "recompute", "who has not done the work is not paid, and loses stake"),
            Setting("workload.name", "mnist-cnn", "every parameter is shared"),
            Setting("workload.config.batch_size", "32", "a step as long as it is elsewhere here"),
            Setting("rule", {"name": "mean"}, "all work that stands counts alike"),
            Setting(
                "recompute.drawn",
                5,
                "of about 120 segments a round: who skips a tenth is found within ten rounds",
            ),
            Setting("recompute.exactness", "portable", "miners and seats may have different processors"),
            Setting("timeouts.replay", 300, "a seat replays its part while it does all else"),
        ),
    ),
    "veiled": Preset(
        "our own: a sketch tells the committee no class of a miner's data; docs/presets.md has the figures and the price",
        robust.largest_byzantine,
        _KRUM_NEEDS,
        (
            Setting("workload.name", "mnist-cnn", "every parameter is shared"),
            Setting("workload.config.batch_size", "16", "a small batch drowns in the noise"),
            Setting("workload.config.learning_rate", "0.1", "short steps, for noise is part of each"),
            Setting("workload.config.momentum", "0.0", "nor does noise add up"),
            Setting(
                "workload.config.dp_clip", "1.0", "each sample's gradient counts for no more than this norm"
            ),
            Setting("workload.config.dp_noise", "1.0", "noise of one clip, which many miners average out"),
            Setting("encryption.bound", 4.0, "the noise of some thousand steps stays within it"),
            Setting("encryption.sketch_size", 64, "fewer numbers of each update are opened"),
        ),
    ),
}


def with_preset(fields: object) -> object:
    """The fields of a task's file with those of its preset where it says nothing; unchanged if it names none that there is.

    What has not the form of a task's file stays as it is, for the reader to complain of.
    """
    if not isinstance(fields, dict) or not isinstance(fields.get("preset"), str):
        return fields
    preset = PRESETS.get(fields["preset"])
    if preset is None:
        return fields
    filled = copy.deepcopy(fields)
    for setting in preset.settings:
        _fill(filled, setting.field.split("."), copy.deepcopy(setting.value))
    miners = filled.get("miners")
    if isinstance(miners, dict) and isinstance(miners.get("minimum"), int):
        miners.setdefault("byzantine", preset.byzantine(miners["minimum"]))
        if isinstance(miners["byzantine"], int) and isinstance(filled.get("rule"), dict):
            parameters = filled["rule"].get("parameters")
            for name in [name for name, value in (parameters or {}).items() if value == LEAST]:
                parameters[name] = str(miners["byzantine"] + 2)
    return filled


def _fill(fields: dict[str, object], path: list[str], value: object) -> None:
    key, *rest = path
    if not rest:
        fields.setdefault(key, value)
        return
    part = fields.setdefault(key, {})
    if isinstance(part, dict):
        _fill(part, rest, value)
