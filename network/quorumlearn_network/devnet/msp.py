"""Membership: which certificates belong to an organisation, in which role, and who signed what.

Rules, after Fabric's MSP (hyperledger-fabric documentation, "Membership Service Provider", and msp/mspimpl):
- an identity is valid if its certificate chains to a CA of its MSP folder (`cacerts`, `intermediatecerts`),
  is not on one of the CA's revocation lists (`crls`) and, with NodeOUs, carries exactly one of the role
  units;
- MEMBER is any valid identity; CLIENT, PEER, ADMIN, ORDERER follow from the unit, ADMIN also from
  `admincerts`;
- validity does not depend on the clock, so that every peer and every later replay decides alike; expiry is
  checked where an identity asks for something (`Identity.expired`);
- a signature is ECDSA over SHA-256 with a low S, the other S of the same signature being refused, or Ed25519, which the
  channel's capability V3_0 admits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from fabric_protos.msp import identities_pb2, msp_config_pb2, msp_principal_pb2
from google.protobuf.message import DecodeError

from quorumlearn_network.devnet.errors import ConfigError, IdentityError
from quorumlearn_network.devnet.msp_folder import certificates, node_units, only_file, revocations

_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16
    ),
}
_ECDSA = ec.ECDSA(hashes.SHA256())
_Key: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_CACHED_IDENTITIES = 4096


class Role(IntEnum):
    """Fabric's MSPRole.MSPRoleType."""

    MEMBER = 0
    ADMIN = 1
    CLIENT = 2
    PEER = 3
    ORDERER = 4


@dataclass(frozen=True)
class Identity:
    """A certificate of some MSP. `problem` says why it is not valid; an invalid identity has no roles.

    `foreign` is one that no authority of the MSP issued: Fabric does not even take it for an identity.
    """

    msp_id: str
    serialized: bytes = field(repr=False)
    certificate: x509.Certificate = field(repr=False)
    roles: frozenset[Role]
    problem: str | None
    foreign: bool = False

    @property
    def writes(self) -> bool:
        """Whether it may propose and submit: clients and admins, and any member where units are not in use."""
        return bool(self.roles & {Role.CLIENT, Role.ADMIN}) or self.roles == {Role.MEMBER}

    @property
    def expired(self) -> bool:
        return datetime.now(UTC) > self.certificate.not_valid_after_utc

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether `signature` of `data` is this certificate's: DER with a low S, or that of Ed25519."""
        key = self.certificate.public_key()
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, data)
                return True
            if not isinstance(key, ec.EllipticCurvePublicKey):
                return False
            order = _ORDERS.get(key.curve.name)
            if order is None or utils.decode_dss_signature(signature)[1] > order // 2:
                return False
            key.verify(signature, data, _ECDSA)
        except (InvalidSignature, ValueError):
            return False
        return True

    def satisfies(self, principal: msp_principal_pb2.MSPPrincipal) -> bool:
        """Whether this identity is the principal of a policy; unreadable principals are nobody."""
        if self.problem is not None:
            return False
        kinds = msp_principal_pb2.MSPPrincipal
        try:
            if principal.principal_classification == kinds.ROLE:
                role = msp_principal_pb2.MSPRole.FromString(principal.principal)
                return role.msp_identifier == self.msp_id and role.role in self.roles
            if principal.principal_classification == kinds.IDENTITY:
                return _same_certificate(principal.principal, self)
            if principal.principal_classification == kinds.ORGANIZATION_UNIT:
                unit = msp_principal_pb2.OrganizationUnit.FromString(principal.principal)
                named = unit.organizational_unit_identifier in _units(self.certificate)
                return unit.msp_identifier == self.msp_id and named
        except DecodeError:
            return False
        return False


