"""The endorsement policy language and its evaluation."""

from __future__ import annotations

import itertools

import pytest
from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from fabric_protos.peer import policy_pb2
from hypothesis import given
from hypothesis import strategies as st
from quorumlearn_network.devnet.errors import PolicyError
from quorumlearn_network.devnet.msp import Identity, Membership, Msp, Role
from quorumlearn_network.devnet.policy import layouts, parse_policy, read_policy, role_policy, satisfied

from tests.network.devnet.conftest import MEMBERS, Members


@pytest.fixture(scope="module")
def peers(members: Members) -> dict[str, Identity]:
    msps = {name: Msp.load(name, members.organisations[name].peer / "msp") for name in MEMBERS}
    membership = Membership(msps)
    return {name: membership.identity(members.peer_signer(name).serialized) for name in MEMBERS}


@pytest.fixture(scope="module")
def user(members: Members) -> Identity:
    msp = Msp.load("V1MSP", members.organisations["V1MSP"].peer / "msp")
    return Membership({"V1MSP": msp}).identity(members.signer("V1MSP").serialized)


def test_gates_become_out_of_with_numbered_principals() -> None:
    policy = parse_policy("OR('A.member', AND('B.peer', \"C-1.x.admin\"), outof(2, 'A.client', 'D.orderer'))")
    roles = [msp_principal_pb2.MSPRole.FromString(entry.principal) for entry in policy.identities]
    assert [(role.msp_identifier, role.role) for role in roles] == [
        ("A", Role.MEMBER),
        ("B", Role.PEER),
        ("C-1.x", Role.ADMIN),
        ("A", Role.CLIENT),
        ("D", Role.ORDERER),
    ]
    outer = policy.rule.n_out_of
    assert outer.n == 1
    assert [part.WhichOneof("Type") for part in outer.rules] == ["signed_by", "n_out_of", "n_out_of"]
    assert [part.n_out_of.n for part in outer.rules[1:]] == [2, 2]
    assert [leaf.signed_by for leaf in outer.rules[2].n_out_of.rules] == [3, 4]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "'A.member'",
        "AND()",
        "AND('A.member'",
        "AND('A.member',)",
        "AND('A.member')x",
        "XOR('A.member')",
        "OutOf('A.member')",
        "OutOf(3, 'A.member')",
        "OutOf(-1, 'A.member')",
        "OR('A.boss')",
        "OR('A B.member')",
        "OR(A.member)",
        "OR('A.member' 'B.member')",
        "OR(" * 30 + "'A.member'" + ")" * 30,
    ],
)
def test_unreadable_policies_are_refused_with_their_text(text: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse_policy(text)
    assert "policy" in str(refused.value)


def test_a_threshold_of_one_more_than_the_parts_parses_and_never_holds(peers: dict[str, Identity]) -> None:
    policy = parse_policy("OutOf(2, 'V1MSP.peer')")
    assert not satisfied(policy, list(peers.values()))


def test_one_signature_counts_once(peers: dict[str, Identity]) -> None:
    policy = parse_policy("AND('V1MSP.peer', 'V1MSP.member')")
    assert not satisfied(policy, [peers["V1MSP"]])


def test_roles_are_told_apart(peers: dict[str, Identity], user: Identity) -> None:
    assert satisfied(parse_policy("OR('V1MSP.client')"), [user])
    assert satisfied(parse_policy("OR('V1MSP.member')"), [user])
    assert not satisfied(parse_policy("OR('V1MSP.peer')"), [user])
    assert not satisfied(parse_policy("OR('V1MSP.client')"), [peers["V1MSP"]])
    assert not satisfied(parse_policy("OR('V1MSP.admin')"), [user])
    assert not satisfied(parse_policy("OR('V2MSP.member')"), [user])


def test_a_failed_branch_gives_its_signatures_back(peers: dict[str, Identity]) -> None:
    policy = parse_policy("OutOf(1, AND('V1MSP.peer', 'V2MSP.peer'), AND('V1MSP.peer', 'V3MSP.peer'))")
    assert satisfied(policy, [peers["V1MSP"], peers["V3MSP"]])


@given(required=st.integers(1, 4), chosen=st.sets(st.sampled_from(sorted(MEMBERS))))
def test_out_of_counts_organisations(peers: dict[str, Identity], required: int, chosen: set[str]) -> None:
    text = ",".join(f"'{name}.peer'" for name in sorted(MEMBERS))
    policy = parse_policy(f"OutOf({required},{text})")
    assert satisfied(policy, [peers[name] for name in sorted(chosen)]) == (len(chosen) >= required)


@given(
    required=st.integers(1, 3),
    names=st.lists(st.sampled_from(sorted(MEMBERS)), min_size=3, max_size=4, unique=True),
)
def test_layouts_are_the_minimal_sets_with_the_own_organisation_first(
    peers: dict[str, Identity], required: int, names: list[str]
) -> None:
    policy = role_policy(required, [(name, Role.PEER) for name in names])
    first = names[-1]
    ordered = sorted(peers.items(), key=lambda item: item[0] != first)
    found = layouts([policy], ordered)
    assert {frozenset(layout) for layout in found} == {
        frozenset(chosen) for chosen in itertools.combinations(names, required)
    }
    assert first in found[0]


def test_layouts_satisfy_every_policy_or_there_are_none(peers: dict[str, Identity]) -> None:
    quorum = parse_policy("OutOf(2,'V1MSP.peer','V2MSP.peer','V3MSP.peer')")
    owner = parse_policy("AND('OwnerMSP.peer','V3MSP.peer')")
    found = layouts([quorum, owner], list(peers.items()))
    assert {frozenset(layout) for layout in found} == {
        frozenset({"OwnerMSP", "V3MSP", "V1MSP"}),
        frozenset({"OwnerMSP", "V3MSP", "V2MSP"}),
    }
    assert layouts([parse_policy("OR('Nobody.peer')")], list(peers.items())) == []


def test_policies_are_read_bare_and_wrapped() -> None:
    policy = parse_policy("AND('A.peer','B.peer')")
    wrapped = policy_pb2.ApplicationPolicy(signature_policy=policy)
    assert read_policy(policy.SerializeToString()) == policy
    assert read_policy(wrapped.SerializeToString()) == policy


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_policy_or_a_policy_error(data: bytes) -> None:
    try:
        policy = read_policy(data)
    except PolicyError:
        return
    assert satisfied(policy, []) in {True, False}


def test_an_index_outside_the_identities_is_refused() -> None:
    policy = policies_pb2.SignaturePolicyEnvelope(rule=policies_pb2.SignaturePolicy(signed_by=3))
    with pytest.raises(PolicyError, match="identity index out of range, requested 3"):
        read_policy(policy.SerializeToString())
