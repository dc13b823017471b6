"""Messages from one verifier to another through the public store: HPKE (RFC 9180) in base mode.

The KEM is the hybrid of ML-KEM-768 and X25519, so that shares stay sealed against a quantum computer of later years.
Sender and integrity come from the ledger: the digest of what is sealed stands in a transaction signed by its sender. A key pair is
of one round and is erased with it; `context` binds a message to task, round, purpose, sender and recipient.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_KEM_SEED, _X25519 = 64, 32
_KEM_PUBLIC = 1184

PUBLIC_KEY_BYTES = _KEM_PUBLIC + _X25519


class SealError(Exception):
    """A sealed message or a key that is not one, or not for this recipient."""


def new_key() -> bytes:
    """A private key: 96 bytes, to be kept secret."""
    return MLKEM768PrivateKey.generate().private_bytes_raw() + X25519PrivateKey.generate().private_bytes_raw()


def public_key(private: bytes) -> bytes:
    """The public key (1,216 bytes) of a private key."""
    kem, curve = _halves(private)
    return kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()


def seal(message: bytes, public: bytes, context: str) -> bytes:
    if len(public) != PUBLIC_KEY_BYTES:
        raise SealError(f"a sealing key has {PUBLIC_KEY_BYTES} bytes, this one {len(public)}")
    try:
        key = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(public[:_KEM_PUBLIC]),
            X25519PublicKey.from_public_bytes(public[_KEM_PUBLIC:]),
        )
        return _SUITE.encrypt(message, key, context.encode())
    except ValueError as error:
        raise SealError("not a sealing key") from error


def works(public: bytes) -> bool:
    """Whether anything can be sealed to this: the same for everybody who asks."""
    try:
        seal(b"", public, "")
    except SealError:
        return False
    return True


def unseal(sealed: bytes, private: bytes, context: str) -> bytes:
    """The message, or SealError if it was altered, is for somebody else or of another context."""
    kem, curve = _halves(private)
    try:
        return _SUITE.decrypt(sealed, hpke.MLKEM768X25519PrivateKey(kem, curve), context.encode())
    except (InvalidTag, ValueError) as error:
        raise SealError(f"cannot open a sealed message ({context})") from error


def _halves(private: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    if len(private) != _KEM_SEED + _X25519:
        raise SealError("not a private sealing key")
    return (
        MLKEM768PrivateKey.from_seed_bytes(private[:_KEM_SEED]),
        X25519PrivateKey.from_private_bytes(private[_KEM_SEED:]),
    )
