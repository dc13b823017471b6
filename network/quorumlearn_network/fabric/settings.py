"""The files that peers and orderers are started with: `core.yaml` and `orderer.yaml`, written out in full.

Rules:
- the same file, but for paths and addresses, starts a node in a container and as a process;
- gossip runs at a second and below: at its usual pace a gateway finds no endorsers for 20 s after a start;
- a peer takes blocks from the orderers itself, and runs chaincode as a service only;
- health and metrics (Prometheus) are served, on this machine only.

Source: Fabric's sample core.yaml and orderer.yaml, versions 3.0 and 3.1.
"""

from __future__ import annotations

import yaml

from quorumlearn_network.fabric.layout import Layout, OrdererNode, PeerNode, split
from quorumlearn_network.spec import LOG_FORM, Consensus, Logs, NetworkSpec

MESSAGE_BYTES = 100 << 20
_HEADER = "# Written by `quorumlearn network up` from network.yaml; a change made here is lost.\n"
DIRECT = {"NO_PROXY": "*", "no_proxy": "*"}
"""In the environment of peers and orderers: they talk to the network's own nodes only, whatever proxy a user needs."""


def log_form(spec: NetworkSpec) -> dict[str, str]:
    """What has a peer, an orderer or a chaincode service log in the description's form."""
    return {
        LOG_FORM: spec.logs.value,
        **({"FABRIC_LOGGING_FORMAT": "json"} if spec.logs is Logs.JSON else {}),
    }


_CRYPTO = {"Default": "SW", "SW": {"Hash": "SHA2", "Security": 256}}


def render_core(layout: Layout, peer: PeerNode) -> str:
    """A peer's core.yaml."""
    files = layout.files(peer.name, peer.identity)
    fields = {
        "peer": {
            "id": peer.name,
            "networkId": layout.spec.name,
            "listenAddress": peer.listens,
            "address": peer.reached,
            # Where chaincode that a peer starts itself would call back. There is none; no port is taken for it.
            "chaincodeListenAddress": "127.0.0.1:0",
            "chaincodeAddress": "127.0.0.1:1",
            "localMspId": peer.organisation.msp_id,
            "mspConfigPath": f"{files.identity}/msp",
            "fileSystemPath": files.ledger,
            "BCCSP": _CRYPTO,
            "tls": {
                "enabled": True,
                "cert": {"file": f"{files.identity}/tls/server.crt"},
                "key": {"file": f"{files.identity}/tls/server.key"},
                "rootcert": {"file": f"{files.identity}/tls/ca.crt"},
                "clientAuthRequired": False,
            },
            "authentication": {"timewindow": "15m"},
            "gateway": {
                "enabled": True,
                "endorsementTimeout": "30s",
                "broadcastTimeout": "3s",
                "dialTimeout": "30s",
            },
            "keepalive": {
                "interval": "7200s",
                "timeout": "20s",
                "minInterval": "10s",
                "client": {"interval": "60s", "timeout": "20s"},
                "deliveryClient": {"interval": "10s", "timeout": "3s"},  # of an orderer that hangs
            },
            "gossip": _gossip(peer),
            "deliveryclient": {
                "blockGossipEnabled": False,
                "reconnectTotalTimeThreshold": "87600h",  # a peer never gives its orderers up
                "connTimeout": "3s",
                "reConnectBackoffThreshold": "5s",
                "minimalReconnectInterval": "100ms",
                "policy": "cluster" if layout.fabric.consensus is Consensus.BFT else "simple",
            },
            "discovery": {
                "enabled": True,
                "authCacheEnabled": True,
                "authCacheMaxSize": 1000,
                "authCachePurgeRetentionRatio": 0.75,
                "orgMembersAllowedAccess": False,
            },
            "handlers": {
                "authFilters": [
                    {"name": "DefaultAuth"},
                    {"name": "ExpirationCheck"},
                    {"name": "TimeWindowCheck"},
                ],
                "decorators": [{"name": "DefaultDecorator"}],
                "endorsers": {"escc": {"name": "DefaultEndorsement"}},
                "validators": {"vscc": {"name": "DefaultValidation"}},
            },
            "limits": {
                "concurrency": {"endorserService": 2500, "deliverService": 2500, "gatewayService": 500}
            },
            "maxRecvMsgSize": MESSAGE_BYTES,
            "maxSendMsgSize": MESSAGE_BYTES,
        },
        "vm": {"endpoint": ""},
        "chaincode": {
            "mode": "net",
            "externalBuilders": [
                {
                    "name": "ccaas_builder",
                    "path": files.builder,
                    "propagateEnvironment": ["CHAINCODE_AS_A_SERVICE_BUILDER_CONFIG"],
                }
            ],
            "installTimeout": "300s",
            "startuptimeout": "300s",
            "executetimeout": "10s",  # a peer commits nothing while a chaincode that hangs is waited for
            "system": {"_lifecycle": "enable", "cscc": "enable", "lscc": "enable", "qscc": "enable"},
            "logging": {"level": "info", "shim": "warning"},
            "runtimeParams": {
                "useWriteBatch": True,
                "maxSizeWriteBatch": 1000,
                "useGetMultipleKeys": True,
                "maxSizeGetMultipleKeys": 1000,
            },
        },
        "ledger": {
            "state": {"stateDatabase": "goleveldb", "totalQueryLimit": 100_000},
            "history": {"enableHistoryDatabase": True},
            "snapshots": {"rootDir": f"{files.ledger}/snapshots"},
        },
        "operations": {"listenAddress": peer.operations_listens, "tls": {"enabled": False}},
        "metrics": {"provider": "prometheus"},
    }
    return _HEADER + yaml.safe_dump(fields, sort_keys=False)


