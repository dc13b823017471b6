"""A network of real Hyperledger Fabric 3.1 nodes, in containers or as processes, brought up from Python alone.

    network.yaml with a section `fabric`  ->  identities, genesis block, settings  ->  nodes  ->  channel  ->  chaincode

`quorumlearn_network.up` calls it for every network whose description has that section; nothing else needs to know.
"""

from quorumlearn_network.fabric.errors import (
    DiskError,
    FabricError,
    MissingError,
    RefusedError,
    UnreachableError,
)
from quorumlearn_network.fabric.layout import Layout, plan
from quorumlearn_network.fabric.up import bring_down, bring_up, nodes_of, status

__all__ = [
    "DiskError",
    "FabricError",
    "Layout",
    "MissingError",
    "RefusedError",
    "UnreachableError",
    "bring_down",
    "bring_up",
    "nodes_of",
    "plan",
    "status",
]
