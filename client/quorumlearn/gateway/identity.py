"""Who a client is and how it signs.

Fabric wants ECDSA over SHA-256 with the lower of the two possible s values ("low S"), and from Fabric 3 on, on
channels of capability V3_0, takes Ed25519 over the message itself too; a peer answers any other signature with
"access denied".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from fabric_protos.msp import identities_pb2

from quorumlearn.gateway.errors import CredentialError

_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16
    ),
}

_Key: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


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
    def from_pem(pem: bytes) -> Signer:
        """The signer of an unencrypted PEM private key: P-256, P-384 or Ed25519; else CredentialError."""
        return _signer(_read_key(pem))


def _signer(key: _Key) -> Signer:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Signer(key.sign)
    order = _ORDERS[key.curve.name]

    def sign(message: bytes) -> bytes:
        r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
        return utils.encode_dss_signature(r, min(s, order - s))

    return Signer(sign)


def load_msp(folder: Path, msp_id: str) -> tuple[Identity, Signer]:
    """Identity and signer of an MSP folder: the certificate in `signcerts/`, and that one of the keys in
    `keystore/` that belongs to it.
    """
    certificates, keys = _files(folder / "signcerts"), _files(folder / "keystore")
    if len(certificates) != 1:
        raise CredentialError(f"{folder / 'signcerts'} holds {len(certificates)} files; it must be one")
    try:
        certificate = x509.load_pem_x509_certificate(certificates[0])
    except ValueError:
        raise CredentialError(f"{folder / 'signcerts'} holds no PEM certificate") from None
    refused: CredentialError | None = None
    for pem in keys:
        try:
            key = _read_key(pem)
        except CredentialError as error:
            refused = error
            continue
        if key.public_key() == certificate.public_key():
            return Identity(msp_id, certificates[0]), _signer(key)
    named = f"none of the {len(keys)} keys in {folder / 'keystore'} belongs to the certificate in signcerts"
    raise CredentialError(f"{named}: {refused}" if refused is not None else named)


def _read_key(pem: bytes) -> _Key:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise CredentialError(
            "the private key is encrypted; `openssl pkey` writes it without a password"
        ) from None
    except ValueError:
        raise CredentialError("the private key is no PEM") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _ORDERS:
        return key
    raise CredentialError("the private key is on neither P-256, P-384 nor Ed25519, which Fabric takes")


def _files(folder: Path) -> list[bytes]:
    try:
        paths = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
        return [path.read_bytes() for path in sorted(paths)]
    except OSError as error:
        raise CredentialError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
