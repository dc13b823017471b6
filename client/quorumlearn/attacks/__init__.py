"""Miners that cheat, to be run in the same node as honest ones.

A behaviour says what a miner does in place of training honestly. Behaviours are named in a node's file
(`behaviour: noise`), so that an attack on a real network is one line of configuration.
"""

from quorumlearn.attacks.adaptive import search
from quorumlearn.attacks.behaviours import BEHAVIOURS, Behaviour, Tampering, make_behaviour
from quorumlearn.attacks.poisoning import trigger
from quorumlearn.attacks.sight import BehaviourError, Sight
from quorumlearn.attacks.updates import apart

__all__ = [
    "BEHAVIOURS",
    "Behaviour",
    "BehaviourError",
    "Sight",
    "Tampering",
    "apart",
    "make_behaviour",
    "search",
    "trigger",
]
