"""How a file says which Fabric network a client uses, and as whom. Commands and nodes read the same.

```yaml
channel: quorumlearn
chaincode: quorumlearn
profile: connection-org1.yaml                 # a connection profile; or, in its place:
# peer: peer0.org1.example.com:7051           # grpc://host:port is without TLS
# tls_ca: org1-tls-ca.pem                     # the authority of the peer's TLS certificate
# host_override: peer0.org1.example.com       # the host name in that certificate, where it is not the address's
# msp_id: Org1MSP
# client_certificate: client.crt              # with client_key, for a peer that wants a TLS certificate of its clients
msp: users/User1@org1.example.com/msp         # who signs; or certificate: and key:, or certificate: and pkcs11:
identities:                                   # or several who may, by names of one's own
  treasury: {msp: users/Admin@org1.example.com/msp}
```

Relative paths are relative to the file. Unknown keys are errors. Passwords and PINs stand in no file: `password_variable` and
`pin_variable` name the environment variables that hold them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import yaml
from cryptography import x509
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from quorumlearn.gateway import pkcs11
from quorumlearn.gateway.client_tls import ClientTls
from quorumlearn.gateway.credentials import (
    PASSWORD_VARIABLE,
    certificate_of,
    certificate_of_msp,
    load_msp,
    load_pair,
    password_from,
    read_file,
)
from quorumlearn.gateway.errors import CredentialError
from quorumlearn.gateway.gateway import Gateway, connect_peer
from quorumlearn.gateway.identity import Identity, Signer
from quorumlearn.gateway.options import Options
from quorumlearn.gateway.profile import Peer, read_profile, split_url

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:/\s]+):[0-9]{1,5}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenSettings(_Strict):
    """A private key on a PKCS#11 token."""

    library: Path = Field(description="the module's shared library, such as /usr/lib/softhsm/libsofthsm2.so")
    token: str = Field(description="the token's label")
    key: str = Field(
        "", description="the key's label; without it the key is found by its id, as Fabric's tools set it"
    )
    pin_variable: str = Field(pkcs11.PIN_VARIABLE, description="the environment variable that holds the PIN")


