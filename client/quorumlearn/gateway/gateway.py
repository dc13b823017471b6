"""A connection to a Fabric network through one organisation's peer, for one identity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509

from quorumlearn.gateway.client_tls import ClientTls
from quorumlearn.gateway.connection import Connection
from quorumlearn.gateway.credentials import load_msp
from quorumlearn.gateway.errors import CredentialError
from quorumlearn.gateway.identity import Identity, Signer
from quorumlearn.gateway.network import Network
from quorumlearn.gateway.options import Options
from quorumlearn.gateway.profile import Peer, read_profile


class Gateway:
    """Use it in `with`, or `close` it. All threads of a process may share one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def identity(self) -> Identity:
        return self._connection.identity

    @property
    def endpoint(self) -> str:
        """The gateway peer's host:port."""
        return self._connection.endpoint

    def network(self, channel: str) -> Network:
        """The channel of that name. Nothing is asked yet: one that is not there fails at the first call."""
        return Network(self._connection, channel)

    def close(self) -> None:
        """End all streams, let calls under way fail, and close the connection. Twice is once."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def connect(
    endpoint: str,
    identity: Identity,
    signer: Signer,
    *,
    tls_root: bytes | None,
    override_authority: str = "",
    client_tls: ClientTls | None = None,
    options: Options | None = None,
) -> Gateway:
    """A gateway at `endpoint` (host:port). The connection is made at the first call.

    `tls_root` is the PEM of the TLS authority that the peer's certificate comes from; None is a connection
    without TLS. `override_authority` is the host name in the peer's certificate where it differs from the
    endpoint's. CredentialError if `tls_root` is no certificate.
    """
    if tls_root is not None:
        _check_authority(tls_root, endpoint)
    connection = Connection(
        endpoint, identity, signer, tls_root, override_authority, options or Options(), client_tls
    )
    return Gateway(connection)


def connect_peer(peer: Peer, identity: Identity, signer: Signer, options: Options | None = None) -> Gateway:
    """A gateway to a peer as a profile or a connection's file describes it; else CredentialError."""
    options = options or Options()
    if peer.proxy and not options.proxy:
        options = replace(options, proxy=peer.proxy)
    return connect(
        peer.endpoint,
        identity,
        signer,
        tls_root=peer.tls_root,
        override_authority=peer.override_authority,
        client_tls=peer.client_tls,
        options=options,
    )


def connect_profile(profile: Path, msp: Path, options: Options | None = None) -> Gateway:
    """A gateway from a common connection profile and an identity's MSP folder; else CredentialError."""
    peer = read_profile(profile)
    return connect_peer(peer, *load_msp(msp, peer.msp_id), options)


def _check_authority(pem: bytes, endpoint: str) -> None:
    try:
        x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CredentialError(
            f"the TLS authority given for the peer at {endpoint} is no certificate in PEM"
        ) from error
