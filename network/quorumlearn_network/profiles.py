"""The files that a network's spec is rendered into: connection profiles for clients, `devnet.json` for the
devnet.
"""

from __future__ import annotations

import json
from pathlib import Path

from quorumlearn_network.agreement import render_agreements
from quorumlearn_network.identities import Organisation
from quorumlearn_network.package import package_id
from quorumlearn_network.spec import NetworkSpec, OrganisationSpec, render_policy


def render_connection(spec: NetworkSpec, one: OrganisationSpec, organisation: Organisation) -> str:
    """Fabric's common connection profile for clients of one organisation: their peer, its TLS authority."""
    peer = f"peer0.{one.name}"
    profile = {
        "name": spec.name,
        "version": "1.0.0",
        "client": {"organization": one.name, "connection": {"timeout": {"peer": {"endorser": "300"}}}},
        "organizations": {one.name: {"mspid": one.msp_id, "peers": [peer]}},
        "peers": {
            peer: {
                "url": f"grpcs://{one.peer.address}",
                "tlsCACerts": {"pem": organisation.tls_authority.read_text(encoding="ascii")},
                "grpcOptions": {"ssl-target-name-override": one.peer.host},
            }
        },
        "channels": {spec.channel: {"peers": {peer: {}}, "chaincodes": [spec.chaincode.name]}},
    }
    return json.dumps(profile, indent=2) + "\n"


def render_devnet(spec: NetworkSpec) -> str:
    """The devnet's configuration, with paths relative to the network's folder."""
    chaincode = spec.chaincode
    fields = {
        "channel": spec.channel,
        "ledger": "ledger/ledger.sqlite",
        "batch": spec.batch.model_dump(mode="json"),
        "orderer": {
            "msp_id": spec.orderer.msp_id,
            "msp": f"organisations/{spec.orderer.name}/orderers/orderer0/msp",
        },
        "organisations": [
            {
                "msp_id": one.msp_id,
                "name": one.name,
                "msp": f"organisations/{one.name}/peers/peer0/msp",
                "tls": f"organisations/{one.name}/peers/peer0/tls",
                "address": one.peer.address,
                "operations": one.peer.operations_address,
                "chaincode": {chaincode.name: one.peer.chaincode_address},
            }
            for one in spec.organisations
        ],
        "policies": render_agreements(spec),
        "chaincodes": [
            {
                "name": chaincode.name,
                "package_id": package_id(chaincode),
                "version": chaincode.version,
                "sequence": chaincode.sequence,
                "policy": render_policy(spec),
            }
        ],
    }
    return json.dumps(fields, indent=2) + "\n"


def write_whole(path: Path, text: str, mode: int | None = None) -> None:
    """Write a file, whole or not at all, with this mode if one is given; an unchanged one is left alone."""
    data = text.encode()
    if path.exists() and path.read_bytes() == data:
        return
    partial = path.with_name(f".{path.name}.new")
    partial.write_bytes(data)
    if mode is not None:
        partial.chmod(mode)
    partial.replace(path)
