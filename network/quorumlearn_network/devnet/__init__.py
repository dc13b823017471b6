"""An embedded Fabric network: several organisations' peers, one orderer and one channel in one process.

It speaks Fabric's own protocols (Gateway, Endorser, Deliver, and the peer's side of chaincode as a service),
so any gateway client and any chaincode service works against it unchanged. It knows nothing of learning.

A peer's gRPC services are `gateway`, `endorser_service` and `deliver`; `app` adds them to each peer's server.

    with Devnet(load_config(Path("devnet.json"))) as devnet:
        print(devnet.addresses)             # {"OwnerMSP": "127.0.0.1:7051", ...}

or, as a process: `python -m quorumlearn_network.devnet --config devnet.json`.
"""

from quorumlearn_network.devnet.app import Devnet, serve
from quorumlearn_network.devnet.config import (
    BatchConfig,
    ChaincodeConfig,
    DevnetConfig,
    OrdererConfig,
    OrganisationConfig,
    load_config,
)
from quorumlearn_network.devnet.errors import ConfigError, DevnetError, LedgerError

__all__ = [
    "BatchConfig",
    "ChaincodeConfig",
    "ConfigError",
    "Devnet",
    "DevnetConfig",
    "DevnetError",
    "LedgerError",
    "OrdererConfig",
    "OrganisationConfig",
    "load_config",
    "serve",
]
