"""The chaincode package that peers know a chaincode service by, and its package id.

Source: Fabric's "Running Chaincode as an External Service". The package is deterministic, so that every
organisation computes the same id; the service's address is a template that each peer fills in from its own
configuration.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

from quorumlearn_network.spec import ChaincodeSpec

ADDRESS = "{{.ccaddr}}"
"""The service's address as each peer's CHAINCODE_AS_A_SERVICE_BUILDER_CONFIG fills it in: `{"ccaddr": "host:port"}`."""


def chaincode_package(chaincode: ChaincodeSpec, address: str = ADDRESS, tls_root: str = "") -> bytes:
    """The .tar.gz that `peer lifecycle chaincode install` takes. With `tls_root`, the PEM of an authority, the peer connects to the
    service with TLS."""
    connection: dict[str, object] = {
        "address": address,
        "dial_timeout": "10s",
        "tls_required": bool(tls_root),
    }
    if tls_root:
        connection["root_cert"] = tls_root
    code = _archive({"connection.json": json.dumps(connection).encode()})
    metadata = {"type": "ccaas", "label": _label(chaincode)}
    return _archive({"metadata.json": json.dumps(metadata).encode(), "code.tar.gz": code})


def package_id(chaincode: ChaincodeSpec, address: str = ADDRESS, tls_root: str = "") -> str:
    """`label:hex SHA-256 of the package`, as the peer computes it at installation."""
    package = chaincode_package(chaincode, address, tls_root)
    return f"{_label(chaincode)}:{hashlib.sha256(package).hexdigest()}"


def _label(chaincode: ChaincodeSpec) -> str:
    return f"{chaincode.name}_{chaincode.version}"


def _archive(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
