"""How a chaincode service is set up, and how that is read from its environment.

Everything wrong with it is said at the start, as a `ServiceError` with a sentence: a peer says nothing to a
service that registers under an unknown package id, and TLS files that do not fit together fail in a peer's
log only.

| variable | what |
| --- | --- |
| CHAINCODE_SERVER_ADDRESS | host:port to listen on; port 0 takes a free one |
| CHAINCODE_ID | the package id, label:hash, as `peer lifecycle chaincode calculatepackageid` prints it |
| CHAINCODE_TLS_DISABLED | "true" (the default) or "false" |
| CHAINCODE_TLS_KEY, CHAINCODE_TLS_CERT | PEM files, needed with TLS |
| CHAINCODE_CLIENT_CA_CERT | PEM file; with it only peers with a certificate of this CA may connect |

Source: fabric-samples, `asset-transfer-basic/chaincode-external`; fabric, `core/chaincode/persistence`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from .errors import ServiceError

_PACKAGE_ID = re.compile(r"[A-Za-z0-9]+(?:[.+_-][A-Za-z0-9]+)*:[0-9a-f]{64}")
_ADDRESS = re.compile(r"(?P<host>[^:\[\]]*|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class TlsCredentials:
    """The service's key and certificate chain, and the CA of the peers that may connect, as PEM bytes."""

    key: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    client_ca: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        try:
            key = serialization.load_pem_private_key(self.key, password=None)
        except (ValueError, TypeError):
            raise ServiceError("the TLS key is not an unencrypted PEM private key") from None
        try:
            leaf = x509.load_pem_x509_certificates(self.certificate)[0]
        except ValueError:
            raise ServiceError("the TLS certificate is not PEM X.509") from None
        if leaf.public_key() != key.public_key():
            raise ServiceError(
                "the TLS certificate is not of the TLS key: give the two that were issued together"
            )
        if self.client_ca is not None:
            try:
                x509.load_pem_x509_certificates(self.client_ca)
            except ValueError:
                raise ServiceError("the CA of the peers (client CA) is not PEM X.509") from None


@dataclass(frozen=True)
class ServiceSettings:
    """What `serve` needs. Times are in seconds; `max_message_bytes` of -1 sets no limit.

    `reply_timeout` is how long a transaction waits for one answer of its peer, `registration_timeout` how
    long a new peer may take to accept the package id, `drain_timeout` how long a stopping service lets
    transactions finish. Raises `ServiceError` for values that cannot work.
    """

    package_id: str
    address: str
    tls: TlsCredentials | None = None
    workers: int = 64
    max_peers: int = 64
    reply_timeout: float = 30.0
    registration_timeout: float = 10.0
    drain_timeout: float = 0.5
    max_message_bytes: int = -1

    def __post_init__(self) -> None:
        if not self.package_id:
            raise ServiceError(
                "no package id: set CHAINCODE_ID to label:hash, the id that the peer shows as installed"
            )
        if not _PACKAGE_ID.fullmatch(self.package_id):
            raise ServiceError(
                f"CHAINCODE_ID {self.package_id!r} is no package id: it has to be a label, a colon and 64 "
                "hex digits, the id that the peer shows as installed"
            )
        match = _ADDRESS.fullmatch(self.address)
        if match is None or int(match["port"]) > 65535:
            raise ServiceError(
                f"address {self.address!r} is not host:port: "
                "set CHAINCODE_SERVER_ADDRESS to one like 0.0.0.0:9999"
            )
        for name in ("workers", "max_peers"):
            if getattr(self, name) < 1:
                raise ServiceError(f"{name} is {getattr(self, name)}: it has to be at least 1")
        for name in ("reply_timeout", "registration_timeout"):
            if not getattr(self, name) > 0:
                raise ServiceError(f"{name} is {getattr(self, name)} s: it has to be more than 0")

    @property
    def host(self) -> str:
        """The address without its port."""
        return self.address.rpartition(":")[0]


def tls_from_environment(environment: Mapping[str, str]) -> TlsCredentials | None:
    """TLS as the environment asks for it, None without. Raises `ServiceError` for files that do not fit."""
    disabled = environment.get("CHAINCODE_TLS_DISABLED", "true").lower()
    if disabled not in {"true", "false"}:
        raise ServiceError(f'CHAINCODE_TLS_DISABLED is {disabled!r}: set it to "true" or "false"')
    if disabled == "true":
        return None
    return TlsCredentials(
        key=_file(environment, "CHAINCODE_TLS_KEY"),
        certificate=_file(environment, "CHAINCODE_TLS_CERT"),
        client_ca=(
            _file(environment, "CHAINCODE_CLIENT_CA_CERT")
            if environment.get("CHAINCODE_CLIENT_CA_CERT")
            else None
        ),
    )


def _file(environment: Mapping[str, str], variable: str) -> bytes:
    path = environment.get(variable, "")
    if not path:
        raise ServiceError(f'CHAINCODE_TLS_DISABLED is "false" but {variable} is not set: name its PEM file')
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ServiceError(f"{variable}: {path} cannot be read ({error.strerror})") from None
