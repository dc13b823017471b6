"""X.509 certificates as Fabric wants them: certificate authorities and what they issue.

Rules, from Fabric's MSP documentation and its CA's extension for attributes:
- EC P-256 keys, ECDSA with SHA-256; every certificate has a subject key id, every issued one the key id
  of its authority;
- the organisational unit of an identity is its node OU: client, peer, admin or orderer;
- the enrolment id is the subject's common name;
- attributes are JSON `{"attrs": {...}}` in the extension 1.2.3.4.5.6.7.8.1;
- a TLS certificate names its hosts, IP addresses as such and not as DNS names;
- nothing outlives the authority that issued it.

This module touches no file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quorumlearn_network.errors import NetworkError

ATTRIBUTES_OID = x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1")
CLOCK_SKEW = timedelta(minutes=5)
AUTHORITY_VALIDITY = timedelta(days=3650)


class CertificateError(NetworkError):
    """A certificate or key that cannot be read, or does not fit the authority it is said to come from."""


class NodeOU(StrEnum):
    """What Fabric takes an identity for, by its organisational unit."""

    CLIENT = "client"
    PEER = "peer"
    ADMIN = "admin"
    ORDERER = "orderer"


@dataclass(frozen=True)
class Credential:
    """A certificate and its private key. The key stays out of `repr`."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """PKCS#8, not encrypted, as Fabric's keystore folders hold it."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes) -> Credential:
        """Read both; CertificateError if either is no PEM of its kind or they do not belong together."""
        read = read_certificate(certificate)
        try:
            private = serialization.load_pem_private_key(key, password=None)
        except (ValueError, TypeError):
            raise CertificateError("the private key is no unencrypted PEM") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise CertificateError("the private key is no elliptic curve key")
        if read.public_key() != private.public_key():
            raise CertificateError(f"the private key is not that of the certificate of {common_name(read)!r}")
        return cls(read, private)


def new_authority(common: str, organisation: str, validity: timedelta = AUTHORITY_VALIDITY) -> Credential:
    """A self-signed certificate authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common, organisation, None)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + validity)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Credential(certificate, key)


def issue_identity(
    authority: Credential,
    common: str,
    organisation: str,
    unit: NodeOU,
    attributes: Mapping[str, str],
    validity: timedelta,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Credential:
    """An identity that signs transactions or endorsements, for `key` or a new one.

    Empty `attributes` leave the extension out.
    """
    builder, key = _issued(authority, _name(common, organisation, unit), validity, key)
    if attributes:
        body = json.dumps({"attrs": dict(sorted(attributes.items()))}, separators=(",", ":")).encode()
        builder = builder.add_extension(x509.UnrecognizedExtension(ATTRIBUTES_OID, body), critical=False)
    builder = builder.add_extension(_usage(authority=False), critical=True)
    return Credential(builder.sign(authority.key, hashes.SHA256()), key)


def issue_tls(
    authority: Credential,
    common: str,
    organisation: str,
    hosts: Sequence[str],
    validity: timedelta,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Credential:
    """A TLS certificate for `hosts` (names or IP addresses), for both ends of a connection, for `key` or a new one."""
    builder, key = _issued(authority, _name(common, organisation, None), validity, key)
    builder = builder.add_extension(_usage(authority=False), critical=True)
    builder = builder.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
        critical=False,
    )
    names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
    builder = builder.add_extension(names, critical=False)
    return Credential(builder.sign(authority.key, hashes.SHA256()), key)


def read_certificate(pem: bytes) -> x509.Certificate:
    """One certificate from its PEM, or a CertificateError."""
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise CertificateError("the certificate is no PEM of an X.509 certificate") from error


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether `authority` signed `certificate` (dates are not looked at)."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def common_name(certificate: x509.Certificate) -> str:
    """The subject's common name, `""` if it has none."""
    return _subject(certificate, NameOID.COMMON_NAME)


def unit_of(certificate: x509.Certificate) -> str:
    """The subject's (first) organisational unit, `""` if it has none."""
    return _subject(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME)


def attributes_of(certificate: x509.Certificate) -> dict[str, str]:
    """The attributes of Fabric's CA: none without the extension, CertificateError if it is malformed."""
    try:
        extension = certificate.extensions.get_extension_for_oid(ATTRIBUTES_OID).value
    except x509.ExtensionNotFound:
        return {}
    problem = f"the attributes of the certificate of {common_name(certificate)!r} are malformed"
    if not isinstance(extension, x509.UnrecognizedExtension):
        raise CertificateError(problem)
    try:
        attributes = json.loads(extension.value)["attrs"]
        return {str(name): str(value) for name, value in attributes.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CertificateError(problem) from error


def hosts_of(certificate: x509.Certificate) -> frozenset[str]:
    """The host names and IP addresses a TLS certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    dns = names.get_values_for_type(x509.DNSName)
    return frozenset(dns) | {str(address) for address in names.get_values_for_type(x509.IPAddress)}


def is_current(certificate: x509.Certificate, spare: timedelta = timedelta(0)) -> bool:
    """Whether the certificate is valid now and stays so for `spare` more."""
    now = datetime.now(UTC)
    return certificate.not_valid_before_utc <= now and now + spare < certificate.not_valid_after_utc


def _issued(
    authority: Credential,
    subject: x509.Name,
    validity: timedelta,
    key: ec.EllipticCurvePrivateKey | None,
) -> tuple[x509.CertificateBuilder, ec.EllipticCurvePrivateKey]:
    key = key if key is not None else ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    start = max(now - CLOCK_SKEW, authority.certificate.not_valid_before_utc)
    end = min(now + validity, authority.certificate.not_valid_after_utc)
    if not is_current(authority.certificate):
        raise CertificateError(
            f"the authority {common_name(authority.certificate)!r} is expired; it issues nothing"
        )
    issuer_id = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False
        )
    )
    return builder, key


def _name(common: str, organisation: str, unit: NodeOU | None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)]
    if unit is not None:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit.value))
    parts.append(x509.NameAttribute(NameOID.COMMON_NAME, common))
    return x509.Name(parts)


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _subject(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    values = certificate.subject.get_attributes_for_oid(oid)
    return str(values[0].value) if values else ""
