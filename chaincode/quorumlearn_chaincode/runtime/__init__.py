"""A runtime for Fabric chaincode as a service, in plain Python; see README.md beside this file."""

from .endorsement import OutOf, Role, SignedBy, parse_policy, policy_bytes, signature_policy
from .errors import (
    ChaincodeError,
    IdentityError,
    InvalidArgumentError,
    PeerError,
    PeerLostError,
    ServiceError,
)
from .stub import Chaincode, ChaincodeStub, ClientIdentity, HistoryEntry, Response

__all__ = [
    "Chaincode",
    "ChaincodeError",
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
    "ServiceError",
    "SignedBy",
    "parse_policy",
    "policy_bytes",
    "signature_policy",
]
