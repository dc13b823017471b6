"""What a miner can do in place of honest work, by name.

A behaviour is text in a node's file: a name, then what it takes, separated by colons.

| behaviour | what its miner does |
| --- | --- |
| `honest` | trains and submits what it learned |
| `noise[:DEVIATION]` | submits Gaussian noise (0.5) |
| `free-rider[:NOISE]` | submits the last public step again, with noise of NOISE (0.2) times its length; in round 1 a little noise |
| `zero` | submits nothing but zeros: a free rider |
| `sign-flip[:FACTOR]` | submits minus FACTOR (1) times its own update |
| `scaling[:FACTOR]` | submits FACTOR (10) times its own update |
| `label-flip[:HIGHEST]` | trains on labels turned round: HIGHEST - l for l, by default its own highest |
| `backdoor[:LABEL]` | trains on a trigger: half of its samples carry a mark and are called LABEL (0) |
| `copy:USER` | submits USER's update |
| `mimic:USER` | submits USER's update with a little noise, so that it is no copy |
| `alie[:Z]:USER,...` | a little is enough: the mean of those it watches less Z (1.5) deviations |
| `inner-product[:FACTOR]:USER,...` | minus FACTOR (1) times the mean of those it watches |
| `adaptive:USER,...` | searches what the task's rule still lets pass on sketches of the task's size |
| `replay-plaintext` | submits its first update again, encrypted anew |
| `replay-ciphertext` | submits its first ciphertext again |
| `replay-rerandomised` | submits its first ciphertext plus a fresh encryption of zero |
| `skipper[:SHARE]` | where training is replayed: leaves out SHARE (0.1) of its segments |
| `other-seed` | the same: draws its batches from a seed of its own |
| `other-rate[:FACTOR]` | the same: trains with FACTOR (0.5) times the task's learning rate |
| `other-data` | the same: trains on half of its samples, each twice |
| `thief:USER` | the same: commits to USER's trace and submits its update; elsewhere a copy |
| `no-trace` | the same: trains and reveals, and opens nothing of it |
| `withhold` | commits, and never reveals |
| `malformed` | submits bytes that are no ciphertext |
| `overflow` | submits a ciphertext whose values are far over the bound |

USER is a miner of the same organisation, in the same process. No miner can see another organisation's update, so
this collusion inside one node is the strongest that the protocol leaves possible. Who watches waits until those
whom it watches have trained; a copier and a mimic until they have committed.

A behaviour is told what it needs (`poison`, `form`) and does nothing by itself: the node encrypts, commits and
reveals. The last six, which tamper with what others do right, are done by the node as `tampering` says. Where training is replayed a
behaviour that does not train commits to a trace of no training, whose end is the update that it submits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from quorumlearn.attacks import plugins, poisoning, updates
from quorumlearn.attacks.adaptive import adaptive
from quorumlearn.attacks.plugins import BehaviourDefinition
from quorumlearn.attacks.sight import BehaviourError, Floats, Inputs, Sight, Targets

Tampering = Literal[
    "replay-plaintext",
    "replay-ciphertext",
    "replay-rerandomised",
    "no-trace",
    "withhold",
    "malformed",
    "overflow",
]
Spoof = Literal["skipper", "other-seed", "other-rate", "other-data"]
"""Other trainings than the one that is asked for, where that can be replayed."""


@dataclass(frozen=True)
class _Kind:
    """What a behaviour takes and whether it trains; `strength` is the default of its number."""

    trains: bool = True
    strength: float | None = None
    watches: Literal["nobody", "one", "some"] = "nobody"


_KINDS = {
    "honest": _Kind(),
    "noise": _Kind(trains=False, strength=0.5),
    "free-rider": _Kind(trains=False, strength=0.2),
    "zero": _Kind(trains=False),
    "sign-flip": _Kind(strength=1.0),
    "scaling": _Kind(strength=10.0),
    "label-flip": _Kind(strength=0.0),
    "backdoor": _Kind(strength=0.0),
    "copy": _Kind(trains=False, watches="one"),
    "mimic": _Kind(trains=False, watches="one"),
    "alie": _Kind(strength=1.5, watches="some"),
    "inner-product": _Kind(strength=1.0, watches="some"),
    "adaptive": _Kind(watches="some"),
    "skipper": _Kind(strength=0.1),
    "other-seed": _Kind(),
    "other-rate": _Kind(strength=0.5),
    "other-data": _Kind(),
    "thief": _Kind(trains=False, watches="one"),
    **{name: _Kind() for name in get_args(Tampering)},
}
_FORMED = (
    "noise",
    "free-rider",
    "zero",
    "sign-flip",
    "scaling",
    "copy",
    "mimic",
    "alie",
    "inner-product",
    "adaptive",
)
BEHAVIOURS = tuple(_KINDS)
"""QuorumLearn's own; `attacks.plugins` has those of other packages."""

_NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?", re.ASCII)