def render_orderer(layout: Layout, node: OrdererNode) -> str:
    """An orderer's orderer.yaml."""
    files = layout.files(node.name, node.identity)
    host, port = split(node.listens)
    key, certificate = f"{files.identity}/tls/server.key", f"{files.identity}/tls/server.crt"
    authority = f"{files.identity}/tls/ca.crt"
    tls = {"Enabled": True, "PrivateKey": key, "Certificate": certificate, "RootCAs": [authority]}
    fields = {
        "General": {
            "ListenAddress": host,
            "ListenPort": port,
            "TLS": {**tls, "ClientAuthRequired": False},
            "Cluster": {"SendBufferSize": 100, "ClientCertificate": certificate, "ClientPrivateKey": key},
            "Keepalive": {"ServerMinInterval": "5s", "ServerInterval": "7200s", "ServerTimeout": "20s"},
            "BootstrapMethod": "none",
            "LocalMSPDir": f"{files.identity}/msp",
            "LocalMSPID": node.msp_id,
            "BCCSP": _CRYPTO,
            "Authentication": {"TimeWindow": "15m"},
            "MaxRecvMsgSize": MESSAGE_BYTES,
            "MaxSendMsgSize": MESSAGE_BYTES,
        },
        "FileLedger": {"Location": f"{files.ledger}/chains"},
        "Admin": {
            "ListenAddress": node.admin_listens,
            "TLS": {**tls, "ClientAuthRequired": True, "ClientRootCAs": [authority]},
        },
        "ChannelParticipation": {"Enabled": True, "MaxRequestBodySize": "10 MB"},
        "Operations": {"ListenAddress": node.operations_listens, "TLS": {"Enabled": False}},
        "Metrics": {"Provider": "prometheus"},
        "Consensus": {"WALDir": f"{files.ledger}/wal", "SnapDir": f"{files.ledger}/snapshots"},
    }
    return _HEADER + yaml.safe_dump(fields, sort_keys=False)


def _gossip(peer: PeerNode) -> dict[str, object]:
    return {
        "bootstrap": peer.reached,
        "endpoint": peer.reached,
        "externalEndpoint": peer.reached,
        "useLeaderElection": False,
        "orgLeader": True,
        "membershipTrackerInterval": "1s",
        "pullInterval": "1s",
        "requestStateInfoInterval": "500ms",
        "publishStateInfoInterval": "500ms",
        "publishCertPeriod": "2s",
        "aliveTimeInterval": "1s",
        "aliveExpirationTimeout": "10s",
        "reconnectInterval": "1s",
        "maxConnectionAttempts": 1_000_000,
        "state": {"enabled": False},
        "pvtData": {"implicitCollectionDisseminationPolicy": {"requiredPeerCount": 0, "maxPeerCount": 1}},
    }
