"""Rules by name, as a task writes them. A new one stands in RULES, _RULE and the table here, and in
`quorumlearn_proto.rules`. The ledger takes any name.

A name is a rule's, or pre-aggregations and a rule joined by `+`, the first applied first:
`nnm+multi-krum`, `bucketing+nnm+geometric-median`. Each part takes its own parameters from the task's, as text:

| part | parameters |
| --- | --- |
| `mean` | |
| `multi-krum` | `selected` (whole, m; default n - f), `margin` (number from 0 and below 1, default 0) |
| `l-nearest` | `nearest` (whole, l; default n - f) |
| `norm-clipping` | `clip` (number, default the median norm) |
| `centred-clipping` | `radius` (number, default the median distance), `steps` (whole, default 10) |
| `geometric-median` | `smoothing` (number, default 0.001), `steps` (whole, default 64) |
| `trust-scores` | ; needs the committee's root update |
| `clustering` | `slack` (number from 1, default 1.25) |
| `agreement` | `slack` (number above 0, default 2.5) |
| `nnm` (before a rule) | |
| `bucketing` (before a rule) | `bucket_size` (whole, default 2) |

A rule may come from another package, too (`robust.plugins`).

`multi-krum`, `l-nearest` and `nnm` use the task's f; the others need none. How many vectors it takes to withstand f Byzantine ones,
`quorumlearn_proto.rules` says, since the contracts ask for as many.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from quorumlearn.robust import plugins
from quorumlearn.robust.agreement import Agreement
from quorumlearn.robust.clipping import CentredClipping, GeometricMedian, NormClipping
from quorumlearn.robust.clustering import Clustering
from quorumlearn.robust.errors import RuleError
from quorumlearn.robust.geometry import Vectors
from quorumlearn.robust.mixing import Bucketing, Mixed, Mixture, NearestNeighbours
from quorumlearn.robust.rules import LNearest, Mean, MultiKrum, Rule
from quorumlearn.robust.trust import TrustScores

RULES = (
    "mean",
    "multi-krum",
    "l-nearest",
    "norm-clipping",
    "centred-clipping",
    "geometric-median",
    "trust-scores",
    "clustering",
    "agreement",
)
NEEDS_ROOT = "trust-scores"
MIXTURES = ("nnm", "bucketing")

FRACTIONS = 8
"""Integer weights that one miner's whole share is worth, on average, where a rule gives parts of one."""

_EQUAL = ("mean", "multi-krum", "l-nearest")
_MOST_PARTS = 4
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,12})?(e-?[0-9]{1,2})?", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass
class _Settings:
    """A task's parameters while they are read: each part takes its own, and what is left over is unknown."""

    left: dict[str, str]
    known: list[str]

    def whole(self, name: str) -> int | None:
        text = self._take(name)
        if text is not None and not _WHOLE.fullmatch(text):
            raise RuleError(f"{name} = {text!r}; it must be a whole number")
        return None if text is None else int(text)

    def number(self, name: str) -> float | None:
        text = self._take(name)
        if text is not None and not _NUMBER.fullmatch(text):
            raise RuleError(f"{name} = {text!r}; it must be a number, as 2, 0.5 or 1e-3")
        return None if text is None else float(text)

    def _take(self, name: str) -> str | None:
        self.known.append(name)
        return self.left.pop(name, None)


def make_rule(name: str, parameters: Mapping[str, str], byzantine: int, root: Vectors | None = None) -> Rule:
    """The rule of a task, see the table above. `byzantine` is the task's f; `root` is the committee's root
    update in the form of the vectors, (k,), which `trust-scores` needs and the others leave alone.

    RuleError for an unknown name, a parameter that no part has, a value it refuses, or a root that is missing.
    """
    *before, last = _parts(name)
    settings = _Settings(dict(parameters), [])
    mixtures = [_MIXTURE[part](settings, byzantine) for part in before]
    if last == NEEDS_ROOT:
        if root is None:
            raise RuleError("trust-scores needs the committee's root update, and there is none")
        rule: Rule = TrustScores(root)
    elif last not in _RULE:
        wanted = plugins.definition(last).parameters
        settings.known += wanted
        rule = plugins.made(
            last, {key: settings.left.pop(key) for key in wanted if key in settings.left}, byzantine
        )
    else:
        rule = _RULE[last](settings, byzantine)
    if settings.left:
        unknown = min(settings.left)
        raise RuleError(
            f"{name} has no parameter {unknown!r}; it has {', '.join(dict.fromkeys(settings.known)) or 'none'}"
        )
    for mixture in reversed(mixtures):
        rule = Mixed(mixture, rule)
    return rule


def needs_root(name: str) -> bool:
    """Whether a rule of this name compares with a root update. RuleError for an unknown name."""
    return _parts(name)[-1] == NEEDS_ROOT


def weight_room(name: str, miners: int) -> int:
    """The `max_weight_sum` that a task with this rule and so many miners should have: one for each miner where
    weights are all equal, FRACTIONS for each where they are not. RuleError for an unknown name."""
    first = _parts(name)[0]
    equal = first in _EQUAL or (first not in (*RULES, *MIXTURES) and plugins.definition(first).equal)
    return miners if equal else miners * FRACTIONS


