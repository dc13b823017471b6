"""Reads the submitter's certificate.

The peer has checked the signature and the certificate's chain before the chaincode hears of the
transaction; what is left here is to read it strictly. An Idemix identity has no certificate and is refused.
Source: Fabric, "MSP"; fabric-ca, attribute extension (`lib/attr`); fabric-chaincode-go, `pkg/cid`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from cryptography import x509
from cryptography.x509.oid import NameOID
from fabric_protos.msp import identities_pb2
from google.protobuf.message import DecodeError

from .errors import IdentityError
from .stub import ClientIdentity

ATTRIBUTES = x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1")
"""Where Fabric's CA puts a certificate's attributes, as the JSON object {"attrs": {name: value}}."""


@lru_cache(maxsize=256)
def read_identity(creator: bytes) -> ClientIdentity:
    """The identity in a serialised `msp.SerializedIdentity`, read once for all its transactions. Raises `IdentityError`."""
    try:
        serialised = identities_pb2.SerializedIdentity.FromString(creator)
    except DecodeError:
        raise IdentityError(f"the submitter's identity ({len(creator)} bytes) cannot be read") from None
    if not serialised.mspid:
        raise IdentityError("the submitter's identity names no MSP")
    try:
        certificate = x509.load_pem_x509_certificate(serialised.id_bytes)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        extension = _attribute_extension(certificate)
        not_before, not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise IdentityError(
            f"the submitter's certificate, of {serialised.mspid}, is not readable X.509"
        ) from None
    if len(names) != 1 or not names[0].value:
        raise IdentityError(
            f"the submitter's certificate has {len(names)} common names: it needs exactly one"
        )
    return ClientIdentity(
        msp_id=serialised.mspid,
        name=_text(names[0].value),
        attributes=_attributes(extension),
        organisational_units=tuple(_text(unit.value) for unit in units),
        not_before=not_before,
        not_after=not_after,
    )


def _attribute_extension(certificate: x509.Certificate) -> bytes | None:
    try:
        extension = certificate.extensions.get_extension_for_oid(ATTRIBUTES).value
    except x509.ExtensionNotFound:
        return None
    return extension.value if isinstance(extension, x509.UnrecognizedExtension) else None


def _attributes(extension: bytes | None) -> Mapping[str, str]:
    if extension is None:
        return MappingProxyType({})
    try:
        parsed: object = json.loads(extension)
    except (ValueError, RecursionError):
        raise IdentityError("the attributes in the submitter's certificate are not JSON") from None
    attributes = parsed.get("attrs") if isinstance(parsed, dict) else None
    if attributes is None and isinstance(parsed, dict):
        attributes = {}
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        raise IdentityError("the attributes in the submitter's certificate are not names with text values")
    return MappingProxyType(dict(attributes))


def _text(value: str | bytes) -> str:
    if isinstance(value, bytes):
        raise IdentityError("the submitter's certificate holds a name that is not text")
    return value
