"""Rules of other packages, by entry point in the group ENTRY_POINTS: the entry's name is the rule's, what it gives a `RuleDefinition`.

1. QuorumLearn's own rules come first; no package takes the name of one.
2. Every verifier of a task runs its own copy, and all must say the same, or they vote against each other. So a task carries what the
   owner's copy calls itself (`rule_version`) and the digest of what it says of vectors that everybody has (`rule_digest`). Whoever has
   another copy, or none, gets a RuleError before it takes a seat: it stakes nothing, so nothing can be taken from it.
3. A rule draws nothing at random and reads nothing but its arguments. One that says two things of the same vectors is refused; so is
   one that raises, or that gives weights which are none.
4. What a rule takes is named `own_...` on the ledger, or as a parameter that the ledger knows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import numpy as np

from quorumlearn.robust.errors import RobustError, RuleError, TooFewVectors
from quorumlearn.robust.geometry import Vectors, halving_sum
from quorumlearn.robust.rules import Rule, Weights

ENTRY_POINTS = "quorumlearn.rules"
VERSION, DIGEST = "rule_version", "rule_digest"
"""The parameters of a task's rule that say which copy of it all verifiers must have."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,39}", re.ASCII)
_WIDTH = 16
_EQUAL_BELOW = 6  # decimal places of a part of all weights: a last bit that differs from machine to machine is no other rule


@dataclass(frozen=True)
class RuleDefinition:
    """A rule as a package gives it. `make` has its parameters, as text, and the task's f, and raises RuleError for what it refuses;
    `parameters` are the names that it takes; `equal` says that its weights are 0 or all the same, so that sums stay small."""

    version: str
    make: Callable[[Mapping[str, str], int], Rule]
    parameters: tuple[str, ...] = ()
    equal: bool = False


@dataclass(frozen=True)
class _Guarded:
    """Somebody else's rule: whatever it dies of, or gives that is no answer, is a RuleError."""

    name: str
    rule: Rule

    def weights(self, vectors: Vectors) -> Weights:
        try:
            found = self.rule.weights(vectors.copy())
            values = np.asarray(found.values, dtype=np.float64)
            scores = np.asarray(found.scores, dtype=np.float64)
        except RobustError:
            raise
        except Exception as error:
            raise RuleError(f"the rule {self.name} fails: {type(error).__name__}: {error}") from error
        if values.shape != (len(vectors),) or scores.shape != values.shape:
            raise RuleError(f"the rule {self.name} gives {values.shape} weights for {len(vectors)} vectors")
        if not (np.isfinite(values).all() and np.isfinite(scores).all() and (values >= 0).all()):
            raise RuleError(f"the rule {self.name} gives weights or scores that are negative or not finite")
        return Weights(values, scores)

    def for_remaining(self, count: int, excluded: int) -> Rule:
        try:
            return _Guarded(self.name, self.rule.for_remaining(count, excluded))
        except RobustError:
            raise
        except Exception as error:
            raise RuleError(f"the rule {self.name} fails: {type(error).__name__}: {error}") from error


def plugged() -> dict[str, str]:
    """The rules of other packages that are installed: by name, where from."""
    return {
        entry.name: entry.value for entry in entry_points(group=ENTRY_POINTS) if _NAME.fullmatch(entry.name)
    }


def definition(name: str) -> RuleDefinition:
    """RuleError if no package has a rule of that name, two have, or it cannot be had."""
    found = [entry for entry in entry_points(group=ENTRY_POINTS) if entry.name == name]
    values = {entry.value for entry in found}
    if not _NAME.fullmatch(name) or not found:
        raise RuleError(f"no robust rule {name[:60]!r} is installed here: install the package that has it")
    if len(values) > 1:
        raise RuleError(f"the rule {name!r} is in several packages ({', '.join(sorted(values))}); leave one")
    return _loaded(found[0])


def made(name: str, parameters: Mapping[str, str], byzantine: int) -> Rule:
    """The rule of a package; RuleError for what it refuses or dies of."""
    try:
        return _Guarded(name, definition(name).make(dict(parameters), byzantine))
    except RobustError:
        raise
    except Exception as error:
        raise RuleError(f"the rule {name} cannot be made: {type(error).__name__}: {error}") from error


def copy_of(name: str, parameters: Mapping[str, str], byzantine: int) -> dict[str, str]:
    """What a task says of the copy that is installed here: its version, and the digest of what it says of vectors that all have."""
    return dict(_copy_of(definition(name), name, tuple(sorted(parameters.items())), byzantine))


@cache
def _copy_of(
    found: RuleDefinition, name: str, parameters: tuple[tuple[str, str], ...], byzantine: int
) -> tuple[tuple[str, str], ...]:
    rule = made(name, dict(parameters), byzantine)
    said, again = _said(rule, byzantine), _said(rule, byzantine)
    if said != again:
        raise RuleError(
            f"the rule {name} says two things of the same vectors: it must draw nothing at random"
        )
    digest = hashlib.sha256(json.dumps([name, found.version, said]).encode()).hexdigest()
    return (VERSION, found.version), (DIGEST, digest)


@cache
def _loaded(entry: EntryPoint) -> RuleDefinition:
    try:
        found = entry.load()
    except (Exception, SystemExit) as error:
        raise RuleError(
            f"the rule {entry.name} cannot be had from {entry.value}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, RuleDefinition):
        raise RuleError(
            f"the rule {entry.name} is a {type(found).__name__} at {entry.value}; a RuleDefinition is wanted"
        )
    if not _VERSION.fullmatch(found.version):
        raise RuleError(
            f"the rule {entry.name} has the version {found.version!r}; letters, digits and . + _ - can be in one"
        )
    return found


def _said(rule: Rule, byzantine: int) -> list[list[float] | str]:
    """Parts of one that the rule gives rows of fixed vectors, the first f of them far away, for two numbers of rows."""
    answers: list[list[float] | str] = []
    for count in (2 * byzantine + 3, 4 * byzantine + 5):
        vectors = _fixed(count)
        vectors[:byzantine] *= 8
        try:
            values = rule.weights(vectors).values
        except TooFewVectors:
            answers.append("too few")
            continue
        total = float(halving_sum(values))
        answers.append([round(float(value) / total, _EQUAL_BELOW) if total else 0.0 for value in values])
    return answers


def _fixed(count: int) -> Vectors:
    """Numbers from -1 to 1, (count, _WIDTH), the same everywhere; their mean is not zero, as that of updates."""
    words = hashlib.shake_256(b"vectors by which copies of a rule are told apart").digest(4 * count * _WIDTH)
    numbers = np.frombuffer(words, dtype="<u4").astype(np.float64) / 2**31 - 1
    return np.ascontiguousarray(numbers.reshape(count, _WIDTH)) * 0.5 + 0.25
