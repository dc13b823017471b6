"""The channel that all peers of a devnet share: its members, chain, orderer, peers and who may do what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fabric_protos.common import policies_pb2

from quorumlearn_network.devnet.chain import Chain
from quorumlearn_network.devnet.endorser import Peer
from quorumlearn_network.devnet.errors import IdentityError, PolicyError
from quorumlearn_network.devnet.lifecycle import Definition
from quorumlearn_network.devnet.msp import Membership
from quorumlearn_network.devnet.orderer import Orderer
from quorumlearn_network.devnet.policy import layouts, read_policy
from quorumlearn_network.devnet.proposal import denied
from quorumlearn_network.devnet.simulator import Interest


class Channel:
    """What the services of every peer work on."""

    def __init__(
        self,
        name: str,
        membership: Membership,
        chain: Chain,
        orderer: Orderer,
        orderer_msp_id: str,
        definitions: Mapping[str, Definition],
        endorse_timeout: float,
    ) -> None:
        self.name = name
        self.membership = membership
        self.chain = chain
        self.orderer = orderer
        self.orderer_msp_id = orderer_msp_id
        self.endorse_timeout = endorse_timeout
        self.peers: dict[str, Peer] = {}
        self._definitions = definitions
        self._layouts: dict[tuple[str, frozenset[bytes], frozenset[str]], list[tuple[str, ...]]] = {}

    def peers_from(self, msp_id: str) -> list[Peer]:
        """All peers, that of `msp_id` first."""
        return sorted(self.peers.values(), key=lambda peer: peer.msp_id != msp_id)

    def layouts(self, first: str, interests: Sequence[Interest], chaincode: str) -> list[tuple[str, ...]]:
        """Which sets of organisations can endorse, those with `first` in front; never empty.

        PolicyError: the chaincode is not defined, or no set of peers that have it satisfies the policies.
        """
        needed: set[bytes] = set()
        names: set[str] = {chaincode}
        for interest in interests:
            names.add(interest.namespace)
            needed |= interest.key_policies
            if interest.chaincode_policy:
                needed.add(self._definition(interest.namespace).policy_bytes)
        if not needed:
            needed.add(self._definition(chaincode).policy_bytes)
        mark = (first, frozenset(needed), frozenset(names))
        if mark not in self._layouts:
            peers = [
                (peer.msp_id, peer.identity)
                for peer in self.peers_from(first)
                if all(peer.has(name) for name in names)
            ]
            policies: list[policies_pb2.SignaturePolicyEnvelope] = [
                read_policy(data) for data in sorted(needed)
            ]
            self._layouts[mark] = layouts(policies, peers) if peers else []
        if not self._layouts[mark]:
            raise PolicyError("required chaincodes are not installed on sufficient peers")
        return self._ready_first(self._layouts[mark], chaincode)

    def check_reader(self, channel: str, serialized: bytes, data: bytes, signature: bytes) -> None:
        """PolicyError unless a member of the channel signed `data`; as in Fabric, one with an expired
        certificate is a member still.
        """
        if channel != self.name:
            raise PolicyError(f"Failed to get policy manager for channel [{channel[:250]}]")
        try:
            identity = self.membership.identity(serialized)
            allowed = identity.problem is None and identity.verify(data, signature)
        except IdentityError:
            allowed = False
        if not allowed:
            raise PolicyError(denied(channel, "Readers"))

    def _definition(self, name: str) -> Definition:
        definition = self._definitions.get(name)
        if definition is None:
            raise PolicyError(f"No metadata was found for chaincode {name} in channel {self.name}")
        return definition

    def _ready_first(self, found: Sequence[tuple[str, ...]], chaincode: str) -> list[tuple[str, ...]]:
        def waiting(layout: tuple[str, ...]) -> int:
            streams = [self.peers[msp_id].streams.get(chaincode) for msp_id in layout]
            return sum(1 for stream in streams if stream is not None and not stream.ready)

        return sorted(found, key=waiting)
