"""An identity with an Ed25519 key, as an organisation's authority may issue from Fabric 3 on."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from quorumlearn_network.identities import Organisation, ensure_user


def ed25519_identity(organisation: Organisation, name: str, folder: Path) -> Path:
    """An MSP folder of the certificate that a client of that name has, issued for another key."""
    pattern = ensure_user(organisation, name) / "signcerts" / "cert.pem"
    certificate = x509.load_pem_x509_certificate(pattern.read_bytes())
    authority = serialization.load_pem_private_key(
        (organisation.folder / "ca" / "ca-key.pem").read_bytes(), None
    )
    assert isinstance(authority, ec.EllipticCurvePrivateKey)
    key = ed25519.Ed25519PrivateKey.generate()
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
    )
    for extension in certificate.extensions:
        if not isinstance(extension.value, x509.SubjectKeyIdentifier):
            builder = builder.add_extension(extension.value, extension.critical)
    for place, data in (
        ("signcerts", builder.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)),
        (
            "keystore",
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        ),
    ):
        (folder / place).mkdir(parents=True)
        (folder / place / "one.pem").write_bytes(data)
    return folder
