"""A network of real Hyperledger Fabric 3.1 nodes, in containers or as processes, brought up from Python alone.

    network.yaml with a section `fabric`  ->  identities, genesis block, settings  ->  nodes  ->  channel  ->  chaincode

`quorumlearn_network.up` calls it for every network whose description has that section; nothing else needs to know.
"""

from quorumlearn_network.fabric.change import add_organisation, check_names, renew, restart, upgrade
from quorumlearn_network.fabric.errors import (
    FabricError,
    MissingError,
    RefusedError,
    UnreachableError,
)
from quorumlearn_network.fabric.layout import Layout, plan
from quorumlearn_network.fabric.report import ChaincodeReport, FabricReport, NodeReport, report
from quorumlearn_network.fabric.up import bring_down, bring_up, nodes_of, status

__all__ = [
    "ChaincodeReport",
    "FabricError",
    "FabricReport",
    "Layout",
    "MissingError",
    "NodeReport",
    "RefusedError",
    "UnreachableError",
    "add_organisation",
    "bring_down",
    "bring_up",
    "check_names",
    "nodes_of",
    "plan",
    "renew",
    "report",
    "restart",
    "status",
    "upgrade",
]
