"""Robust rules by weights, and the selection of a round's contributors from their sketches. numpy only."""

from quorumlearn.robust.errors import RobustError, RuleError, TooFewVectors, VectorError
from quorumlearn.robust.geometry import squared_distances, squared_norms
from quorumlearn.robust.rules import RULES, Mean, MultiKrum, Rule, Weights, largest_byzantine, make_rule
from quorumlearn.robust.selection import (
    DUPLICATE_TOLERANCE,
    LEAST_NORM,
    OUTLIER_FACTOR,
    Finding,
    Reason,
    select,
)

__all__ = [
    "DUPLICATE_TOLERANCE",
    "LEAST_NORM",
    "OUTLIER_FACTOR",
    "RULES",
    "Finding",
    "Mean",
    "MultiKrum",
    "Reason",
    "RobustError",
    "Rule",
    "RuleError",
    "TooFewVectors",
    "VectorError",
    "Weights",
    "largest_byzantine",
    "make_rule",
    "select",
    "squared_distances",
    "squared_norms",
]
