"""Robust rules by weights, and the selection of a round's contributors from their sketches. numpy only."""

from quorumlearn.robust.agreement import Agreement
from quorumlearn.robust.clipping import CentredClipping, GeometricMedian, NormClipping
from quorumlearn.robust.clustering import Clustering
from quorumlearn.robust.errors import RobustError, RuleError, TooFewVectors, VectorError
from quorumlearn.robust.geometry import squared_distances, squared_norms
from quorumlearn.robust.levels import Levels
from quorumlearn.robust.mixing import Bucketing, Mixed, Mixture, NearestNeighbours
from quorumlearn.robust.novelty import new_squares
from quorumlearn.robust.plugins import RuleDefinition
from quorumlearn.robust.registry import (
    FRACTIONS,
    MIXTURES,
    RULES,
    check_copy,
    copy_of,
    make_rule,
    needs_root,
    of_package,
    rules,
    weight_room,
)
from quorumlearn.robust.rounding import whole_weights
from quorumlearn.robust.rules import LNearest, Mean, MultiKrum, Rule, Weights, largest_byzantine
from quorumlearn.robust.selection import (
    LEAST_NEW,
    OUTLIER_FACTOR,
    Finding,
    Reason,
    order_matters,
    select,
)
from quorumlearn.robust.trust import TrustScores

__all__ = [
    "FRACTIONS",
    "LEAST_NEW",
    "MIXTURES",
    "OUTLIER_FACTOR",
    "RULES",
    "Agreement",
    "Bucketing",
    "CentredClipping",
    "Clustering",
    "Finding",
    "GeometricMedian",
    "LNearest",
    "Levels",
    "Mean",
    "Mixed",
    "Mixture",
    "MultiKrum",
    "NearestNeighbours",
    "NormClipping",
    "Reason",
    "RobustError",
    "Rule",
    "RuleDefinition",
    "RuleError",
    "TooFewVectors",
    "TrustScores",
    "VectorError",
    "Weights",
    "check_copy",
    "copy_of",
    "largest_byzantine",
    "make_rule",
    "needs_root",
    "new_squares",
    "of_package",
    "order_matters",
    "rules",
    "select",
    "squared_distances",
    "squared_norms",
    "weight_room",
    "whole_weights",
]
