"""Who a client is and how it signs.

Fabric wants ECDSA over SHA-256 with the lower of the two possible s values ("low S"), and from Fabric 3 on, on
channels of capability V3_0, takes Ed25519 over the message itself too; a peer answers any other signature with
"access denied".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from fabric_protos.msp import identities_pb2

from quorumlearn.gateway.errors import CredentialError

_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16
    ),
}

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Identity:
    """The MSP id of an organisation and the PEM of a certificate that it issued."""

    msp_id: str
    certificate: bytes

    @property
    def creator(self) -> bytes:
        """What transactions carry: a serialised msp.SerializedIdentity."""
        data: bytes = identities_pb2.SerializedIdentity(
            mspid=self.msp_id, id_bytes=self.certificate
        ).SerializeToString()
        return data


class Signer:
    """Signs bytes for an identity, from any number of threads.

    `sign` takes the message and returns a DER signature (64 bytes with Ed25519); `Signer.from_pem` makes one from
    a private key, and any callable (that of a hardware module, say) can be given instead, as long as it returns a
    low S.
    """

    def __init__(self, sign: Callable[[bytes], bytes]) -> None:
        self._sign = sign

    def __call__(self, message: bytes) -> bytes:
        return self._sign(message)

    def __repr__(self) -> str:
        return "Signer(...)"

    @staticmethod
    def from_pem(pem: bytes, password: bytes | None = None) -> Signer:
        """The signer of a PEM private key, PKCS#8 or SEC1, on P-256, P-384 or Ed25519; else CredentialError. `password` is that of an
        encrypted one.
        """
        return signer_of(read_key(pem, password))


def signer_of(key: PrivateKey) -> Signer:
    """The signer of a private key."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Signer(key.sign)
    curve = key.curve.name
    return Signer(lambda message: low_s(curve, *decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))))


def low_s(curve: str, r: int, s: int) -> bytes:
    """The DER signature of r and the lower s of a signature on a curve (`secp256r1` or `secp384r1`)."""
    return encode_dss_signature(r, min(s, _ORDERS[curve] - s))


def is_encrypted(pem: bytes) -> bool:
    """Whether a key takes a password: both forms say so in words."""
    return b"ENCRYPTED" in pem


def read_key(pem: bytes, password: bytes | None = None) -> PrivateKey:
    """The key in PEM; CredentialError if it cannot be used. A password for a key that takes none is not looked at."""
    encrypted = is_encrypted(pem)
    try:
        key = serialization.load_pem_private_key(pem, password if encrypted else None)
    except TypeError:
        raise CredentialError("the private key is encrypted, and no password was given") from None
    except ValueError:
        if encrypted:
            raise CredentialError("the password does not open the private key") from None
        raise CredentialError("the private key is no PEM") from None
    except UnsupportedAlgorithm:
        raise CredentialError("the private key is encrypted in a way that is not supported") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _ORDERS:
        return key
    raise CredentialError("the private key is on neither P-256, P-384 nor Ed25519, which Fabric takes")
