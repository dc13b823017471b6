"""A chaincode's way onto the channel: installed by each organisation, approved by each, committed once.

Rules:
- every step asks first and does only what is not done, so that all of it can be repeated;
- the definition on the channel is never overwritten by a lower or equal sequence with other content;
- the endorsement policy is that of the network's description, a quorum of verifier organisations.

Source: Fabric, "Fabric chaincode lifecycle"; peer/lifecycle/lifecycle.proto.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fabric_protos.peer import policy_pb2
from fabric_protos.peer.lifecycle import lifecycle_pb2

from quorumlearn_network.devnet.msp import SigningIdentity
from quorumlearn_network.devnet.policy import parse_policy
from quorumlearn_network.fabric.errors import FabricError, RefusedError
from quorumlearn_network.fabric.transactions import Target, call, propose, transact
from quorumlearn_network.package import chaincode_package, package_id
from quorumlearn_network.spec import NetworkSpec, render_policy

LIFECYCLE = "_lifecycle"
_NOT_DEFINED = "is not defined"
_NONE_APPROVED = "could not fetch approved chaincode definition"
_LOST = "private data matching public hash version is not available"


@dataclass(frozen=True)
class Definition:
    """A chaincode as the channel knows it."""

    sequence: int
    version: str
    policy: bytes
    approvals: tuple[str, ...]
    """MSP ids that approved it."""


def definition_policy(spec: NetworkSpec) -> bytes:
    """The endorsement policy as a definition carries it, a serialised ApplicationPolicy."""
    policy = policy_pb2.ApplicationPolicy(signature_policy=parse_policy(render_policy(spec)))
    data: bytes = policy.SerializeToString()
    return data


def install(peer: Target, admin: SigningIdentity, spec: NetworkSpec) -> bool:
    """Install the package on a peer; False if it was there."""
    wanted = package_id(spec.chaincode)
    asked = lifecycle_pb2.QueryInstalledChaincodesArgs().SerializeToString()
    answer = call(peer, admin, "", LIFECYCLE, "QueryInstalledChaincodes", asked)
    installed = lifecycle_pb2.QueryInstalledChaincodesResult.FromString(answer)
    if any(one.package_id == wanted for one in installed.installed_chaincodes):
        return False
    package = lifecycle_pb2.InstallChaincodeArgs(chaincode_install_package=chaincode_package(spec.chaincode))
    answer = call(peer, admin, "", LIFECYCLE, "InstallChaincode", package.SerializeToString())
    found = lifecycle_pb2.InstallChaincodeResult.FromString(answer).package_id
    if found != wanted:
        raise FabricError(f"{peer.name} installed the chaincode as {found}, not as {wanted}")
    return True


def committed(peer: Target, admin: SigningIdentity, spec: NetworkSpec) -> Definition | None:
    """The chaincode's definition on the channel as a peer knows it, None before the first."""
    asked = lifecycle_pb2.QueryChaincodeDefinitionArgs(name=spec.chaincode.name).SerializeToString()
    try:
        answer = call(peer, admin, spec.channel, LIFECYCLE, "QueryChaincodeDefinition", asked)
    except RefusedError as error:
        if _NOT_DEFINED in error.reason:
            return None
        raise
    found = lifecycle_pb2.QueryChaincodeDefinitionResult.FromString(answer)
    return Definition(
        int(found.sequence),
        found.version,
        found.validation_parameter,
        tuple(sorted(msp_id for msp_id, agreed in found.approvals.items() if agreed)),
    )


def approve(peer: Target, orderers: Sequence[Target], admin: SigningIdentity, spec: NetworkSpec) -> bool:
    """Approve the description's definition for the peer's organisation; False if it is approved."""
    if _approved(peer, admin, spec):
        return False
    source = lifecycle_pb2.ChaincodeSource(
        local_package=lifecycle_pb2.ChaincodeSource.Local(package_id=package_id(spec.chaincode))
    )
    args = lifecycle_pb2.ApproveChaincodeDefinitionForMyOrgArgs(
        source=source, **_definition(spec)
    ).SerializeToString()
    proposal = propose(admin, spec.channel, LIFECYCLE, "ApproveChaincodeDefinitionForMyOrg", args)
    transact([peer], orderers, admin, proposal)
    return True


def ready(peer: Target, admin: SigningIdentity, spec: NetworkSpec) -> dict[str, bool]:
    """Which organisations (MSP ids) have approved the description's definition, as a peer knows it."""
    args = lifecycle_pb2.CheckCommitReadinessArgs(**_definition(spec)).SerializeToString()
    answer = call(peer, admin, spec.channel, LIFECYCLE, "CheckCommitReadiness", args)
    return dict(lifecycle_pb2.CheckCommitReadinessResult.FromString(answer).approvals)


def commit(
    peers: Sequence[Target],
    orderers: Sequence[Target],
    admin: SigningIdentity,
    spec: NetworkSpec,
) -> None:
    """Commit the description's definition, endorsed by all of `peers`; the first is the admin's own."""
    args = lifecycle_pb2.CommitChaincodeDefinitionArgs(**_definition(spec)).SerializeToString()
    proposal = propose(admin, spec.channel, LIFECYCLE, "CommitChaincodeDefinition", args)
    transact(peers, orderers, admin, proposal)


def _definition(spec: NetworkSpec) -> dict[str, str | int | bytes]:
    """The description's definition, as every message that approves, checks or commits it has it."""
    return {
        "sequence": spec.chaincode.sequence,
        "name": spec.chaincode.name,
        "version": spec.chaincode.version,
        "endorsement_plugin": "escc",
        "validation_plugin": "vscc",
        "validation_parameter": definition_policy(spec),
    }


def _approved(peer: Target, admin: SigningIdentity, spec: NetworkSpec) -> bool:
    chaincode = spec.chaincode
    asked = lifecycle_pb2.QueryApprovedChaincodeDefinitionArgs(
        name=chaincode.name, sequence=chaincode.sequence
    ).SerializeToString()
    try:
        answer = call(peer, admin, spec.channel, LIFECYCLE, "QueryApprovedChaincodeDefinition", asked)
    except RefusedError as error:
        if _NONE_APPROVED in error.reason:
            return False
        if _LOST in error.reason:  # only this peer ever had it, and orderers do not
            raise FabricError(
                f"{peer.name} has lost with its ledger what its organisation approved; restore the ledger, or "
                "have all approve anew: `quorumlearn network upgrade VERSION`"
            ) from error
        raise
    found = lifecycle_pb2.QueryApprovedChaincodeDefinitionResult.FromString(answer)
    return (found.version, found.validation_parameter, found.source.local_package.package_id) == (
        chaincode.version,
        definition_policy(spec),
        package_id(chaincode),
    )