class SigningIdentity:
    """A certificate with its private key. The key never shows in a repr."""

    def __init__(self, msp_id: str, certificate_pem: bytes, key: _Key) -> None:
        self.msp_id = msp_id
        self.serialized: bytes = identities_pb2.SerializedIdentity(
            mspid=msp_id, id_bytes=certificate_pem
        ).SerializeToString()
        self._key = key

    def __repr__(self) -> str:
        return f"SigningIdentity({self.msp_id})"

    def sign(self, data: bytes) -> bytes:
        """DER ECDSA signature over SHA-256 of `data`, low S; or that of Ed25519."""
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        r, s = utils.decode_dss_signature(self._key.sign(data, _ECDSA))
        return utils.encode_dss_signature(r, min(s, _ORDERS[self._key.curve.name] - s))

    @classmethod
    def load(cls, msp_id: str, folder: Path) -> SigningIdentity:
        """Read `signcerts` and `keystore` of an MSP folder; ConfigError names what is missing or does not
        fit.
        """
        certificate_pem = only_file(folder / "signcerts")
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem)
            key = serialization.load_pem_private_key(only_file(folder / "keystore"), None)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{folder}: the certificate or its key is not readable PEM") from error
        if not isinstance(key, ed25519.Ed25519PrivateKey) and (
            not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _ORDERS
        ):
            raise ConfigError(f"{folder / 'keystore'}: the key is on neither P-256, P-384 nor Ed25519")
        if key.public_key() != certificate.public_key():
            raise ConfigError(f"{folder}: the key in keystore is not that of the certificate in signcerts")
        return cls(msp_id, certificate_pem, key)


@dataclass(frozen=True)
class Msp:
    """One organisation's certificate authorities and role units."""

    msp_id: str
    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...]
    admins: tuple[x509.Certificate, ...]
    revoked: tuple[x509.CertificateRevocationList, ...]
    tls_roots: tuple[x509.Certificate, ...]
    units: Mapping[Role, str]

    @classmethod
    def load(cls, msp_id: str, folder: Path) -> Msp:
        """Read an MSP folder; ConfigError says what is missing."""
        roots = certificates(folder / "cacerts")
        if not roots:
            raise ConfigError(f"{folder / 'cacerts'}: no CA certificate (*.pem) of {msp_id} there")
        return cls(
            msp_id,
            roots,
            certificates(folder / "intermediatecerts"),
            certificates(folder / "admincerts"),
            revocations(folder / "crls"),
            certificates(folder / "tlscacerts"),
            {Role[kind.upper()]: unit for kind, unit in node_units(folder / "config.yaml").items()},
        )

    def identity(self, serialized: bytes, certificate: x509.Certificate) -> Identity:
        """The identity of `certificate` under this MSP, valid or with its problem."""
        problem = self._problem(certificate)
        roles = frozenset[Role]() if problem else self._roles(certificate)
        foreign = problem is not None and not self._chains(certificate, depth=0)
        return Identity(self.msp_id, serialized, certificate, roles, problem, foreign)

    def config(self) -> msp_config_pb2.MSPConfig:
        """This MSP as the channel configuration carries it."""

        def unit(role: Role) -> msp_config_pb2.FabricOUIdentifier:
            return msp_config_pb2.FabricOUIdentifier(organizational_unit_identifier=self.units[role])

        fabric = msp_config_pb2.FabricMSPConfig(
            name=self.msp_id,
            root_certs=[_pem(certificate) for certificate in self.roots],
            intermediate_certs=[_pem(certificate) for certificate in self.intermediates],
            admins=[_pem(certificate) for certificate in self.admins],
            tls_root_certs=[_pem(certificate) for certificate in self.tls_roots],
            crypto_config=msp_config_pb2.FabricCryptoConfig(
                signature_hash_family="SHA2", identity_identifier_hash_function="SHA256"
            ),
        )
        if self.units:
            fabric.fabric_node_ous.CopyFrom(
                msp_config_pb2.FabricNodeOUs(
                    enable=True,
                    client_ou_identifier=unit(Role.CLIENT),
                    peer_ou_identifier=unit(Role.PEER),
                    admin_ou_identifier=unit(Role.ADMIN),
                    orderer_ou_identifier=unit(Role.ORDERER),
                )
            )
        return msp_config_pb2.MSPConfig(type=0, config=fabric.SerializeToString())

    def _problem(self, certificate: x509.Certificate) -> str | None:
        if not isinstance(certificate.public_key(), (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)):
            return "the key is neither an ECDSA nor an Ed25519 key"
        if _is_authority(certificate):
            return "a CA certificate is not an identity"
        if not self._chains(certificate, depth=0):
            return f"the certificate was not issued by a CA of {self.msp_id}"
        for revocation in self.revoked:
            entry = revocation.get_revoked_certificate_by_serial_number(certificate.serial_number)
            authorities = (*self.roots, *self.intermediates)
            if entry is not None and any(_revokes(revocation, certificate, ca) for ca in authorities):
                return "the certificate has been revoked"
        if self.units and len(set(_units(certificate)) & set(self.units.values())) != 1:
            return "the certificate must carry exactly one of the units client, peer, admin, orderer"
        return None

    def _roles(self, certificate: x509.Certificate) -> frozenset[Role]:
        units = _units(certificate)
        roles = {Role.MEMBER} | {role for role, unit in self.units.items() if unit in units}
        if certificate in self.admins:
            roles.add(Role.ADMIN)
        return frozenset(roles)

    def _chains(self, certificate: x509.Certificate, depth: int) -> bool:
        if any(_issued(certificate, root) for root in self.roots):
            return True
        issuers = [ca for ca in self.intermediates if _issued(certificate, ca)]
        return depth < len(self.intermediates) and any(self._chains(ca, depth + 1) for ca in issuers)