def rules() -> dict[str, str]:
    """The rules that there are here: by name, where from."""
    return plugins.plugged() | dict.fromkeys(RULES, "quorumlearn")


def copy_of(name: str, parameters: Mapping[str, str], byzantine: int) -> dict[str, str]:
    """What a task says, beside a rule's own parameters, of a rule that is not QuorumLearn's: which copy of it all verifiers must have.
    Nothing of one of QuorumLearn's. RuleError for an unknown name or a parameter that it refuses."""
    last = _parts(name)[-1]
    if last in RULES:
        return {}
    wanted = plugins.definition(last).parameters
    return plugins.copy_of(last, {key: parameters[key] for key in wanted if key in parameters}, byzantine)


def of_package(parameters: Mapping[str, str]) -> bool:
    """Whether a task's rule has these parameters because another package brings it."""
    return plugins.VERSION in parameters


def check_copy(name: str, parameters: Mapping[str, str], byzantine: int) -> dict[str, str]:
    """The parameters of a task's rule without what is said of its copy; RuleError if the copy here is another, or the task says of none."""
    own = {key: value for key, value in parameters.items() if key not in (plugins.VERSION, plugins.DIGEST)}
    here = copy_of(name, own, byzantine)
    there = {key: parameters.get(key, "") for key in (here or parameters) if key not in own}
    if here == there:
        return own
    if not here:
        raise RuleError(
            f"{name} is QuorumLearn's own, and the task speaks of a copy of it ({', '.join(sorted(there))})"
        )
    version, wanted = here[plugins.VERSION], there[plugins.VERSION]
    raise RuleError(
        f"the task's rule {name} is version {wanted[:60]!r} and the one installed here {version!r}: install the task's, or leave it alone"
        if wanted != version
        else f"the rule {name}, version {version!r}, says other things here than where the task is from: install the same code"
    )


def _parts(name: str) -> list[str]:
    parts = name.split("+")
    if len(parts) > _MOST_PARTS:
        raise RuleError(f"{len(parts)} parts in the rule {name[:60]!r}; there may be {_MOST_PARTS}")
    if parts[-1] not in RULES and parts[-1] not in (others := plugins.plugged()):
        raise RuleError(
            f"no robust rule {parts[-1][:60]!r} is installed here; there are {', '.join((*RULES, *sorted(others)))}"
        )
    for part in parts[:-1]:
        if part not in MIXTURES:
            raise RuleError(f"{part!r} cannot come before a rule; {', '.join(MIXTURES)} can")
    return parts


def _multi_krum(settings: _Settings, byzantine: int) -> Rule:
    selected, margin = settings.whole("selected"), settings.number("margin")
    return MultiKrum(byzantine, selected, 0.0 if margin is None else margin)


def _l_nearest(settings: _Settings, byzantine: int) -> Rule:
    return LNearest(byzantine, settings.whole("nearest"))


def _norm_clipping(settings: _Settings, byzantine: int) -> Rule:
    return NormClipping(settings.number("clip"))


def _centred_clipping(settings: _Settings, byzantine: int) -> Rule:
    radius, steps = settings.number("radius"), settings.whole("steps")
    return CentredClipping(radius) if steps is None else CentredClipping(radius, _bounded("steps", steps))


def _geometric_median(settings: _Settings, byzantine: int) -> Rule:
    smoothing, steps = settings.number("smoothing"), settings.whole("steps")
    plain = GeometricMedian()
    return GeometricMedian(
        plain.smoothing if smoothing is None else smoothing,
        plain.steps if steps is None else _bounded("steps", steps),
    )


def _clustering(settings: _Settings, byzantine: int) -> Rule:
    slack = settings.number("slack")
    return Clustering() if slack is None else Clustering(slack)


def _agreement(settings: _Settings, byzantine: int) -> Rule:
    slack = settings.number("slack")
    return Agreement() if slack is None else Agreement(slack)


def _nnm(settings: _Settings, byzantine: int) -> Mixture:
    return NearestNeighbours(byzantine)


def _bucketing(settings: _Settings, byzantine: int) -> Mixture:
    size = settings.whole("bucket_size")
    return Bucketing() if size is None else Bucketing(size)


def _bounded(name: str, steps: int, most: int = 1000) -> int:
    if steps > most:
        raise RuleError(f"{name} = {steps}; at most {most}")
    return steps


_RULE: Mapping[str, Callable[[_Settings, int], Rule]] = {
    "mean": lambda settings, byzantine: Mean(),
    "multi-krum": _multi_krum,
    "l-nearest": _l_nearest,
    "norm-clipping": _norm_clipping,
    "centred-clipping": _centred_clipping,
    "geometric-median": _geometric_median,
    "clustering": _clustering,
    "agreement": _agreement,
}
_MIXTURE: Mapping[str, Callable[[_Settings, int], Mixture]] = {"nnm": _nnm, "bucketing": _bucketing}
