"""Miners that cheat, to be run in the same node as honest ones.

A behaviour says what a miner does in place of training honestly. Behaviours are named in a node's file
(`behaviour: noise`), so that an attack on a real network is one line of configuration. They are listed in
`behaviours`, where a new one begins; `updates`, `poisoning` and `adaptive` compute what the longer ones submit. Other packages
bring theirs by entry point (`plugins`).
"""

from quorumlearn.attacks.adaptive import Found, search
from quorumlearn.attacks.behaviours import BEHAVIOURS, Behaviour, Spoof, Tampering, make_behaviour
from quorumlearn.attacks.plugins import BehaviourDefinition, plugged
from quorumlearn.attacks.poisoning import backdoor_test, trigger
from quorumlearn.attacks.sight import BehaviourError, Sight

__all__ = [
    "BEHAVIOURS",
    "Behaviour",
    "BehaviourDefinition",
    "BehaviourError",
    "Found",
    "Sight",
    "Spoof",
    "Tampering",
    "backdoor_test",
    "make_behaviour",
    "plugged",
    "search",
    "trigger",
]
