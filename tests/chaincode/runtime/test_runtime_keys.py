"""Composite keys and key-level policies, as pure functions."""

from __future__ import annotations

import pytest
from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn_chaincode.runtime import (
    InvalidArgumentError,
    OutOf,
    Role,
    Rule,
    SignedBy,
    parse_policy,
    policy_bytes,
    signature_policy,
)
from quorumlearn_chaincode.runtime.composite_keys import (
    composite_key,
    composite_range,
    simple_range,
    split_composite_key,
)

PARTS = st.text(st.characters(exclude_characters="\x00\U0010ffff", exclude_categories=["Cs"]), max_size=8)
TYPES = PARTS.filter(bool)


@given(TYPES, st.lists(PARTS, max_size=5))
def test_splitting_undoes_joining(object_type: str, attributes: list[str]) -> None:
    assert split_composite_key(composite_key(object_type, attributes)) == (object_type, attributes)


@given(TYPES, st.lists(PARTS, max_size=4), TYPES, st.lists(PARTS, max_size=4))
def test_a_range_holds_a_key_exactly_if_its_parts_begin_with_the_ranges(
    object_type: str, attributes: list[str], other_type: str, other: list[str]
) -> None:
    start, end = composite_range(object_type, attributes)
    key = composite_key(other_type, other)
    begins = [other_type, *other][: len(attributes) + 1] == [object_type, *attributes]
    assert (start.encode() <= key.encode() < end.encode()) == begins


@given(TYPES, st.lists(PARTS, max_size=4))
def test_no_range_of_simple_keys_holds_a_composite_one(object_type: str, attributes: list[str]) -> None:
    start, _ = simple_range("", "")
    assert composite_key(object_type, attributes).encode() < start.encode()


@pytest.mark.parametrize("key", ["", "simple", "\x00", "\x00\x00", "\x00open", "\x00\x00a\x00", "tail\x00"])
def test_what_is_no_composite_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidArgumentError):
        split_composite_key(key)


@pytest.mark.parametrize("part", ["a\x00b", "\U0010ffff", "\ud800"])
def test_parts_that_would_break_the_order_are_refused(part: str) -> None:
    with pytest.raises(InvalidArgumentError):
        composite_key("type", [part])
    with pytest.raises(InvalidArgumentError):
        composite_key(part, [])


SIGNERS = st.builds(SignedBy, st.sampled_from(["AMSP", "BMSP", "CMSP"]), st.sampled_from(list(Role)))


def out_of(rules: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    def choose(chosen: list[Rule]) -> st.SearchStrategy[Rule]:
        return st.builds(OutOf, st.integers(1, len(chosen)), st.just(tuple(chosen)))

    return st.lists(rules, min_size=1, max_size=4).flatmap(choose)


@given(st.recursive(SIGNERS, out_of, max_leaves=12))
def test_a_policy_reads_back_as_it_was_written(rule: Rule) -> None:
    assert parse_policy(policy_bytes(rule)) == rule


def test_a_signature_policy_has_fabrics_layout() -> None:
    envelope = policies_pb2.SignaturePolicyEnvelope.FromString(
        signature_policy(2, [("CMSP", Role.PEER), ("AMSP", Role.PEER), ("BMSP", Role.MEMBER)])
    )
    assert envelope.version == 0
    assert envelope.rule.n_out_of.n == 2
    assert [rule.signed_by for rule in envelope.rule.n_out_of.rules] == [0, 1, 2]
    roles = [msp_principal_pb2.MSPRole.FromString(identity.principal) for identity in envelope.identities]
    kinds = msp_principal_pb2.MSPRole
    assert [(role.msp_identifier, role.role) for role in roles] == [
        ("AMSP", kinds.PEER),
        ("BMSP", kinds.MEMBER),
        ("CMSP", kinds.PEER),
    ]
    assert {identity.principal_classification for identity in envelope.identities} == {
        msp_principal_pb2.MSPPrincipal.ROLE
    }


@given(st.permutations([("AMSP", Role.PEER), ("BMSP", Role.PEER), ("BMSP", Role.ADMIN), ("CMSP", Role.PEER)]))
def test_the_order_of_the_organisations_does_not_matter(principals: list[tuple[str, Role]]) -> None:
    assert signature_policy(3, principals) == signature_policy(3, sorted(principals, key=str))


@pytest.mark.parametrize(
    "rule",
    [
        OutOf(0, (SignedBy("A"),)),
        OutOf(2, (SignedBy("A"),)),
        OutOf(1, ()),
        OutOf(-1, (SignedBy("A"),)),
        SignedBy(""),
    ],
)
def test_a_policy_that_nobody_or_anybody_satisfies_is_refused(rule: Rule) -> None:
    with pytest.raises(InvalidArgumentError):
        policy_bytes(rule)


def test_a_principal_named_twice_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="named twice"):
        signature_policy(1, [("AMSP", Role.PEER), ("AMSP", Role.PEER)])


def nested(depth: int) -> Rule:
    rule: Rule = SignedBy("A")
    for _ in range(depth):
        rule = OutOf(1, (rule,))
    return rule


def test_a_policy_nests_to_a_limit() -> None:
    assert parse_policy(policy_bytes(nested(16))) == nested(16)
    with pytest.raises(InvalidArgumentError, match="deeper"):
        policy_bytes(nested(17))


def hostile_policies() -> list[bytes]:
    """Policies that parse as protobuf but mean nothing."""
    policy = policies_pb2.SignaturePolicy
    deep = policy(signed_by=0)
    for _ in range(40):
        deep = policy(n_out_of=policy.NOutOf(n=1, rules=[deep]))
    other = msp_principal_pb2.MSPPrincipal(principal_classification=msp_principal_pb2.MSPPrincipal.IDENTITY)
    strange = msp_principal_pb2.MSPPrincipal(principal=b"\xff\xff")
    unknown = msp_principal_pb2.MSPPrincipal(principal=b"\x0a\x01A\x10\x63")
    envelope = policies_pb2.SignaturePolicyEnvelope
    return [
        b"\xff\xff",
        envelope().SerializeToString(),
        envelope(rule=policy(signed_by=0)).SerializeToString(),
        envelope(rule=policy(signed_by=-1)).SerializeToString(),
        envelope(rule=deep).SerializeToString(),
        *(
            envelope(rule=policy(signed_by=0), identities=[p]).SerializeToString()
            for p in (other, strange, unknown)
        ),
    ]


@pytest.mark.parametrize("policy", hostile_policies())
def test_a_policy_that_cannot_be_read_is_refused(policy: bytes) -> None:
    with pytest.raises(InvalidArgumentError):
        parse_policy(policy)
