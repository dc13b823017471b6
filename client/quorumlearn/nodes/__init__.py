"""Nodes: owner, miner and verifier as loops driven by the ledger's state and events.

`steps` decides (pure functions), `worker` loops, `miner`, `verifier` and `owner` act, `ceremony`, `screening` and `candidate`
hold what verifiers compute together, `feed` keeps the ledger's view fresh, `journal` remembers. `run.Node` puts one organisation's
identities to work; `market.Market` is the contracts as typed Python.
"""

from quorumlearn.nodes.config import ConfigError, NodeConfig
from quorumlearn.nodes.market import Market, Refused
from quorumlearn.nodes.organisation import Organisation
from quorumlearn.nodes.run import Node, NodeFault

__all__ = ["ConfigError", "Market", "Node", "NodeConfig", "NodeFault", "Organisation", "Refused"]
