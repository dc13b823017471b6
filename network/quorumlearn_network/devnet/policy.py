"""Fabric's endorsement policy language, and what satisfies a policy.

    OutOf(2, 'V1MSP.peer', AND('V2MSP.peer', 'V3MSP.member'))

`AND`, `OR` and `OutOf` (any of: first capital, all lower, all upper case) nest; a principal is `'<MSP
id>.<member|admin|client|peer|orderer>'` in single or double quotes. Principals are numbered in the order they
are written and not merged, and `OutOf(n + 1, ...)` of n parts parses (nobody can satisfy it), both as in
Fabric's policydsl. Evaluation follows cauthdsl: every principal consumes one signature, first come, first
served, without backtracking across a gate that has been satisfied.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from fabric_protos.peer import policy_pb2
from google.protobuf.message import DecodeError

from quorumlearn_network.devnet.errors import PolicyError
from quorumlearn_network.devnet.msp import Identity, Role

_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z]+)|(?P<number>\d+)|(?P<quoted>'[^']*'|\"[^\"]*\")|(?P<mark>[(),]))"
)
_PRINCIPAL = re.compile(r"^([A-Za-z0-9.-]+)\.(admin|member|client|peer|orderer)$")
_GATES = {form for gate in ("And", "Or", "OutOf") for form in (gate, gate.lower(), gate.upper())}
_MAX_DEPTH = 20
_EXHAUSTIVE_ORGANISATIONS = 10


def parse_policy(text: str) -> policies_pb2.SignaturePolicyEnvelope:
    """Translate policy text; PolicyError names the place that cannot be read."""
    return _Parser(text).parse()


def role_policy(
    required: int, principals: Sequence[tuple[str, Role]]
) -> policies_pb2.SignaturePolicyEnvelope:
    """`required` signatures out of one of each (MSP id, role)."""
    return policies_pb2.SignaturePolicyEnvelope(
        version=0,
        rule=_out_of(required, [policies_pb2.SignaturePolicy(signed_by=i) for i in range(len(principals))]),
        identities=[_principal(msp_id, role) for msp_id, role in principals],
    )


def read_policy(data: bytes) -> policies_pb2.SignaturePolicyEnvelope:
    """A chaincode's or key's policy from its bytes: an ApplicationPolicy, or a bare SignaturePolicyEnvelope.

    Key-level policies are set by chaincodes, so PolicyError covers any bytes.
    """
    try:
        application = policy_pb2.ApplicationPolicy.FromString(data)
        if application.WhichOneof("Type") == "signature_policy":
            return checked(application.signature_policy)
    except (DecodeError, PolicyError):
        application = None
    try:
        return checked(policies_pb2.SignaturePolicyEnvelope.FromString(data))
    except DecodeError as error:
        raise PolicyError("the policy is not a SignaturePolicyEnvelope") from error


def checked(policy: policies_pb2.SignaturePolicyEnvelope) -> policies_pb2.SignaturePolicyEnvelope:
    """`policy` if its rule can be evaluated: version 0, known gates, indices within its identities."""

    def check(rule: policies_pb2.SignaturePolicy, depth: int) -> None:
        kind = rule.WhichOneof("Type")
        if kind == "signed_by":
            if not 0 <= rule.signed_by < len(policy.identities):
                raise PolicyError(
                    f"identity index out of range, requested {rule.signed_by}, "
                    f"but identities length is {len(policy.identities)}"
                )
        elif kind == "n_out_of":
            if depth > _MAX_DEPTH:
                raise PolicyError(f"the policy nests deeper than {_MAX_DEPTH}")
            for part in rule.n_out_of.rules:
                check(part, depth + 1)
        else:
            raise PolicyError("Empty policy element")

    if policy.version != 0:
        raise PolicyError(
            f"this evaluator only understands messages of version 0, but version was {policy.version}"
        )
    check(policy.rule, 0)
    return policy


def satisfied(policy: policies_pb2.SignaturePolicyEnvelope, identities: Sequence[Identity]) -> bool:
    """Whether distinct, already verified `identities` satisfy a checked `policy`."""
    matches = [[identity.satisfies(principal) for identity in identities] for principal in policy.identities]

    def holds(rule: policies_pb2.SignaturePolicy, used: list[bool]) -> bool:
        if rule.WhichOneof("Type") == "signed_by":
            for i, match in enumerate(matches[rule.signed_by]):
                if match and not used[i]:
                    used[i] = True
                    return True
            return False
        verified = 0
        for part in rule.n_out_of.rules:
            attempt = list(used)
            if holds(part, attempt):
                verified += 1
                used[:] = attempt
        return verified >= int(rule.n_out_of.n)

    return holds(policy.rule, [False] * len(identities))


def layouts(
    policies: Sequence[policies_pb2.SignaturePolicyEnvelope], peers: Sequence[tuple[str, Identity]]
) -> list[tuple[str, ...]]:
    """The smallest sets of organisations whose peers satisfy all `policies`, in order of preference.

    `peers` are (MSP id, peer identity), the preferred first. Up to ten organisations every minimal set is
    found; of more, one set, by leaving out from the end whoever is not needed.
    """

    def enough(chosen: Sequence[tuple[str, Identity]]) -> bool:
        identities = [identity for _, identity in chosen]
        return all(satisfied(policy, identities) for policy in policies)

    if not enough(peers):
        return []
    if len(peers) > _EXHAUSTIVE_ORGANISATIONS:
        kept = list(peers)
        for candidate in reversed(peers):
            rest = [peer for peer in kept if peer is not candidate]
            if rest and enough(rest):
                kept = rest
        return [tuple(msp_id for msp_id, _ in kept)]
    found: list[tuple[str, ...]] = []
    for size in range(1, len(peers) + 1):
        for chosen in itertools.combinations(peers, size):
            names = tuple(msp_id for msp_id, _ in chosen)
            if not any(set(smaller) <= set(names) for smaller in found) and enough(chosen):
                found.append(names)
    return sorted(found, key=lambda names: peers[0][0] not in names)


def _out_of(required: int, rules: Sequence[policies_pb2.SignaturePolicy]) -> policies_pb2.SignaturePolicy:
    return policies_pb2.SignaturePolicy(n_out_of=policies_pb2.SignaturePolicy.NOutOf(n=required, rules=rules))


def _principal(msp_id: str, role: Role) -> msp_principal_pb2.MSPPrincipal:
    return msp_principal_pb2.MSPPrincipal(
        principal_classification=msp_principal_pb2.MSPPrincipal.ROLE,
        principal=msp_principal_pb2.MSPRole(msp_identifier=msp_id, role=int(role)).SerializeToString(),
    )


class _Parser:
    """Recursive descent over the tokens of one policy text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._scan()
        self._next = 0
        self._principals: list[msp_principal_pb2.MSPPrincipal] = []

    def parse(self) -> policies_pb2.SignaturePolicyEnvelope:
        rule = self._gate(0)
        if self._next != len(self._tokens):
            raise self._error("ends too late")
        return policies_pb2.SignaturePolicyEnvelope(version=0, rule=rule, identities=self._principals)

    def _scan(self) -> list[tuple[str, str]]:
        tokens: list[tuple[str, str]] = []
        place, text = 0, self._text.rstrip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None or match.lastgroup is None:
                raise PolicyError(f"policy {self._text!r}: cannot read {text[place : place + 20]!r}")
            tokens.append((match.lastgroup, match[match.lastgroup]))
            place = match.end()
        return tokens

    def _gate(self, depth: int) -> policies_pb2.SignaturePolicy:
        name = self._take("word")
        if name not in _GATES:
            raise self._error(f"has no gate {name!r} (AND, OR, OutOf)")
        if depth > _MAX_DEPTH:
            raise self._error(f"nests deeper than {_MAX_DEPTH}")
        self._take_mark("(")
        required = 1
        if name.lower() == "outof":
            required = int(self._take("number"))
            self._take_mark(",")
        rules = [self._part(depth)]
        while self._peek() == ("mark", ","):
            self._next += 1
            rules.append(self._part(depth))
        self._take_mark(")")
        if name.lower() == "and":
            required = len(rules)
        if required > len(rules) + 1:
            raise self._error(f"asks for {required} out of {len(rules)}")
        return _out_of(required, rules)

    def _part(self, depth: int) -> policies_pb2.SignaturePolicy:
        if self._peek()[0] != "quoted":
            return self._gate(depth + 1)
        text = self._take("quoted")[1:-1]
        match = _PRINCIPAL.match(text)
        if match is None:
            raise self._error(f"has an unreadable principal {text!r} (MSP.member|admin|client|peer|orderer)")
        self._principals.append(_principal(match[1], Role[match[2].upper()]))
        return policies_pb2.SignaturePolicy(signed_by=len(self._principals) - 1)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self, kind: str) -> str:
        found, text = self._peek()
        if found != kind:
            raise self._error(f"has {text!r} where a {kind} belongs" if text else "ends too early")
        self._next += 1
        return text

    def _take_mark(self, mark: str) -> None:
        if self._peek() != ("mark", mark):
            raise self._error(f"lacks {mark!r}")
        self._next += 1

    def _error(self, what: str) -> PolicyError:
        return PolicyError(f"policy {self._text!r} {what}")
