"""An organisation's identities on disk: its authorities, its peer, its users, in Fabric's MSP layout.

    <root>/organisations/<name>/
        ca/{ca.pem, ca-key.pem, tlsca.pem, tlsca-key.pem}
        msp/{cacerts, tlscacerts, config.yaml}            what others verify the organisation by
        peers/peer0/msp/{cacerts, tlscacerts, signcerts/cert.pem, keystore/key.pem, config.yaml}
        peers/peer0/tls/{server.crt, server.key, ca.crt}
        users/<user>/msp/...                              as the peer's
    (an orderer organisation has orderers/orderer0, orderer1, ... in place of peers/peer0)

Rules:
- private keys are written with mode 600 into folders of mode 700, each file whole or not at all;
- everything is idempotent: an identity that is valid and still what is asked for is kept, any other is
  issued again under the same name, so that its account on the ledger stays the same;
- authorities are never issued again: one that is damaged or expired is an error.

>>> organisation = open_organisation(Path("net"), "verifier1", "Verifier1MSP")  # doctest: +SKIP
>>> ensure_user(organisation, "seat1", attributes={"quorumlearn.role": "verifier"})  # doctest: +SKIP
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from quorumlearn_network.certificates import (
    CertificateError,
    Credential,
    NodeOU,
    attributes_of,
    common_name,
    hosts_of,
    is_current,
    is_issued_by,
    issue_identity,
    issue_tls,
    new_authority,
    read_certificate,
    unit_of,
)
from quorumlearn_network.errors import NetworkError

ROLE_ATTRIBUTE = "quorumlearn.role"
IDENTITY_VALIDITY = timedelta(days=365)
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"

_NODE_OUS = "NodeOUs:\n  Enable: true\n" + "".join(
    f"  {kind}OUIdentifier:\n    Certificate: cacerts/ca.pem\n"
    f"    OrganizationalUnitIdentifier: {unit.value}\n"
    for kind, unit in (
        ("Client", NodeOU.CLIENT),
        ("Peer", NodeOU.PEER),
        ("Admin", NodeOU.ADMIN),
        ("Orderer", NodeOU.ORDERER),
    )
)


class IdentityError(NetworkError):
    """An identity that cannot be issued, read or found; the message says which and what to do."""


@dataclass(frozen=True)
class Organisation:
    """An organisation's folder, with its authorities in place."""

    folder: Path
    name: str
    msp_id: str

    def user(self, name: str) -> Path:
        """The MSP folder of a user, whether it exists or not; IdentityError if the name cannot be one."""
        return self.folder / "users" / check_name(name, "user") / "msp"

    @property
    def peer(self) -> Path:
        return self.folder / "peers" / "peer0"

    @property
    def orderer(self) -> Path:
        return self.orderer_node(0)

    def orderer_node(self, number: int) -> Path:
        """The folder of one of several orderers, from 0."""
        return self.folder / "orderers" / f"orderer{number}"

    @property
    def tls_authority(self) -> Path:
        return self.folder / "ca" / "tlsca.pem"


@dataclass(frozen=True)
class IdentityInfo:
    """What there is to know in public about a user's identity."""

    organisation: str
    msp_id: str
    name: str
    unit: str
    attributes: Mapping[str, str]
    not_after: datetime
    msp: Path

    @property
    def account(self) -> str:
        """The identity's name on the ledger."""
        return f"{self.msp_id}/{self.name}"


def check_name(name: str, what: str) -> str:
    """`name` if it can be a folder and a common name, else IdentityError."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise IdentityError(
            f"{name!r} cannot name a {what}: 1 to 64 letters, digits, dots, underscores or dashes, "
            "the first a letter or a digit"
        )
    return name


def open_organisation(root: Path, name: str, msp_id: str) -> Organisation:
    """The organisation's folder below `root`; its authorities and `msp` folder are made if missing."""
    check_name(name, "organisation")
    check_name(msp_id, "MSP")
    organisation = Organisation(root / "organisations" / name, name, msp_id)
    for kind in ("ca", "tlsca"):
        certificate = organisation.folder / "ca" / f"{kind}.pem"
        key = organisation.folder / "ca" / f"{kind}-key.pem"
        if certificate.exists():  # written last: without it, nothing has been issued
            _authority(organisation, kind)
        else:
            made = new_authority(f"{kind}.{name}", msp_id)
            _write(key, made.key_pem)
            _write(certificate, made.certificate_pem)
    _write_anchors(organisation, organisation.folder / "msp")
    return organisation