class CredentialSettings(_Strict):
    """Who signs: an MSP folder, or a certificate and its key."""

    msp: Path | None = Field(None, description="a folder with signcerts and keystore")
    certificate: Path | None = Field(None, description="a certificate in PEM")
    key: Path | None = Field(None, description="its private key in PEM")
    pkcs11: TokenSettings | None = Field(None, description="the token that holds the private key")
    password_variable: str = Field(
        PASSWORD_VARIABLE, description="the environment variable that holds an encrypted key's password"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.msp is not None and self.certificate is not None:
            raise ValueError("msp and certificate are two ways to say who signs; give one")
        if self.key is not None and self.pkcs11 is not None:
            raise ValueError("key and pkcs11 are two places of one key; give one")
        if self.key is not None and self.certificate is None:
            raise ValueError("key takes certificate beside it")
        if self.certificate is not None and self.key is None and self.pkcs11 is None:
            raise ValueError("certificate takes key or pkcs11 beside it")
        if self.pkcs11 is not None and self.msp is None and self.certificate is None:
            raise ValueError("pkcs11 takes certificate or msp beside it")
        return self

    @property
    def given(self) -> bool:
        """Whether it says who signs."""
        return self.msp is not None or self.certificate is not None

    def below(self, base: Path) -> Self:
        """The same with paths that are relative to `base`."""
        update: dict[str, object] = {
            name: base / path for name in ("msp", "certificate", "key") if (path := getattr(self, name))
        }
        return self.model_copy(update=update)

    def load(self, msp_id: str) -> tuple[Identity, Signer]:
        """CredentialError if it cannot be used."""
        password = password_from(self.password_variable)
        if self.pkcs11 is not None:
            token = pkcs11.Token(self.pkcs11.library, self.pkcs11.token, self.pkcs11.key)
            identity, certificate = self._certificate(msp_id)
            return identity, pkcs11.pkcs11_signer(
                token, certificate, password_from(self.pkcs11.pin_variable, "PIN")
            )
        if self.msp is not None:
            return load_msp(self.msp, msp_id, password)
        return load_pair(self._named("certificate"), self._named("key"), msp_id, password)

    def identity(self, msp_id: str) -> Identity:
        """Who it is, without its key; CredentialError if the certificate cannot be used."""
        return self._certificate(msp_id)[0]

    def _certificate(self, msp_id: str) -> tuple[Identity, x509.Certificate]:
        if self.msp is not None:
            return certificate_of_msp(self.msp, msp_id)
        return certificate_of(self._named("certificate"), msp_id)

    def _named(self, name: str) -> Path:
        path: Path | None = getattr(self, name)
        if path is None:
            raise CredentialError(
                f"nothing says who signs: give msp, or certificate and key ({name} is missing)"
            )
        return path


class ConnectionSettings(CredentialSettings):
    """Which peer, which channel and chaincode, and who signs."""

    profile: Path | None = Field(None, description="a connection profile, JSON or YAML")
    peer: str = Field("", description="host:port of the organisation's peer, in place of a profile")
    tls_ca: Path | None = Field(None, description="the authority of the peer's TLS certificate, PEM")
    host_override: str = Field("", description="the host name in the peer's TLS certificate")
    msp_id: str = Field("", description="the organisation's MSP id, with peer")
    client_certificate: Path | None = Field(None, description="the client's own TLS certificate, PEM")
    client_key: Path | None = Field(None, description="its private key, PEM")
    channel: str = "quorumlearn"
    chaincode: str = "quorumlearn"
    identities: Mapping[str, CredentialSettings] = Field({}, description="who else may sign, by name")

    @model_validator(mode="after")
    def _one_peer(self) -> Self:
        if bool(self.profile) == bool(self.peer):
            raise ValueError("give profile or peer, and not both")
        if self.profile and (self.tls_ca or self.host_override or self.msp_id):
            raise ValueError("tls_ca, host_override and msp_id go with peer; a profile has them itself")
        if self.peer:
            _, secure = _address(self.peer)
            if not self.msp_id:
                raise ValueError("peer takes msp_id beside it, such as Org1MSP")
            if secure and self.tls_ca is None:
                raise ValueError(
                    "peer takes tls_ca beside it; a peer without TLS is written grpc://host:port"
                )
        if (self.client_certificate is None) != (self.client_key is None):
            raise ValueError("client_certificate and client_key go together")
        for name, one in self.identities.items():
            if not one.given:
                raise ValueError(f"identities.{name} says not who signs: give msp, or certificate and key")
        return self

    def below(self, base: Path) -> Self:
        names = ("profile", "tls_ca", "client_certificate", "client_key")
        update: dict[str, object] = {name: base / path for name in names if (path := getattr(self, name))}
        identities = {name: one.below(base) for name, one in self.identities.items()}
        return super().below(base).model_copy(update={**update, "identities": identities})

    def reach(self) -> Peer:
        """The peer; CredentialError if the files that say so cannot be used."""
        client_tls = None
        if self.client_certificate is not None and self.client_key is not None:
            client_tls = ClientTls.of(
                read_file(self.client_certificate), read_file(self.client_key), str(self.client_certificate)
            )
        if self.profile is not None:
            peer = read_profile(self.profile)
            return Peer(
                peer.msp_id,
                peer.endpoint,
                peer.tls_root,
                peer.override_authority,
                client_tls or peer.client_tls,
                peer.proxy,
            )
        endpoint, _ = _address(self.peer)
        root = None if self.tls_ca is None else read_file(self.tls_ca)
        return Peer(self.msp_id, endpoint, root, self.host_override, client_tls)

    def credentials(self, name: str = "") -> CredentialSettings:
        """Who signs: the identity of that name, or without one the connection's own, or its first. CredentialError if there is none."""
        if name in self.identities:
            return self.identities[name]
        if not name and self.given:
            return self
        if not name and self.identities:
            return next(iter(self.identities.values()))
        if not name:
            raise CredentialError("the connection says not who signs: give msp, or certificate and key")
        known = ", ".join(self.identities) or "none"
        raise CredentialError(f"the connection has no identity {name!r}; it names {known}")

    def open(self, credentials: CredentialSettings, options: Options | None = None) -> Gateway:
        """A gateway for one identity; else CredentialError."""
        peer = self.reach()
        return connect_peer(peer, *credentials.load(peer.msp_id), options)


def load_connection(path: Path) -> ConnectionSettings:
    """Read and check a connection's file; CredentialError says in one sentence what is wrong."""
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CredentialError(f"{path} cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise CredentialError(f"{path} is not YAML") from error
    if isinstance(fields, dict) and "organizations" in fields:
        raise CredentialError(
            f"{path} is a connection profile, which does not say who signs: write a file with `profile: {path.name}` and "
            "`msp: FOLDER`"
        )
    try:
        return ConnectionSettings.model_validate(fields).below(path.resolve().parent)
    except ValidationError as error:
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = ", ".join(
                ConnectionSettings.model_fields if len(first["loc"]) == 1 else CredentialSettings.model_fields
            )
            raise CredentialError(f"{path}: {place}: there is no such key; there are {known}") from None
        said = first["msg"].removeprefix("Value error, ")
        raise CredentialError(f"{path}: {place}{': ' if place else ''}{said}") from None


def _address(peer: str) -> tuple[str, bool]:
    """host:port, and whether it is with TLS, of host:port, grpcs://host:port, dns:///host:port or grpc://host:port."""
    plain = peer.removeprefix("dns:///")
    if "://" in plain:
        return split_url(plain)
    if not _ADDRESS.fullmatch(plain):
        raise ValueError(f"peer {peer!r} is not host:port")
    return plain, True
