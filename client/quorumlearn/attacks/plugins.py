"""Behaviours of other packages, by entry point in the group ENTRY_POINTS: the entry's name is the behaviour's, what it gives a
`BehaviourDefinition`. In a node's file they are written as QuorumLearn's own, which come first."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Literal

from quorumlearn.attacks.sight import BehaviourError, Floats, Inputs, Sight, Targets

ENTRY_POINTS = "quorumlearn.attacks"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)


@dataclass(frozen=True)
class BehaviourDefinition:
    """A behaviour as a package gives it.

    `about` is a line for people. `form` is what it submits, float64 (d,) in the updates' own units, of what it sees and its number.
    `poison`, if it has one, turns the samples that it trains on, (n, ...) each, into others, given a seed. `trains` says whether it
    trains at all, `strength` is the default of its number, if it takes one, and `watches` whose updates of its organisation it sees.
    """

    about: str
    form: Callable[[Sight, float], Floats]
    poison: Callable[[Inputs, Targets, int], tuple[Inputs, Targets]] | None = None
    trains: bool = True
    strength: float | None = None
    watches: Literal["nobody", "one", "some"] = "nobody"


def plugged() -> dict[str, str]:
    """The behaviours of other packages that are installed: by name, where from."""
    return {
        entry.name: entry.value for entry in entry_points(group=ENTRY_POINTS) if _NAME.fullmatch(entry.name)
    }


def definition(name: str) -> BehaviourDefinition | None:
    """None if no package has it; BehaviourError if it cannot be had."""
    found = [
        entry for entry in entry_points(group=ENTRY_POINTS) if entry.name == name and _NAME.fullmatch(name)
    ]
    return _loaded(found[0]) if found else None


@cache
def _loaded(entry: EntryPoint) -> BehaviourDefinition:
    try:
        found = entry.load()
    except (Exception, SystemExit) as error:
        raise BehaviourError(
            f"the behaviour {entry.name} cannot be had from {entry.value}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, BehaviourDefinition):
        raise BehaviourError(
            f"the behaviour {entry.name} is a {type(found).__name__} at {entry.value}; a BehaviourDefinition is wanted"
        )
    return found
