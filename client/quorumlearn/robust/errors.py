"""What can go wrong in choosing weights, one type for each thing a caller can do about it."""

from __future__ import annotations


class RobustError(Exception):
    """Base of all errors of this package."""


class RuleError(RobustError):
    """No rule of that name, or parameters it refuses: correct the task."""


class TooFewVectors(RobustError):
    """Fewer vectors than the rule's assumption about Byzantine ones allows; see `Rule.for_remaining`."""


class VectorError(RobustError):
    """An input that is no matrix of numbers, or an order that is none."""
