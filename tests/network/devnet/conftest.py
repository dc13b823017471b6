"""Organisations, chaincode services and a devnet for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from quorumlearn_network.devnet import Devnet, DevnetConfig
from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.identities import (
    Organisation,
    ensure_orderer,
    ensure_peer,
    ensure_user,
    open_organisation,
)

from tests.network.devnet.kv_chaincode import KeyValueService
from tests.network.devnet.raw_gateway import Client

PACKAGE = "kv_1.0:0000"
MEMBERS = {"OwnerMSP": "owner", "V1MSP": "v1", "V2MSP": "v2", "V3MSP": "v3"}
POLICY = "OutOf(2,'V1MSP.peer','V2MSP.peer','V3MSP.peer')"


@dataclass
class Members:
    """The organisations' folders."""

    root: Path
    organisations: dict[str, Organisation]

    def signer(self, msp_id: str, user: str = "user") -> SigningIdentity:
        return SigningIdentity.load(msp_id, ensure_user(self.organisations[msp_id], user))

    def peer_signer(self, msp_id: str) -> SigningIdentity:
        return SigningIdentity.load(msp_id, self.organisations[msp_id].peer / "msp")


@dataclass
class Net:
    """A running devnet with its clients."""

    devnet: Devnet
    members: Members
    config: DevnetConfig
    services: list[KeyValueService] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)

    def client(self, msp_id: str = "OwnerMSP", signer: SigningIdentity | None = None) -> Client:
        ca = self.members.organisations[msp_id].tls_authority
        client = Client(self.devnet.addresses[msp_id], ca, signer or self.members.signer(msp_id))
        self.clients.append(client)
        return client

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.devnet.stop()
        for service in self.services:
            service.stop()


def make_config(
    members: Members, ledger: Path, chaincode: dict[str, dict[str, str]], **changes: object
) -> DevnetConfig:
    """A devnet of all members; `chaincode` maps MSP ids to their services."""
    names = sorted({name for services in chaincode.values() for name in services} | {"kv"})
    fields: dict[str, object] = {
        "channel": "quorumlearn",
        "ledger": str(ledger),
        "batch": {"timeout_ms": 20},
        "orderer": {"msp_id": "OrdererMSP", "msp": str(members.organisations["OrdererMSP"].orderer / "msp")},
        "organisations": [
            {
                "msp_id": msp_id,
                "name": name,
                "msp": str(members.organisations[msp_id].peer / "msp"),
                "tls": str(members.organisations[msp_id].peer / "tls"),
                "address": "127.0.0.1:0",
                "chaincode": chaincode.get(msp_id, {}),
            }
            for msp_id, name in MEMBERS.items()
        ],
        "chaincodes": [
            {
                "name": name,
                "package_id": f"{name}_1.0:0000",
                "version": "1.0",
                "sequence": 1,
                "policy": POLICY,
            }
            for name in names
        ],
    }
    return DevnetConfig.model_validate({**fields, **changes})


@pytest.fixture(scope="session")
def members(tmp_path_factory: pytest.TempPathFactory) -> Members:
    root = tmp_path_factory.mktemp("members")
    organisations = {
        msp_id: open_organisation(root, name, msp_id)
        for msp_id, name in [*MEMBERS.items(), ("OrdererMSP", "orderer")]
    }
    for msp_id in MEMBERS:
        ensure_peer(organisations[msp_id], ["localhost", "127.0.0.1"])
    ensure_orderer(organisations["OrdererMSP"], ["localhost", "127.0.0.1"])
    return Members(root, organisations)


def start_net(members: Members, folder: Path, **changes: object) -> Net:
    """A devnet whose organisations share one service of `kv`, and one of `other` except the owner."""
    kv = KeyValueService(PACKAGE).start()
    other = KeyValueService("other_1.0:0000").start()
    services = {msp_id: {"kv": kv.address, "other": other.address} for msp_id in MEMBERS}
    services["OwnerMSP"] = {"kv": kv.address}
    config = make_config(members, folder / "ledger.sqlite", services, **changes)
    devnet = Devnet(config)
    devnet.start()
    return Net(devnet, members, config, [kv, other])


@pytest.fixture(scope="module")
def net(members: Members, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    running = start_net(members, tmp_path_factory.mktemp("net"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def owner(net: Net) -> Client:
    return net.client("OwnerMSP")


@pytest.fixture(scope="module")
def verifier(net: Net) -> Client:
    return net.client("V1MSP")
