"""A running service for a chaincode made of functions, peers that dial it, and certificates."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fabric_protos.msp import identities_pb2
from quorumlearn_chaincode.runtime import (
    Chaincode,
    ChaincodeError,
    ChaincodeService,
    ChaincodeStub,
    Response,
    ServiceSettings,
)

from tests.chaincode.runtime.fake_peer import FakePeer

PACKAGE_ID = "market_1.0:" + "5f" * 32
Function = Callable[[ChaincodeStub], Response]


class Functions:
    """A chaincode of named functions."""

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self.functions = functions

    def init(self, stub: ChaincodeStub) -> Response:
        return self.functions["init"](stub)

    def invoke(self, stub: ChaincodeStub) -> Response:
        name = stub.args()[0].decode() if stub.args() else ""
        if name not in self.functions:
            raise ChaincodeError(f"no function {name!r}")
        return self.functions[name](stub)


class Certificates(Protocol):
    def __call__(
        self,
        names: tuple[str, ...] = ("alice",),
        units: tuple[str, ...] = ("client",),
        attributes: bytes | None = None,
        msp_id: str = "Org1MSP",
    ) -> bytes: ...


@pytest.fixture(scope="session")
def creator() -> Certificates:
    """Makes a serialised identity with a self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())

    def make(
        names: tuple[str, ...] = ("alice",),
        units: tuple[str, ...] = ("client",),
        attributes: bytes | None = None,
        msp_id: str = "Org1MSP",
    ) -> bytes:
        subject = x509.Name(
            [
                *(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units),
                *(x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names),
            ]
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC))
            .not_valid_after(datetime.datetime(2044, 1, 1, tzinfo=datetime.UTC))
        )
        if attributes is not None:
            oid = x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, attributes), critical=False)
        pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return bytes(identities_pb2.SerializedIdentity(mspid=msp_id, id_bytes=pem).SerializeToString())

    return make


@pytest.fixture
def start() -> Iterator[Callable[..., str]]:
    """Starts services for functions (or a whole chaincode), and stops them at the end; gives the address."""
    services: list[ChaincodeService] = []

    def run(functions: Mapping[str, Function] | Chaincode, **settings: object) -> str:
        chaincode = Functions(functions) if isinstance(functions, Mapping) else functions
        options = {"address": "127.0.0.1:0", "package_id": PACKAGE_ID, "drain_timeout": 0.2} | settings
        service = ChaincodeService(chaincode, ServiceSettings(**options))  # type: ignore[arg-type]
        services.append(service)
        return service.start()

    yield run
    for service in services:
        service.stop()


@pytest.fixture
def dial(creator: Certificates) -> Iterator[Callable[..., FakePeer]]:
    """Connects peers, and disconnects them at the end."""
    peers: list[FakePeer] = []
    alice = creator(attributes=json.dumps({"attrs": {"quorumlearn.role": "miner"}}).encode())

    def connect(address: str, **options: object) -> FakePeer:
        peers.append(FakePeer(address, **{"creator": alice, **options}))  # type: ignore[arg-type]
        return peers[-1]

    yield connect
    for peer in peers:
        peer.disconnect()
