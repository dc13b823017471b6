"""Fabric's common connection profile (JSON or YAML): which peer a client of an organisation talks to.

Source: the profiles of fabric-samples and of the SDKs before the Gateway's. Read are `client.organization` (not needed where there is
one organisation), that organisation's `mspid` and first peer, and that peer's `url`, `tlsCACerts.pem` (or `.path`, relative to the
profile) and of its `grpcOptions` `ssl-target-name-override` (or `hostnameOverride`) and `grpc.http_proxy`, an `http://host:port` on the
way to it. `client.tlsCerts.client.cert` and `.key`, each `pem` or `path`, are for a peer that wants a certificate of its clients.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from quorumlearn.gateway.client_tls import ClientTls
from quorumlearn.gateway.errors import CredentialError


@dataclass(frozen=True)
class Peer:
    """A gateway peer and what a TLS connection to it takes. `tls_root` is None for one without TLS (`grpc://`)."""

    msp_id: str
    endpoint: str
    tls_root: bytes | None
    override_authority: str = ""
    client_tls: ClientTls | None = None
    """For a peer that wants a certificate of its clients."""
    proxy: str = ""


def find_profile(folder: Path) -> Path:
    """The profile in an organisation's folder: `connection.json`, else `connection.yaml` or `.yml`."""
    paths = [folder / f"connection.{ending}" for ending in ("json", "yaml", "yml")]
    return next((path for path in paths if path.is_file()), paths[0])


def read_profile(path: Path) -> Peer:
    """The gateway peer a profile names; CredentialError says which field is missing or wrong."""
    fields = _parse(path)
    organisation = _organisation(path, fields)
    msp_id = _text(path, fields, "organizations", organisation, "mspid")
    peers = _field(path, fields, "organizations", organisation, "peers")
    if not isinstance(peers, list) or not peers or not isinstance(peers[0], str):
        raise CredentialError(f"{path}: organizations.{organisation}.peers names no peer")
    peer = peers[0]
    try:
        endpoint, secure = split_url(_text(path, fields, "peers", peer, "url"))
    except ValueError as error:
        raise CredentialError(f"{path}: peers.{peer}.url {error}") from None
    settings = _optional(fields, "peers", peer, "grpcOptions")
    override = _optional(settings, "ssl-target-name-override") or _optional(settings, "hostnameOverride")
    proxy = _optional(settings, "grpc.http_proxy")
    return Peer(
        msp_id=msp_id,
        endpoint=endpoint,
        tls_root=_pem(path, fields, "peers", peer, "tlsCACerts") if secure else None,
        override_authority=override if isinstance(override, str) else "",
        client_tls=_client_tls(path, fields) if secure else None,
        proxy=proxy if isinstance(proxy, str) else "",
    )


def split_url(url: str) -> tuple[str, bool]:
    """host:port, and whether it is with TLS, of `grpcs://host:port`; ValueError for another."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("grpc", "grpcs") and parts.hostname and parts.port is not None:
            return parts.netloc, parts.scheme == "grpcs"
    except ValueError:
        pass
    raise ValueError(f"{url!r} is not grpcs://host:port")


def _organisation(path: Path, fields: object) -> str:
    """The client's; a profile that does not say it is of the only one there is."""
    organisations = _optional(fields, "organizations")
    if (
        _optional(fields, "client", "organization") is None
        and isinstance(organisations, dict)
        and len(organisations) == 1
    ):
        return str(next(iter(organisations)))
    return _text(path, fields, "client", "organization")


def _client_tls(path: Path, fields: object) -> ClientTls | None:
    place = ("client", "tlsCerts", "client")
    if not _optional(fields, *place):
        return None
    return ClientTls.of(
        _pem(path, fields, *place, "cert"), _pem(path, fields, *place, "key"), f"{path}: {'.'.join(place)}"
    )


def _parse(path: Path) -> object:
    """What the file says; a byte order mark goes before it in files of some editors."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CredentialError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return json.loads(data)
    except ValueError:  # YAML has almost all JSON in it, but not tabs
        pass
    try:
        return yaml.safe_load(data)
    except (ValueError, yaml.YAMLError) as error:
        raise CredentialError(f"{path} is neither JSON nor YAML") from error


def _pem(path: Path, fields: object, *place: str) -> bytes:
    """What stands at a place as `pem`, a text or several, or in the file that `path` names."""
    pem = _optional(fields, *place, "pem")
    if isinstance(pem, list) and pem and all(isinstance(one, str) for one in pem):
        return "\n".join(pem).encode()
    if isinstance(pem, str):
        return pem.encode()
    name = _text(path, fields, *place, "path")
    try:
        return (path.parent / name).read_bytes()
    except OSError as error:
        raise CredentialError(f"{path}: {'.'.join(place)}.path {name!r}: {error.strerror}") from error


def _optional(fields: object, *keys: str) -> object:
    for key in keys:
        fields = fields.get(key) if isinstance(fields, dict) else None
    return fields


def _field(path: Path, fields: object, *keys: str) -> object:
    value = _optional(fields, *keys)
    if value is None:
        raise CredentialError(f"{path} has no field {'.'.join(keys)}")
    return value


def _text(path: Path, fields: object, *keys: str) -> str:
    value = _field(path, fields, *keys)
    if not isinstance(value, str) or not value:
        raise CredentialError(f"{path}: {'.'.join(keys)} is not a text")
    return value