def existing_organisation(root: Path, name: str, msp_id: str) -> Organisation:
    """The organisation's folder below `root`; IdentityError if it has not been made yet."""
    organisation = Organisation(root / "organisations" / check_name(name, "organisation"), name, msp_id)
    if not (organisation.folder / "ca" / "ca.pem").exists():
        raise IdentityError(
            f"no organisation {name!r} in {root}; `quorumlearn network up --folder {root}` makes it"
        )
    return organisation


def ensure_user(
    organisation: Organisation,
    name: str,
    attributes: Mapping[str, str] | None = None,
    admin: bool = False,
    validity: timedelta = IDENTITY_VALIDITY,
) -> Path:
    """The MSP folder of a client (or admin) identity with these attributes."""
    unit = NodeOU.ADMIN if admin else NodeOU.CLIENT
    return _ensure_identity(
        organisation, organisation.user(name), name, unit, attributes or {}, validity, renew=False
    )


def renew_user(organisation: Organisation, name: str, validity: timedelta = IDENTITY_VALIDITY) -> Path:
    """Issue a user's identity again, with a new key, the same name, unit and attributes."""
    info = read_user(organisation, name)
    unit = NodeOU(info.unit)
    return _ensure_identity(
        organisation, organisation.user(name), name, unit, info.attributes, validity, renew=True
    )


def ensure_peer(
    organisation: Organisation, hosts: Sequence[str], validity: timedelta = IDENTITY_VALIDITY
) -> Path:
    """The folder (`msp` and `tls` below it) of the organisation's peer, TLS for `hosts`."""
    return _ensure_node(organisation, organisation.peer, NodeOU.PEER, hosts, validity)


def ensure_orderer(
    organisation: Organisation,
    hosts: Sequence[str],
    validity: timedelta = IDENTITY_VALIDITY,
    number: int = 0,
) -> Path:
    """The folder (`msp` and `tls` below it) of the organisation's orderer `number`, TLS for `hosts`."""
    return _ensure_node(organisation, organisation.orderer_node(number), NodeOU.ORDERER, hosts, validity)


def read_user(organisation: Organisation, name: str) -> IdentityInfo:
    """A user's identity as it is on disk; IdentityError if there is none."""
    msp = organisation.user(name)
    path = msp / "signcerts" / "cert.pem"
    try:
        certificate = read_certificate(path.read_bytes())
        attributes = attributes_of(certificate)
    except FileNotFoundError:
        raise IdentityError(
            f"no identity {organisation.name}/{name}; "
            f"`quorumlearn identity issue {organisation.name}/{name}` makes one"
        ) from None
    except CertificateError as error:
        raise IdentityError(f"{path}: {error}") from error
    return IdentityInfo(
        organisation.name,
        organisation.msp_id,
        common_name(certificate),
        unit_of(certificate),
        attributes,
        certificate.not_valid_after_utc,
        msp,
    )


def users(organisation: Organisation) -> Iterator[IdentityInfo]:
    """All users of the organisation, by name."""
    folder = organisation.folder / "users"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (path / "msp" / "signcerts" / "cert.pem").exists():
            yield read_user(organisation, path.name)


def renew_peer(organisation: Organisation, hosts: Sequence[str], validity: timedelta) -> None:
    """Issue a peer's identity and TLS certificate again, for the keys that it has."""
    _ensure_node(organisation, organisation.peer, NodeOU.PEER, hosts, validity, renew=True)


def renew_orderer(
    organisation: Organisation, hosts: Sequence[str], validity: timedelta, number: int, identity: bool
) -> None:
    """Issue an orderer's TLS certificate again, for the key that it has, and its identity if `identity`.

    The channel names an orderer by its TLS key (and with BFT by its identity's certificate, which so cannot be
    issued again without a change of the channel).
    """
    folder = organisation.orderer_node(number)
    _ensure_node(organisation, folder, NodeOU.ORDERER, hosts, validity, renew=True, renew_identity=identity)


