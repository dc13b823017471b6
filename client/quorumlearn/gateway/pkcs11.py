"""Signing with a key that never leaves a PKCS#11 module: a smart card, an HSM, or SoftHSM to try it.

Rules: the key is found by its id, which Fabric's own tools set to the SHA-256 of the public point (the key identifier that
fabric-ca-client names its files by), or by the label that a file gives. Before anything is signed with it, a signature is checked
against the certificate. A process has one session with a token, which serves one thread at a time, so signing is under a lock.

Source: PKCS#11 2.40, CKM_ECDSA; Fabric, `bccsp/pkcs11`. Needs `quorumlearn[pkcs11]`.
"""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumlearn.gateway.errors import CredentialError
from quorumlearn.gateway.identity import Signer, low_s

if TYPE_CHECKING:
    from quorumlearn.gateway.credentials import Password

PIN_VARIABLE = "QUORUMLEARN_PKCS11_PIN"
_OPENING = threading.Lock()
_SESSIONS: dict[tuple[str, str], tuple[Any, threading.Lock]] = {}
"""By library and token: a process logs in to a token once."""
_PROBE = b"quorumlearn: does this key belong to the certificate?"


@dataclass(frozen=True)
class Token:
    """Where a key is: the module's library, the token's label, and the key's own label, "" for one found by its id."""

    library: Path
    label: str
    key: str = ""


def pkcs11_signer(token: Token, certificate: x509.Certificate, pin: Password) -> Signer:
    """The signer of the certificate's key on a token; CredentialError if there is none, or it is another."""
    public = certificate.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name not in (
        "secp256r1",
        "secp384r1",
    ):
        raise CredentialError(
            "the certificate's key is on neither P-256 nor P-384, which is signed with here"
        )
    try:
        import pkcs11
    except ImportError:
        raise CredentialError(
            "a key on a PKCS#11 token takes the extra: pip install 'quorumlearn[pkcs11]'"
        ) from None
    where = f"token {token.label!r} of {token.library}"
    try:
        session, lock = _session(token, pin, where)
        with lock:
            key = session.get_key(
                object_class=pkcs11.ObjectClass.PRIVATE_KEY,
                **({"label": token.key} if token.key else {"id": key_id(public)}),
            )
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise CredentialError(f"{where}: {_words(error)}") from None
    curve = public.curve.name

    def sign(message: bytes) -> bytes:
        with lock:
            raw: bytes = key.sign(hashlib.sha256(message).digest(), mechanism=pkcs11.Mechanism.ECDSA)
        half = len(raw) // 2
        return low_s(curve, int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    try:
        public.verify(sign(_PROBE), _PROBE, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise CredentialError(f"{where}: the key {token.key!r} does not belong to the certificate") from None
    except pkcs11.PKCS11Error as error:
        raise CredentialError(f"{where}: {_words(error)}") from None
    return Signer(sign)


def _session(token: Token, pin: Password, where: str) -> tuple[Any, threading.Lock]:
    """The process's session with a token, and the lock for it; logged in once, as PKCS#11 wants it."""
    import pkcs11

    place = (os.fspath(token.library), token.label)
    with _OPENING:
        if place not in _SESSIONS:
            found = pkcs11.lib(place[0]).get_token(token_label=token.label)
            _SESSIONS[place] = found.open(user_pin=pin(where).decode()), threading.Lock()
        return _SESSIONS[place]


def key_id(public: ec.EllipticCurvePublicKey) -> bytes:
    """Fabric's key identifier: SHA-256 of the uncompressed point."""
    return hashlib.sha256(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)).digest()


def _words(error: Any) -> str:
    """What a PKCS#11 error means: its class says more than its text, which is mostly empty."""
    known = {
        "PinIncorrect": f"the PIN is wrong; it is taken from the variable {PIN_VARIABLE}",
        "NoSuchToken": "there is no such token",
        "NoSuchKey": "there is no such key; give its label as `key`",
        "MultipleObjectsReturned": "several keys answer to this; give the label of one as `key`",
    }
    kind = type(error).__name__
    return known.get(kind, f"{kind} {error}".strip())
