"""Identities from files: an MSP folder as cryptogen, fabric-ca-client or `quorumlearn network` leave it, or a certificate and a key.

Rules:
- of the keys in a `keystore` the one that belongs to the certificate is taken, whatever its file is called; one that is encrypted is
  opened only where no other belongs to it;
- a password comes from the environment or from whoever sits at the terminal, never from a command line or a configuration;
- a certificate that has run out is refused here, since a peer says no more than "access denied".

Source: Fabric, "Membership Service Providers"; fabric-ca-client, `enroll`.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from quorumlearn.gateway.errors import CredentialError
from quorumlearn.gateway.identity import (
    Identity,
    PrivateKey,
    Signer,
    is_encrypted,
    read_key,
    signer_of,
)

PASSWORD_VARIABLE = "QUORUMLEARN_KEY_PASSWORD"
Password = Callable[[str], bytes]
"""The password of what is named; CredentialError if there is none to be had."""


def password_from(variable: str = PASSWORD_VARIABLE, word: str = "password") -> Password:
    """Of an environment variable or, where that is not set and somebody is at the terminal, asked for there."""

    def password(what: str) -> bytes:
        held = os.environ.get(variable)
        if held is not None:
            return held.encode()
        if sys.stdin is not None and sys.stdin.isatty():
            return getpass.getpass(f"The {word} of {what}: ").encode()
        raise CredentialError(f"{what} takes a {word}: put it into the variable {variable}")

    return password


def load_msp(folder: Path, msp_id: str, password: Password | None = None) -> tuple[Identity, Signer]:
    """Identity and signer of an MSP folder: the certificate in `signcerts/`, and that one of the keys in
    `keystore/` that belongs to it. CredentialError if they cannot be used.
    """
    identity, certificate = certificate_of_msp(folder, msp_id)
    keys = _files(folder / "keystore")
    refused: CredentialError | None = None
    for path in sorted(keys, key=lambda path: is_encrypted(keys[path])):
        try:
            key = _opened(path, keys[path], password)
        except CredentialError as error:
            if is_encrypted(keys[path]):
                raise
            refused = error
            continue
        if key.public_key() == certificate.public_key():
            return identity, signer_of(key)
    named = f"none of the {len(keys)} keys in {folder / 'keystore'} belongs to the certificate in signcerts"
    raise CredentialError(f"{named}: {refused}" if refused is not None else named)


def load_pair(
    certificate: Path, key: Path, msp_id: str, password: Password | None = None
) -> tuple[Identity, Signer]:
    """Identity and signer of a certificate and its private key, both PEM files; else CredentialError."""
    identity, read = certificate_of(certificate, msp_id)
    private = _opened(key, read_file(key), password)
    if private.public_key() != read.public_key():
        raise CredentialError(f"the key {key} does not belong to the certificate {certificate}")
    return identity, signer_of(private)


def certificate_of_msp(folder: Path, msp_id: str) -> tuple[Identity, x509.Certificate]:
    """The identity of an MSP folder, whose key may be elsewhere; CredentialError if its certificate cannot be used."""
    certificates = _files(folder / "signcerts")
    if len(certificates) != 1:
        raise CredentialError(f"{folder / 'signcerts'} holds {len(certificates)} files; it must be one")
    return certificate_of(next(iter(certificates)), msp_id)


def certificate_of(path: Path, msp_id: str) -> tuple[Identity, x509.Certificate]:
    """The identity of a certificate; CredentialError if it is none, has run out or is not valid yet."""
    pem = read_file(path)
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError:
        raise CredentialError(f"{path} holds no PEM certificate") from None
    now = datetime.now(UTC)
    if now > certificate.not_valid_after_utc:
        raise CredentialError(
            f"the certificate {path} ran out on {certificate.not_valid_after_utc:%Y-%m-%d}: renew it "
            "(fabric-ca-client reenroll; quorumlearn identity renew)"
        )
    if now < certificate.not_valid_before_utc:
        raise CredentialError(
            f"the certificate {path} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on, and it is "
            f"{now:%Y-%m-%d %H:%M} by this machine's clock"
        )
    return Identity(msp_id, pem), certificate


def read_file(path: Path) -> bytes:
    """A file's bytes; CredentialError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CredentialError(f"{path} cannot be read: {error.strerror}") from error


def _opened(path: Path, pem: bytes, password: Password | None) -> PrivateKey:
    given = (password or password_from())(f"the key {path}") if is_encrypted(pem) else None
    try:
        return read_key(pem, given)
    except CredentialError as error:
        raise CredentialError(f"{path}: {error}") from None


def _files(folder: Path) -> dict[Path, bytes]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise CredentialError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    return {path: read_file(path) for path in paths}