def _ensure_node(
    organisation: Organisation,
    folder: Path,
    unit: NodeOU,
    hosts: Sequence[str],
    validity: timedelta,
    *,
    renew: bool = False,
    renew_identity: bool = True,
) -> Path:
    """A node's identity and TLS certificate. Its keys stay: others know an orderer by that of its TLS."""
    name = f"{folder.name}.{organisation.name}"
    _ensure_identity(
        organisation,
        folder / "msp",
        name,
        unit,
        {},
        validity,
        renew=renew and renew_identity,
        keep_key=True,
    )
    authority = _authority(organisation, "tlsca")
    certificate, key = folder / "tls" / "server.crt", folder / "tls" / "server.key"
    kept = None if renew else _kept(certificate, key, authority)
    if kept is None or hosts_of(kept) != frozenset(hosts):
        made = issue_tls(authority, name, organisation.msp_id, hosts, validity, _key(certificate, key))
        _write(key, made.key_pem)
        _write(certificate, made.certificate_pem)
    _write_if_new(folder / "tls" / "ca.crt", authority.certificate_pem)
    return folder


def _ensure_identity(
    organisation: Organisation,
    msp: Path,
    name: str,
    unit: NodeOU,
    attributes: Mapping[str, str],
    validity: timedelta,
    *,
    renew: bool,
    keep_key: bool = False,
) -> Path:
    authority = _authority(organisation, "ca")
    certificate, key = msp / "signcerts" / "cert.pem", msp / "keystore" / "key.pem"
    kept = None if renew else _kept(certificate, key, authority)
    if kept is None or (common_name(kept), unit_of(kept), _attributes(kept)) != (
        name,
        unit,
        dict(attributes),
    ):
        old = _key(certificate, key) if keep_key else None
        made = issue_identity(authority, name, organisation.msp_id, unit, attributes, validity, old)
        _write(key, made.key_pem)
        _write(certificate, made.certificate_pem)
    _write_anchors(organisation, msp)
    return msp


def _kept(certificate: Path, key: Path, authority: Credential) -> x509.Certificate | None:
    """The certificate on disk if it and its key are whole, current and the authority's; else None."""
    try:
        held = Credential.from_pem(certificate.read_bytes(), key.read_bytes()).certificate
    except (FileNotFoundError, CertificateError):
        return None
    return held if is_current(held) and is_issued_by(held, authority.certificate) else None


def _key(certificate: Path, key: Path) -> ec.EllipticCurvePrivateKey | None:
    """The key on disk if it is that of the certificate beside it, whoever issued that and when."""
    try:
        return Credential.from_pem(certificate.read_bytes(), key.read_bytes()).key
    except (FileNotFoundError, CertificateError):
        return None


def _attributes(certificate: x509.Certificate) -> Mapping[str, str] | None:
    try:
        return attributes_of(certificate)
    except CertificateError:
        return None


def _authority(organisation: Organisation, kind: str) -> Credential:
    certificate = organisation.folder / "ca" / f"{kind}.pem"
    key = organisation.folder / "ca" / f"{kind}-key.pem"
    try:
        held = Credential.from_pem(certificate.read_bytes(), key.read_bytes())
    except FileNotFoundError as error:
        raise IdentityError(
            f"{error.filename} is missing; only who holds {organisation.name}'s authority issues identities"
        ) from None
    except CertificateError as error:
        raise IdentityError(f"{certificate}: {error}; restore the folder {certificate.parent}") from error
    if not is_current(held.certificate):
        raise IdentityError(
            f"{certificate} expired on {held.certificate.not_valid_after_utc:%Y-%m-%d}; make the network anew"
        )
    return held


def _write_anchors(organisation: Organisation, msp: Path) -> None:
    for kind, folder in (("ca", "cacerts"), ("tlsca", "tlscacerts")):
        source = organisation.folder / "ca" / f"{kind}.pem"
        _write_if_new(msp / folder / f"{kind}.pem", source.read_bytes())
    _write_if_new(msp / "config.yaml", _NODE_OUS.encode())


def _write_if_new(path: Path, data: bytes) -> None:
    if not path.exists() or path.read_bytes() != data:
        _write(path, data)


def _write(path: Path, data: bytes) -> None:
    """Write a file of mode 600, whole or not at all, its new folders with mode 700."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