class Membership:
    """The MSPs of a channel.

    Identities are remembered by their bytes, since checking a chain costs a signature.
    """

    def __init__(self, msps: Mapping[str, Msp]) -> None:
        self.msps = dict(msps)
        self._known: dict[bytes, Identity] = {}

    def identity(self, serialized: bytes) -> Identity:
        """Read a SerializedIdentity.

        IdentityError if it is malformed or of an MSP that is not of this channel.
        """
        known = self._known.get(serialized)
        if known is not None:
            return known
        try:
            message = identities_pb2.SerializedIdentity.FromString(serialized)
            certificate = x509.load_pem_x509_certificate(message.id_bytes)
            certificate.public_key()
        except (DecodeError, ValueError, TypeError, x509.InvalidVersion) as error:
            raise IdentityError("the identity is not a readable certificate") from error
        except Exception as error:
            raise IdentityError("the identity's certificate uses an unsupported algorithm") from error
        msp = self.msps.get(message.mspid)
        if msp is None:
            raise IdentityError(f"MSP {message.mspid[:64]} is unknown")
        identity = msp.identity(serialized, certificate)
        if len(self._known) >= _CACHED_IDENTITIES:
            self._known.clear()
        self._known[serialized] = identity
        return identity


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    if not _is_authority(authority):
        return False
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _revokes(
    revocation: x509.CertificateRevocationList, certificate: x509.Certificate, authority: x509.Certificate
) -> bool:
    key = authority.public_key()
    named = revocation.issuer == certificate.issuer == authority.subject
    return named and isinstance(key, ec.EllipticCurvePublicKey) and revocation.is_signature_valid(key)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _units(certificate: x509.Certificate) -> list[str]:
    attributes = certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
    return [str(attribute.value) for attribute in attributes]


def _same_certificate(principal: bytes, identity: Identity) -> bool:
    message = identities_pb2.SerializedIdentity.FromString(principal)
    try:
        certificate = x509.load_pem_x509_certificate(message.id_bytes)
    except ValueError:
        return False
    same = message.mspid == identity.msp_id and certificate == identity.certificate
    return bool(same)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
