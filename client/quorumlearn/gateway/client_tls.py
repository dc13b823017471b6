"""The certificate with which a client shows itself to a peer that asks for one (mutual TLS).

It says nothing of who signs: that is the identity. A peer's Deliver service wants its hash in each request, so that nobody else can
send the request again over a connection of his own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from quorumlearn.gateway.errors import CredentialError


@dataclass(frozen=True)
class ClientTls:
    """Certificate chain, its private key, and the SHA-256 of the certificate's DER."""

    certificate: bytes
    key: bytes = field(repr=False)
    digest: bytes

    @classmethod
    def of(cls, certificate: bytes, key: bytes, where: str) -> ClientTls:
        """From PEM. CredentialError, which begins with `where`, if they cannot be used or do not belong together."""
        try:
            leaf = x509.load_pem_x509_certificates(certificate)[0]
        except ValueError:
            raise CredentialError(f"{where}: the client's TLS certificate is no PEM") from None
        try:
            private = serialization.load_pem_private_key(key, None)
        except TypeError:
            raise CredentialError(
                f"{where}: the client's TLS key is encrypted; `openssl pkey` writes it without a password"
            ) from None
        except ValueError:
            raise CredentialError(f"{where}: the client's TLS key is no PEM") from None
        if private.public_key() != leaf.public_key():
            raise CredentialError(f"{where}: the client's TLS key does not belong to its TLS certificate")
        digest = hashlib.sha256(leaf.public_bytes(serialization.Encoding.DER)).digest()
        return cls(certificate, key, digest)
