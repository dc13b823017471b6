"""A chaincode's definition and a change of the channel take a quorum of verifiers, and the share of all that the description says."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from fabric_protos.msp import msp_principal_pb2
from quorumlearn_network.agreement import agrees, render_agreement
from quorumlearn_network.devnet.policy import parse_policy, satisfied
from quorumlearn_network.spec import NetworkSpec, Share, default_spec, parse_spec

BOTH = """\
name: both
chaincode: {quorum: 2}
organisations:
- {name: org1, msp_id: Org1MSP, roles: [treasury, owner, verifier], users: [{name: admin, admin: true}]}
- {name: org2, msp_id: Org2MSP, roles: [verifier, miner]}
- {name: org3, msp_id: Org3MSP, roles: [verifier, miner]}
"""
SPECS = [default_spec(), default_spec(verifiers=5), default_spec(verifiers=1), parse_spec(BOTH, "both")]


@dataclass(frozen=True)
class Peer:
    """As much of an identity as a policy asks for."""

    msp_id: str

    def satisfies(self, principal: msp_principal_pb2.MSPPrincipal) -> bool:
        role = msp_principal_pb2.MSPRole.FromString(principal.principal)
        return role.msp_identifier == self.msp_id


@pytest.mark.parametrize("spec", SPECS, ids=["3 of 7", "5 of 9", "1 of 5", "all verify"])
@pytest.mark.parametrize("share", Share)
def test_it_takes_the_share_and_a_quorum_of_verifiers_and_no_more(spec: NetworkSpec, share: Share) -> None:
    policy = parse_policy(render_agreement(spec, share, "peer"))
    every = [one.msp_id for one in spec.organisations]
    verifiers = {one.msp_id for one in spec.verifiers}
    needed = {Share.ANY: 1, Share.MAJORITY: len(every) // 2 + 1, Share.ALL: len(every)}[share]
    for count in range(len(every) + 1):
        for chosen in itertools.combinations(every, count):
            enough = count >= needed and len(verifiers & set(chosen)) >= spec.chaincode.quorum
            assert satisfied(policy, [Peer(one) for one in chosen]) is enough, chosen  # type: ignore[misc]
            assert agrees(spec, share, chosen) is enough


def test_a_majority_without_verifiers_agrees_to_nothing() -> None:
    spec = default_spec()
    others = [one.msp_id for one in spec.organisations if one not in spec.verifiers]
    assert len(others) > len(spec.organisations) / 2
    assert not agrees(spec, Share.MAJORITY, others)
    assert not agrees(spec, Share.MAJORITY, [*others, spec.verifiers[0].msp_id])
    assert agrees(spec, Share.MAJORITY, [*others, *(one.msp_id for one in spec.verifiers[:2])])
