"""Identities in folders as other tools leave them: cryptogen's tree, and what `fabric-ca-client enroll` writes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from quorumlearn_network.certificates import Credential, NodeOU, issue_identity, issue_tls

YEAR = timedelta(days=365)
_NODE_OUS = "NodeOUs:\n  Enable: true\n"


def pem(key: ec.EllipticCurvePrivateKey, form: str = "PKCS8", password: bytes | None = None) -> bytes:
    """The key as `form`: PKCS8 or TraditionalOpenSSL (which is SEC1)."""
    kept = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    data: bytes = key.private_bytes(
        serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), kept
    )
    return data


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def cryptogen_user(
    root: Path,
    domain: str,
    user: str,
    authority: Credential,
    tls_authority: Credential,
    *,
    admin: bool = False,
) -> Path:
    """The folder of `User@domain` below cryptogen's tree in `root`, with `msp` and `tls`."""
    name = f"{user}@{domain}"
    folder = root / "peerOrganizations" / domain / "users" / name
    made = issue_identity(authority, name, domain, NodeOU.ADMIN if admin else NodeOU.CLIENT, {}, YEAR)
    msp = folder / "msp"
    put(msp / "signcerts" / f"{name}-cert.pem", made.certificate_pem)
    put(msp / "keystore" / "priv_sk", made.key_pem)
    put(msp / "cacerts" / f"ca.{domain}-cert.pem", authority.certificate_pem)
    put(msp / "tlscacerts" / f"tlsca.{domain}-cert.pem", tls_authority.certificate_pem)
    (msp / "admincerts").mkdir()
    put(msp / "config.yaml", _NODE_OUS)
    tls = issue_tls(tls_authority, name, domain, [name.replace("@", ".")], YEAR)
    put(folder / "tls" / "client.crt", tls.certificate_pem)
    put(folder / "tls" / "client.key", tls.key_pem)
    put(folder / "tls" / "ca.crt", tls_authority.certificate_pem)
    return folder


def fabric_ca_user(
    folder: Path, name: str, authority: Credential, attributes: Mapping[str, str], *, admin: bool = False
) -> Path:
    """The MSP folder that `fabric-ca-client enroll -M` leaves after a second enrolment: the first one's key is still there."""
    known = {"hf.Affiliation": "", "hf.EnrollmentID": name, "hf.Type": "admin" if admin else "client"}
    unit = NodeOU.ADMIN if admin else NodeOU.CLIENT
    made = issue_identity(authority, name, "Hyperledger", unit, {**known, **attributes}, YEAR)
    put(folder / "signcerts" / "cert.pem", made.certificate_pem)
    for key in (ec.generate_private_key(ec.SECP256R1()), made.key):
        put(folder / "keystore" / f"{_ski(key)}_sk", pem(key))
    put(folder / "cacerts" / "localhost-7054.pem", authority.certificate_pem)
    put(folder / "IssuerPublicKey", b"\x0a\x02OU")
    put(folder / "IssuerRevocationPublicKey", "-----BEGIN PUBLIC KEY-----\n")
    (folder / "user").mkdir()
    return folder


def with_key(msp: Path, copy: Path, key: bytes) -> Path:
    """A copy of an MSP folder with this for its only key."""
    shutil.copytree(msp, copy)
    for path in (copy / "keystore").iterdir():
        path.unlink()
    put(copy / "keystore" / "priv_sk", key)
    return copy


def _ski(key: ec.EllipticCurvePrivateKey) -> str:
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    digest = hashes.Hash(hashes.SHA256())
    digest.update(point)
    return digest.finalize().hex()
