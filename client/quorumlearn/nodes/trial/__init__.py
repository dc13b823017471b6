"""A workload tried out on its user's own data, before anything is staked on it: `tried(Settings(...))` gives a `Report`."""

from quorumlearn.nodes.trial.fitting import Beyond, Fit, Grid
from quorumlearn.nodes.trial.outcome import Finding, Report, Scored, Settings, Travels, Verdict
from quorumlearn.nodes.trial.playing import tried
from quorumlearn.nodes.trial.price import Price

__all__ = [
    "Beyond",
    "Finding",
    "Fit",
    "Grid",
    "Price",
    "Report",
    "Scored",
    "Settings",
    "Travels",
    "Verdict",
    "tried",
]
