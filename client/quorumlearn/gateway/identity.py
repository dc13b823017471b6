"""Who a client is and how it signs.

Fabric wants ECDSA over SHA-256 with the lower of the two possible s values ("low S"); a peer answers any
other signature with "access denied".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from fabric_protos.msp import identities_pb2

from quorumlearn.gateway.errors import CredentialError

_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16
    ),
}


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

    `sign` takes the message and returns a DER signature; `Signer.from_pem` makes one from a private key, and
    any callable (that of a hardware module, say) can be given instead, as long as it returns a low S.
    """

    def __init__(self, sign: Callable[[bytes], bytes]) -> None:
        self._sign = sign

    def __call__(self, message: bytes) -> bytes:
        return self._sign(message)

    def __repr__(self) -> str:
        return "Signer(...)"

    @classmethod
    def from_pem(cls, pem: bytes) -> Signer:
        """The signer of an unencrypted PEM private key on P-256 or P-384; else CredentialError."""
        key = _read_key(pem)
        order = _ORDERS[key.curve.name]

        def sign(message: bytes) -> bytes:
            r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
            return utils.encode_dss_signature(r, min(s, order - s))

        return cls(sign)


def load_msp(folder: Path, msp_id: str) -> tuple[Identity, Signer]:
    """Identity and signer of an MSP folder (`signcerts/`, `keystore/`, one file in each)."""
    certificate, key = _only_file(folder / "signcerts"), _only_file(folder / "keystore")
    try:
        read = x509.load_pem_x509_certificate(certificate)
    except ValueError:
        raise CredentialError(f"{folder / 'signcerts'} holds no PEM certificate") from None
    if _read_key(key).public_key() != read.public_key():
        raise CredentialError(f"the key and the certificate in {folder} do not belong together")
    return Identity(msp_id, certificate), Signer.from_pem(key)


def _read_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise CredentialError("the private key is no unencrypted PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _ORDERS:
        raise CredentialError("the private key is on neither P-256 nor P-384, the curves Fabric knows")
    return key


def _only_file(folder: Path) -> bytes:
    try:
        files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
        if len(files) != 1:
            raise CredentialError(f"{folder} holds {len(files)} files; an MSP folder has one there")
        return files[0].read_bytes()
    except OSError as error:
        raise CredentialError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
