"""Reading the files of an MSP folder in Fabric's layout. ConfigError names the folder or file that is not right."""

from __future__ import annotations

from pathlib import Path

import yaml
from cryptography import x509

from quorumlearn_network.devnet.errors import ConfigError


def only_file(folder: Path) -> bytes:
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
        if len(files) != 1:
            raise ConfigError(f"{folder} must hold exactly one file, not {len(files)}")
        return files[0].read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {folder}: {error.strerror}") from error


def certificates(folder: Path) -> tuple[x509.Certificate, ...]:
    if not folder.is_dir():
        return ()
    try:
        return tuple(x509.load_pem_x509_certificate(path.read_bytes()) for path in sorted(folder.iterdir()))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: not every file there is a readable PEM certificate") from error


def revocations(folder: Path) -> tuple[x509.CertificateRevocationList, ...]:
    if not folder.is_dir():
        return ()
    try:
        return tuple(x509.load_pem_x509_crl(path.read_bytes()) for path in sorted(folder.iterdir()))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: not every file there is a readable PEM revocation list") from error


def node_units(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        fields = yaml.safe_load(path.read_text()) or {}
        node = fields.get("NodeOUs") or {}
        if not node.get("Enable"):
            return {}
        return {
            kind.lower(): str(
                node.get(f"{kind}OUIdentifier", {}).get("OrganizationalUnitIdentifier", kind.lower())
            )
            for kind in ("Client", "Peer", "Admin", "Orderer")
        }
    except (OSError, yaml.YAMLError, AttributeError) as error:
        raise ConfigError(f"{path} is not the configuration of an MSP") from error