@dataclass(frozen=True)
class Behaviour:
    """What a miner does: `name`, its number if it has one, and the users of its organisation that it watches."""

    name: str
    strength: float | None = None
    watches: tuple[str, ...] = ()

    @property
    def trains(self) -> bool:
        """Whether it trains at all; on what, `poison` says."""
        return _kind(self.name).trains

    @property
    def rides(self) -> bool:
        """Whether it needs to know how the public model moved last."""
        return self.name == "free-rider"

    @property
    def waits_for_commits(self) -> bool:
        """Whether those it watches must have committed before it acts, for only then is there a first and a
        copy. A mimic waits too: only in a common process could it submit before the one whose update it is, and then that one
        would be the copy."""
        return self.name in ("copy", "mimic", "thief")

    @property
    def tampering(self) -> Tampering | None:
        """What the node must do wrong for it."""
        return cast("Tampering", self.name) if self.name in get_args(Tampering) else None

    @property
    def forms(self) -> bool:
        """Whether what it submits is another update than its training gives; without training there is none."""
        plugged = _plugged(self.name)
        if plugged is not None:
            return True
        return self.name in _FORMED or self.tampering == "replay-plaintext"

    @property
    def spoofs(self) -> Spoof | None:
        """How its training is another than it says, where training is replayed. Elsewhere nobody could tell, and it trains."""
        return cast("Spoof", self.name) if self.name in get_args(Spoof) else None

    @property
    def degree(self) -> float:
        """Its number, or what that is by default; 0 for a behaviour without one."""
        default = _kind(self.name).strength
        return self.strength if self.strength is not None else default or 0.0

    @property
    def poisons(self) -> bool:
        """Whether it trains on other samples than it has."""
        plugged = _plugged(self.name)
        return self.name in ("label-flip", "backdoor") or (plugged is not None and plugged.poison is not None)

    def poison(self, inputs: Inputs, targets: Targets, seed: int) -> tuple[Inputs, Targets]:
        """The samples that it trains on, of its own, (n, ...) each; the same arrays where it poisons nothing."""
        if self.name == "label-flip":
            return inputs, poisoning.flip(targets, None if self.strength is None else int(self.strength))
        if self.name == "backdoor":
            return poisoning.plant(inputs, targets, int(self._strength), seed)
        plugged = _plugged(self.name)
        if plugged is None or plugged.poison is None:
            return inputs, targets
        return plugged.poison(inputs, targets, seed)

    def form(self, sight: Sight) -> Floats:
        """The update that it submits, float64 (d,), in the updates' own units.

        BehaviourError if `sight` lacks what it needs: its own update, if it trains, or those that it watches.
        """
        match self.name:
            case "noise":
                return updates.noise(sight, self._strength)
            case "free-rider":
                return updates.free_ride(sight, self._strength)
            case "zero":
                return np.zeros(sight.size)
            case "sign-flip":
                return -self._strength * sight.trained
            case "scaling":
                return self._strength * sight.trained
            case "copy" | "thief":
                return np.array(sight.seen[0])
            case "mimic":
                return updates.mimic(sight)
            case "alie":
                return updates.a_little_is_enough(sight, self._strength)
            case "inner-product":
                return updates.inner_product(sight, self._strength)
            case "adaptive":
                return adaptive(sight)
            case _:
                plugged = _plugged(self.name)
                return sight.trained if plugged is None else _formed(self.name, plugged, sight, self.strength)

    @property
    def _strength(self) -> float:
        default = _kind(self.name).strength
        assert default is not None
        return default if self.strength is None else self.strength

    def __str__(self) -> str:
        number = [] if self.strength is None else [f"{self.strength:g}"]
        return ":".join([self.name, *number, *([",".join(self.watches)] if self.watches else [])])


def make_behaviour(text: str) -> Behaviour:
    """Parse a behaviour as the table above writes it; BehaviourError names what is allowed."""
    name, *arguments = text.split(":")
    kind = _kind(name)
    strength = None
    if kind.strength is not None and arguments and _NUMBER.fullmatch(arguments[0]):
        strength = float(arguments.pop(0))
    watches: tuple[str, ...] = ()
    if kind.watches != "nobody":
        if not arguments or not all(arguments[0].split(",")):
            raise BehaviourError(f"{name} needs whom it watches, as in {name}:miner1")
        watches = tuple(arguments.pop(0).split(","))
        if kind.watches == "one" and len(watches) > 1:
            raise BehaviourError(f"{name} watches one miner, got {len(watches)}")
    if arguments:
        raise BehaviourError(f"{name} does not take {arguments[0]!r}")
    if name == "skipper" and strength is not None and strength > 1:
        raise BehaviourError(f"skipper:{strength:g}: it leaves out a share, at most 1")
    if name in ("label-flip", "backdoor") and strength is not None and not strength.is_integer():
        raise BehaviourError(f"{name}:{strength:g}: a label is a whole number")
    return Behaviour(name, strength, watches)


def _plugged(name: str) -> BehaviourDefinition | None:
    return None if name in _KINDS else plugins.definition(name)


def _kind(name: str) -> _Kind:
    """BehaviourError if there is none of that name."""
    if name in _KINDS:
        return _KINDS[name]
    found = plugins.definition(name)
    if found is None:
        there = ", ".join((*BEHAVIOURS, *sorted(plugins.plugged())))
        raise BehaviourError(f"there is no behaviour {name!r}; there are {there}")
    return _Kind(found.trains, found.strength, found.watches)


def _formed(name: str, plugged: BehaviourDefinition, sight: Sight, strength: float | None) -> Floats:
    """BehaviourError for what is no update."""
    formed = np.asarray(plugged.form(sight, strength if strength is not None else plugged.strength or 0.0))
    if formed.shape != (sight.size,) or not np.isfinite(formed).all():
        raise BehaviourError(
            f"the behaviour {name} forms {formed.shape} numbers; {sight.size} finite ones are wanted"
        )
    return formed.astype(np.float64)
