"""Key-level endorsement policies: who must sign the next write of a key.

A rule is a tree: `SignedBy` asks for one signature by an organisation's role, `OutOf(n, rules)` for n of its
rules, each by another signer. `policy_bytes` turns it into what `set_state_validation_parameter` takes, a
serialised `common.SignaturePolicyEnvelope`. The same rule always gives the same bytes, since every endorser
must write the same.

    policy_bytes(OutOf(2, (SignedBy("OwnerMSP"), OutOf(1, (SignedBy("V1MSP"), SignedBy("V2MSP"))))))

Source: Fabric, "Endorsement policies" (key-level); fabric-chaincode-go `pkg/statebased`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from google.protobuf.message import DecodeError

from .errors import InvalidArgumentError

MAX_DEPTH = 16
"""How deep rules may nest when a policy is read; deeper ones are refused rather than followed."""


class Role(Enum):
    """What an organisation's signer must be. Endorsements are made by peers."""

    MEMBER = 0
    ADMIN = 1
    CLIENT = 2
    PEER = 3
    ORDERER = 4


@dataclass(frozen=True)
class SignedBy:
    """One signature by an identity of this organisation in this role."""

    msp_id: str
    role: Role = Role.PEER


@dataclass(frozen=True)
class OutOf:
    """At least `n` of `rules`."""

    n: int
    rules: tuple[Rule, ...]


Rule = SignedBy | OutOf


def signature_policy(n: int, principals: Sequence[tuple[str, Role]]) -> bytes:
    """The policy "n of these organisations' roles"; the order of `principals` does not matter.

    Raises `InvalidArgumentError` if there are fewer than n, n is below 1, or one is named twice.
    """
    ordered = sorted(set(principals), key=lambda principal: (principal[0], principal[1].value))
    if len(ordered) != len(principals):
        raise InvalidArgumentError("a principal is named twice in the endorsement policy: name each once")
    return policy_bytes(OutOf(n, tuple(SignedBy(msp_id, role) for msp_id, role in ordered)))


def policy_bytes(rule: Rule) -> bytes:
    """The serialised `SignaturePolicyEnvelope` of a rule.

    Raises `InvalidArgumentError` if the rule could never be satisfied.
    """
    principals: list[SignedBy] = []
    envelope = policies_pb2.SignaturePolicyEnvelope(version=0, rule=_to_proto(rule, principals, 0))
    for principal in principals:
        envelope.identities.append(
            msp_principal_pb2.MSPPrincipal(
                principal_classification=msp_principal_pb2.MSPPrincipal.ROLE,
                principal=msp_principal_pb2.MSPRole(
                    msp_identifier=principal.msp_id, role=principal.role.value
                ).SerializeToString(deterministic=True),
            )
        )
    serialised: bytes = envelope.SerializeToString(deterministic=True)
    return serialised


def parse_policy(policy: bytes) -> Rule:
    """The rule in a serialised `SignaturePolicyEnvelope`.

    Raises `InvalidArgumentError` if the bytes are no such policy, or name anything but organisations' roles.
    """
    try:
        envelope = policies_pb2.SignaturePolicyEnvelope.FromString(policy)
        principals = [_principal(identity) for identity in envelope.identities]
    except (DecodeError, ValueError) as error:
        raise InvalidArgumentError(f"the endorsement policy ({len(policy)} bytes) cannot be read") from error
    return _from_proto(envelope.rule, principals, 0)


def _to_proto(rule: Rule, principals: list[SignedBy], depth: int) -> policies_pb2.SignaturePolicy:
    if depth > MAX_DEPTH:
        raise InvalidArgumentError(f"an endorsement policy nests deeper than {MAX_DEPTH} rules")
    if isinstance(rule, SignedBy):
        if not rule.msp_id:
            raise InvalidArgumentError("an endorsement policy names an organisation without an MSP id")
        if rule not in principals:
            principals.append(rule)
        return policies_pb2.SignaturePolicy(signed_by=principals.index(rule))
    if not 1 <= rule.n <= len(rule.rules):
        raise InvalidArgumentError(
            f"an endorsement policy asks for {rule.n} of {len(rule.rules)} rules: ask for 1 to all"
        )
    return policies_pb2.SignaturePolicy(
        n_out_of=policies_pb2.SignaturePolicy.NOutOf(
            n=rule.n, rules=[_to_proto(inner, principals, depth + 1) for inner in rule.rules]
        )
    )


def _from_proto(rule: policies_pb2.SignaturePolicy, principals: list[SignedBy], depth: int) -> Rule:
    if depth > MAX_DEPTH:
        raise InvalidArgumentError(f"the endorsement policy nests deeper than {MAX_DEPTH} rules")
    kind = rule.WhichOneof("Type")
    if kind == "signed_by":
        if not 0 <= rule.signed_by < len(principals):
            raise InvalidArgumentError(
                f"the endorsement policy refers to principal {rule.signed_by} of {len(principals)}"
            )
        return principals[int(rule.signed_by)]
    if kind == "n_out_of":
        rules = tuple(_from_proto(inner, principals, depth + 1) for inner in rule.n_out_of.rules)
        return OutOf(rule.n_out_of.n, rules)
    raise InvalidArgumentError("the endorsement policy has an empty rule")


def _principal(identity: msp_principal_pb2.MSPPrincipal) -> SignedBy:
    if identity.principal_classification != msp_principal_pb2.MSPPrincipal.ROLE:
        raise ValueError("only roles are supported")
    role = msp_principal_pb2.MSPRole.FromString(identity.principal)
    return SignedBy(role.msp_identifier, Role(role.role))
