"""A runtime for Fabric chaincode as a service, in plain Python; see README.md beside this file."""

from .composite_keys import composite_key
from .endorsement import OutOf, Role, Rule, SignedBy, parse_policy, policy_bytes, signature_policy
from .errors import (
    ChaincodeError,
    IdentityError,
    InvalidArgumentError,
    PeerError,
    PeerLostError,
    ServiceError,
)
from .service import ChaincodeService, serve
from .settings import ServiceSettings, TlsCredentials, tls_from_environment
from .stub import Chaincode, ChaincodeStub, ClientIdentity, HistoryEntry, Response

__all__ = [
    "Chaincode",
    "ChaincodeError",
    "ChaincodeService",
    "ChaincodeStub",
    "ClientIdentity",
    "HistoryEntry",
    "IdentityError",
    "InvalidArgumentError",
    "OutOf",
    "PeerError",
    "PeerLostError",
    "Response",
    "Role",
    "Rule",
    "ServiceError",
    "ServiceSettings",
    "SignedBy",
    "TlsCredentials",
    "composite_key",
    "parse_policy",
    "policy_bytes",
    "serve",
    "signature_policy",
    "tls_from_environment",
]
