"""What a node says of itself when it starts: who it is, where its things are, which tasks it is for."""

from __future__ import annotations

from importlib.metadata import version

import structlog
from cryptography import x509

from quorumlearn.nodes import metrics
from quorumlearn.nodes.config import IdentityConfig
from quorumlearn.nodes.organisation import Organisation

log = structlog.get_logger()


def introduce(organisation: Organisation) -> None:
    """The first line of the log, and the gauges that hold from the start. CredentialError if an identity cannot be used."""
    config, build = organisation.config, version("quorumlearn")
    for one in config.identities:
        account, certificate = (
            organisation.name(one.user),
            organisation.gateway(one.user).identity.certificate,
        )
        ends = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
        metrics.CERTIFICATE_ENDS.labels(account).set(ends.timestamp())
    metrics.BUILD.labels(build).set(1)
    log.info(
        "node starts",
        version=build,
        identities=[f"{organisation.name(one.user)}: {_part(one)}" for one in config.identities],
        peer=organisation.gateway(config.identities[0].user).endpoint,
        channel=config.channel,
        chaincode=config.chaincode,
        store=organisation.store.shown,
        state=str(config.state),
    )


def _part(identity: IdentityConfig) -> str:
    if identity.role == "owner":
        return "owner of its own tasks"
    leaves = f", leaves {' '.join(identity.leaves)}" if identity.leaves else ""
    return f"{identity.role} in {' '.join(identity.tasks)}{leaves}"
