"""Fabric's common connection profile (JSON or YAML): which peer a client of an organisation talks to.

Source: the profiles of fabric-samples. Read are `client.organization`, that organisation's `mspid` and first
peer, and that peer's `url`, `tlsCACerts.pem` (or `.path`, relative to the profile) and of its `grpcOptions`
`ssl-target-name-override` (or `hostnameOverride`) and `grpc.http_proxy`, an `http://host:port` on the way to it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from quorumlearn.gateway.errors import CredentialError


@dataclass(frozen=True)
class PeerProfile:
    """The gateway peer of an organisation. `tls_root` is None for a peer without TLS (`grpc://`)."""

    msp_id: str
    endpoint: str
    tls_root: bytes | None
    override_authority: str
    proxy: str = ""


def find_profile(folder: Path) -> Path:
    """The profile in an organisation's folder: `connection.json`, else `connection.yaml` or `.yml`."""
    paths = [folder / f"connection.{ending}" for ending in ("json", "yaml", "yml")]
    return next((path for path in paths if path.is_file()), paths[0])


def read_profile(path: Path) -> PeerProfile:
    """The gateway peer a profile names; CredentialError says which field is missing or wrong."""
    fields = _parse(path)
    organisation = _text(path, fields, "client", "organization")
    msp_id = _text(path, fields, "organizations", organisation, "mspid")
    peers = _field(path, fields, "organizations", organisation, "peers")
    if not isinstance(peers, list) or not peers or not isinstance(peers[0], str):
        raise CredentialError(f"{path}: organizations.{organisation}.peers names no peer")
    peer = peers[0]
    url = _text(path, fields, "peers", peer, "url")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("grpc", "grpcs") and bool(parts.hostname) and parts.port is not None
    except ValueError:
        usable = False
    if not usable:
        raise CredentialError(f"{path}: peers.{peer}.url {url!r} is not grpcs://host:port")
    settings = _optional(fields, "peers", peer, "grpcOptions")
    override = _optional(settings, "ssl-target-name-override") or _optional(settings, "hostnameOverride")
    proxy = _optional(settings, "grpc.http_proxy")
    return PeerProfile(
        msp_id=msp_id,
        endpoint=parts.netloc,
        tls_root=_tls_root(path, fields, peer) if parts.scheme == "grpcs" else None,
        override_authority=override if isinstance(override, str) else "",
        proxy=proxy if isinstance(proxy, str) else "",
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


def _tls_root(path: Path, fields: object, peer: str) -> bytes:
    pem = _optional(fields, "peers", peer, "tlsCACerts", "pem")
    if isinstance(pem, str):
        return pem.encode()
    name = _text(path, fields, "peers", peer, "tlsCACerts", "path")
    try:
        return (path.parent / name).read_bytes()
    except OSError as error:
        raise CredentialError(f"{path}: peers.{peer}.tlsCACerts.path {name!r}: {error.strerror}") from error


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
